//! Looks at metered usage that came in, so that others are told when a quota is nearly used up.

use ::billing::Watch;
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

    fn run(&self, _: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let looked = self.watch.look().await?;
            if looked > 0 {
                tracing::debug!(looked, "looked at metered quotas");
            }
            Ok(())
        })
    }
}
