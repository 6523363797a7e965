//! Makes the partitions of the trail for the coming months, long before a row needs one.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{BoxFuture, Scope, UnitOfWork};
use serde_json::Value;

use crate::{Job, JobContext, JobError};

/// Makes partitions of the audit trail.
pub struct EnsureAuditPartitions {
    db: Arc<dyn UnitOfWork<dyn Upkeep>>,
}

impl EnsureAuditPartitions {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self { db }
    }
}

impl Job for EnsureAuditPartitions {
    fn kind(&self) -> &'static str {
        "ensure_partitions"
    }

    fn run(&self, _: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let made = self
                .db
                .run(Scope::global(), Upkeep::ensure_audit_partitions)
                .await?;
            if made > 0 {
                tracing::info!(made, "made partitions of the audit trail");
            }
            Ok(())
        })
    }
}
