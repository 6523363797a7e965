//! Makes the partitions that the events of the coming months go to.

use ::usage::Books;
use kernel::BoxFuture;
use serde_json::Value;

use crate::{Job, JobContext, JobError};

/// Months that are ready before they begin: a worker may stand still for a while.
const MONTHS_AHEAD: u32 = 2;

/// Makes partitions of usage.
pub struct EnsureUsagePartitions {
    books: Books,
}

impl EnsureUsagePartitions {
    /// Over `books`.
    #[must_use]
    pub const fn new(books: Books) -> Self {
        Self { books }
    }
}

impl Job for EnsureUsagePartitions {
    fn kind(&self) -> &'static str {
        "ensure_usage_partitions"
    }

    fn run(&self, _: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let partitions = self.books.ensure_partitions(MONTHS_AHEAD).await?;
            if partitions > 0 {
                tracing::info!(partitions, "made partitions of usage");
            }
            Ok(())
        })
    }
}
