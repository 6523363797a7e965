//! Freezes tenants whose trial is over. They go on reading, and are archived 30 days later unless somebody subscribes.

use std::sync::Arc;

use app::upkeep::LifecycleStore;
use kernel::{BoxFuture, Principal, Scope, TenantId, UnitOfWork};
use serde_json::Value;
use tenancy::tenant::{self, ChangeTenantError, Transition};

use crate::{
    Job, JobContext, JobError,
    sweep::{BATCH, sweep},
};

/// Ends trials, each in a transaction of its tenant.
pub struct EndTrials {
    db: Arc<dyn UnitOfWork<dyn LifecycleStore>>,
}

impl EndTrials {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn LifecycleStore>>) -> Self {
        Self { db }
    }
}

impl Job for EndTrials {
    fn kind(&self) -> &'static str {
        "end_trials"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let now = context.now();
            let look = || {
                self.db
                    .run(Scope::global(), move |store| store.ended_trials(now, BATCH))
            };
            let act = async |id: TenantId| {
                let by = Principal::system("trial expiry", Some(id));
                let ended = self.db.run(Scope::of(&by), move |store| {
                    store.tenant_for_update(id)?;
                    // Somebody may have subscribed since the list was made.
                    if !store.trial_has_ended(id, now)? {
                        return Ok::<_, ChangeTenantError>(false);
                    }
                    let reason = Some("the trial ended".to_owned());
                    tenant::transition(store, id, Transition::Freeze, reason, &by, now)?;
                    Ok(true)
                });
                ended.await.map_err(|error| format!("tenant {id}: {error}"))
            };
            sweep(&context, look, act).await
        })
    }
}
