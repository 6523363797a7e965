//! Moves events into quarter-hour buckets until none are left. A step is a transaction, so a run may end between any two.

use ::usage::{Books, rollup::STEP};
use kernel::BoxFuture;
use serde_json::Value;

use crate::{Job, JobContext, JobError};

/// Rolls usage up.
pub struct RollUpUsage {
    books: Books,
}

impl RollUpUsage {
    /// Over `books`.
    #[must_use]
    pub const fn new(books: Books) -> Self {
        Self { books }
    }
}

impl Job for RollUpUsage {
    fn kind(&self) -> &'static str {
        "roll_up_usage"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let mut events = 0;
            loop {
                let step = self.books.roll(STEP).await?;
                events += step.events;
                if !step.more || context.is_stopping() {
                    break;
                }
            }
            if events > 0 {
                tracing::debug!(events, "rolled up usage");
            }
            Ok(())
        })
    }
}
