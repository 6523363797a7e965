//! Jobs that keep the books of usage.

pub mod close_usage_days;
pub mod ensure_usage_partitions;
pub mod roll_up_usage;

use std::time::Duration;

use ::usage::Books;
pub use close_usage_days::CloseUsageDays;
pub use ensure_usage_partitions::EnsureUsagePartitions;
pub use roll_up_usage::RollUpUsage;

use crate::Registry;

/// Adds the jobs of usage.
#[must_use]
pub fn register(registry: Registry, books: &Books) -> Registry {
    registry
        .inline(Duration::from_secs(1), RollUpUsage::new(books.clone()))
        .inline(Duration::from_secs(5), CloseUsageDays::new(books.clone()))
        .cron("7 */6 * * *", EnsureUsagePartitions::new(books.clone()))
}
