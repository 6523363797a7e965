//! Jobs that keep the books of usage.

pub mod close_usage_days;
pub mod drop_usage_partitions;
pub mod ensure_usage_partitions;
pub mod roll_up_usage;

use std::time::Duration;

use ::usage::{Books, retention::Retention};
pub use close_usage_days::CloseUsageDays;
pub use drop_usage_partitions::DropUsagePartitions;
pub use ensure_usage_partitions::EnsureUsagePartitions;
pub use roll_up_usage::RollUpUsage;

use crate::Registry;

/// How often events are moved. Readers do not wait for it: what is not moved yet is counted where it is.
const ROLL_UP: Duration = Duration::from_secs(2);
/// How often days are looked for that are over.
const CLOSE: Duration = Duration::from_secs(10);

/// Adds the jobs of usage.
#[must_use]
pub fn register(registry: Registry, books: &Books) -> Registry {
    registry
        .inline(ROLL_UP, RollUpUsage::new(books.clone()))
        .inline(CLOSE, CloseUsageDays::new(books.clone()))
        .cron("7 */6 * * *", EnsureUsagePartitions::new(books.clone()))
}

/// Adds the job that lets old events go, for a deployment that does not keep them for ever.
#[must_use]
pub fn register_retention(registry: Registry, retention: Retention) -> Registry {
    registry.cron("51 3 * * *", DropUsagePartitions::new(retention))
}
