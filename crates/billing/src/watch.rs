//! The façade that a worker holds: usage that quotas count, of all tenants.

use std::sync::Arc;

use kernel::{Clock, Scope, StoreError, UnitOfWork};
use time::OffsetDateTime;

use crate::{
    QuotaWatch, Store,
    threshold::{self, Touched},
};

/// Events that are looked at in one step, so that a long backlog is many short statements.
const STEP: u32 = 50_000;

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

    /// Looks once at what came in since the last time, step by step, each tenant's in a transaction of its own. Answers how many meters of
    /// tenants it looked at. A tenant that fails does not hold up the others; the mark moves to the first step in which one failed, so
    /// whatever a worker leaves behind that dies or fails is looked at again, and looking twice tells nothing twice.
    ///
    /// # Errors
    /// [`StoreError`] of the first that failed, after all were tried.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let (now, mut looked, mut failed) = (self.clock.now(), 0, None);
        let mark = self.marks.run(Scope::global(), QuotaWatch::looked_until);
        let mut from = mark.await?;
        loop {
            let step = move |store: &mut (dyn QuotaWatch + 'static)| store.look(from, STEP);
            let look = self.marks.run(Scope::global(), step).await?;
            for touched in look.touched.clone() {
                failed = failed.or(self.notice(touched, now).await.err());
            }
            looked += look.touched.len();
            let (more, moves) = (look.more, look.from != look.to);
            from = look.to;
            if failed.is_none() && moves {
                self.marks
                    .run(Scope::global(), move |store| store.looked(&look))
                    .await?;
            }
            if !more {
                return failed.map_or(Ok(looked), Err);
            }
        }
    }

    async fn notice(&self, touched: Touched, now: OffsetDateTime) -> Result<(), StoreError> {
        let tenant_id = touched.tenant_id;
        let work = move |store: &mut (dyn Store + 'static)| threshold::notice(store, &touched, now);
        let outcome: Result<(), StoreError> = self.db.run(Scope::tenant(tenant_id), work).await;
        if let Err(error) = &outcome {
            tracing::error!(%tenant_id, %error, "quotas of a tenant were not looked at");
        }
        outcome
    }
}
