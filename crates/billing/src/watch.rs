//! The façade that a worker holds: usage that quotas count, of all tenants.

use std::sync::Arc;

use kernel::{Clock, Scope, StoreError, UnitOfWork};

use crate::{QuotaWatch, Store, threshold};

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

    /// Looks once at what came in since the last time, each tenant's in a transaction of its own. Answers how many meters of tenants it
    /// looked at. A tenant that fails does not hold up the others; the mark moves when none failed, so whatever a worker leaves behind
    /// that dies or fails is looked at again, and looking twice tells nothing twice.
    ///
    /// # Errors
    /// [`StoreError`] of the first that failed, after all were tried.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let look = self.marks.run(Scope::global(), QuotaWatch::look).await?;
        let (now, mut first_failure) = (self.clock.now(), None);
        for touched in look.touched.clone() {
            let tenant_id = touched.tenant_id;
            let work =
                move |store: &mut (dyn Store + 'static)| threshold::notice(store, &touched, now);
            let outcome: Result<(), StoreError> = self.db.run(Scope::tenant(tenant_id), work).await;
            if let Err(error) = outcome {
                tracing::error!(%tenant_id, %error, "quotas of a tenant were not looked at");
                first_failure.get_or_insert(error);
            }
        }
        if let Some(error) = first_failure {
            return Err(error);
        }
        let looked = look.touched.len();
        if look.from != look.to {
            self.marks
                .run(Scope::global(), move |store| store.looked(&look))
                .await?;
        }
        Ok(looked)
    }
}
