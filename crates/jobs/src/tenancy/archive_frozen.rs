//! Archives tenants that were frozen for 30 days.

use std::sync::Arc;

use app::upkeep::LifecycleStore;
use kernel::{BoxFuture, Principal, Scope, TenantId, UnitOfWork};
use serde_json::Value;
use tenancy::tenant::{self, ChangeTenantError, Transition};
use time::Duration;

use crate::{
    Job, JobContext, JobError,
    sweep::{BATCH, sweep},
};

/// How long a frozen tenant waits for somebody to come back.
pub const GRACE: Duration = Duration::days(30);

/// Archives frozen tenants, each in a transaction of its own.
pub struct ArchiveFrozen {
    db: Arc<dyn UnitOfWork<dyn LifecycleStore>>,
}

impl ArchiveFrozen {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn LifecycleStore>>) -> Self {
        Self { db }
    }
}

impl Job for ArchiveFrozen {
    fn kind(&self) -> &'static str {
        "archive_frozen"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let now = context.now();
            let since = now - GRACE;
            let look = || {
                self.db.run(Scope::global(), move |store| {
                    store.long_frozen_tenants(since, BATCH)
                })
            };
            let act = async |id: TenantId| {
                let by = Principal::system("archiving", Some(id));
                let archived = self.db.run(Scope::of(&by), move |store| {
                    store.tenant_for_update(id)?;
                    // Somebody may have come back since the list was made.
                    if !store.is_long_frozen(id, since)? {
                        return Ok::<_, ChangeTenantError>(false);
                    }
                    let reason = Some("frozen for 30 days".to_owned());
                    tenant::transition(store, id, Transition::Archive, reason, &by, now)?;
                    Ok(true)
                });
                archived
                    .await
                    .map_err(|error| format!("tenant {id}: {error}"))
            };
            sweep(&context, look, act).await
        })
    }
}
