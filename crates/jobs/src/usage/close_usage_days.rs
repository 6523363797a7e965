//! Closes the days that have ended, each in a transaction of its own.

use ::usage::Books;
use kernel::BoxFuture;
use serde_json::Value;

use crate::{Job, JobContext, JobError};

/// Days that one run closes at most: midnight in a popular time zone is spread over several.
const AT_MOST: u32 = 200;

/// Closes days of usage.
pub struct CloseUsageDays {
    books: Books,
}

impl CloseUsageDays {
    /// Over `books`.
    #[must_use]
    pub const fn new(books: Books) -> Self {
        Self { books }
    }
}

impl Job for CloseUsageDays {
    fn kind(&self) -> &'static str {
        "close_usage_days"
    }

    fn run(&self, _: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let days = self.books.close_due_days(AT_MOST).await?;
            if days > 0 {
                tracing::info!(days, "closed days of usage");
            }
            Ok(())
        })
    }
}
