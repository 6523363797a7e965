//! Looks at metered usage that came in, so that others are told when a quota is nearly used up.

use ::billing::{Watch, watch::STEP};
use kernel::BoxFuture;
use serde_json::Value;

use crate::{Job, JobContext, JobError};

/// Watches quotas that meters count.
pub struct WatchQuotas {
    watch: Watch,
}

impl WatchQuotas {
    /// Over `watch`.
    #[must_use]
    pub const fn new(watch: Watch) -> Self {
        Self { watch }
    }
}

impl Job for WatchQuotas {
    fn kind(&self) -> &'static str {
        "watch_quotas"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            loop {
                let looked = self.watch.look(STEP).await?;
                if looked.meters > 0 {
                    tracing::debug!(meters = looked.meters, "looked at metered quotas");
                }
                if !looked.more || context.is_stopping() {
                    return Ok(());
                }
            }
        })
    }
}
