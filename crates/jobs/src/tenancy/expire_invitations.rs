//! Gives up invitations that nobody answered in time. They count as expired already; this frees their address and leaves a trace.

use std::sync::Arc;

use app::upkeep::LifecycleStore;
use kernel::{BoxFuture, InvitationId, Principal, Scope, TenantId, UnitOfWork};
use serde_json::Value;

use crate::{
    Job, JobContext, JobError,
    sweep::{BATCH, sweep},
};

/// Expires invitations, each in a transaction of its tenant.
pub struct ExpireInvitations {
    db: Arc<dyn UnitOfWork<dyn LifecycleStore>>,
}

impl ExpireInvitations {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn LifecycleStore>>) -> Self {
        Self { db }
    }
}

impl Job for ExpireInvitations {
    fn kind(&self) -> &'static str {
        "expire_invitations"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let now = context.now();
            let look = || {
                self.db.run(Scope::global(), move |store| {
                    store.expired_invitations(now, BATCH)
                })
            };
            let act = async |(tenant_id, id): (TenantId, InvitationId)| {
                let by = Principal::system("invitation expiry", Some(tenant_id));
                let expired = self.db.run(Scope::of(&by), move |store| {
                    tenancy::invitation::expire(store, tenant_id, id, &by, now)
                });
                expired
                    .await
                    .map_err(|error| format!("invitation {id}: {error}"))
            };
            sweep(&context, look, act).await
        })
    }
}
