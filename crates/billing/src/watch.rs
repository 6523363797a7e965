//! The façade that a worker holds: usage that quotas count, of all tenants.

use std::sync::Arc;

use kernel::{Clock, Scope, StoreError, UnitOfWork};
use time::OffsetDateTime;

use crate::{
    QuotaWatch, Store,
    threshold::{self, Touched},
};

/// Events to look at in one step, so that a long backlog is many short statements.
pub const STEP: u32 = 50_000;

/// What one step saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Meters of tenants.
    pub meters: usize,
    /// Whether there is more to look at.
    pub more: bool,
}

/// Notices what follows from metered usage: events are never refused, so nobody takes, and nobody else looks.
#[derive(Clone)]
pub struct Watch {
    marks: Arc<dyn UnitOfWork<dyn QuotaWatch>>,
    db: Arc<dyn UnitOfWork<dyn Store>>,
    clock: Arc<dyn Clock>,
}

impl Watch {
    /// A façade over `marks`, whose role sees the usage of all tenants, and `db`, which works in the scope of one.
    #[must_use]
    pub fn new(
        marks: Arc<dyn UnitOfWork<dyn QuotaWatch>>,
        db: Arc<dyn UnitOfWork<dyn Store>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { marks, db, clock }
    }

    /// Looks at one step of what came in since the last time, about `at_most` events, each tenant's in a transaction of its own. The mark
    /// moves behind it, so whatever a worker leaves that dies is looked at again, and looking twice tells nothing twice.
    ///
    /// A tenant that cannot be looked at, twice, while the database is there, holds up nobody: that is logged, and what it uses next is
    /// looked at again.
    ///
    /// # Errors
    /// [`StoreError`]; the mark has not moved.
    pub async fn look(&self, at_most: u32) -> Result<Looked, StoreError> {
        let step = move |store: &mut (dyn QuotaWatch + 'static)| store.look(at_most);
        let look = self.marks.run(Scope::global(), step).await?;
        let now = self.clock.now();
        let mut failed = Vec::new();
        for touched in &look.touched {
            if self.notice(touched, now).await.is_err() {
                failed.push(touched);
            }
        }
        for touched in failed {
            self.find_the_database().await?;
            if let Err(error) = self.notice(touched, now).await {
                let tenant_id = touched.tenant_id;
                tracing::error!(%tenant_id, %error, "quotas of a tenant were not looked at");
            }
        }
        let looked = Looked {
            meters: look.touched.len(),
            more: look.more,
        };
        if look.from != look.to {
            self.marks
                .run(Scope::global(), move |store| store.looked(&look))
                .await?;
        }
        Ok(looked)
    }

    async fn notice(&self, touched: &Touched, now: OffsetDateTime) -> Result<(), StoreError> {
        let (scope, touched) = (Scope::tenant(touched.tenant_id), touched.clone());
        let work = move |store: &mut (dyn Store + 'static)| threshold::notice(store, &touched, now);
        self.db.run(scope, work).await
    }

    /// Fails when the database is away: then nothing that failed is the fault of a tenant.
    async fn find_the_database(&self) -> Result<(), StoreError> {
        self.marks.run(Scope::global(), |_| Ok(())).await
    }
}
