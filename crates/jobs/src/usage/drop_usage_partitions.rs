//! Lets months of events go that are older than the deployment keeps them. Each month is a transaction of its own.

use ::usage::retention::{Fate, Retention};
use kernel::BoxFuture;
use serde_json::Value;

use crate::{Job, JobContext, JobError};

/// Drops partitions of usage.
pub struct DropUsagePartitions {
    retention: Retention,
}

impl DropUsagePartitions {
    /// Over `retention`.
    #[must_use]
    pub const fn new(retention: Retention) -> Self {
        Self { retention }
    }
}

impl Job for DropUsagePartitions {
    fn kind(&self) -> &'static str {
        "drop_usage_partitions"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            for partition in self.retention.old(context.now()).await? {
                if context.is_stopping() {
                    break;
                }
                let name = &*partition.name;
                match self.retention.let_go(&partition).await? {
                    Fate::Dropped { events, archived } => {
                        let archive = archived.map(|archived| archived.place);
                        tracing::info!(
                            partition = name,
                            events,
                            archive,
                            "usage.partition_dropped"
                        );
                    }
                    Fate::Kept(reason) => {
                        tracing::warn!(partition = name, reason, "a month of usage stays");
                    }
                    Fate::Gone => {}
                }
            }
            Ok(())
        })
    }
}
