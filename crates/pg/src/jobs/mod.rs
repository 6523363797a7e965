//! The queue, schedules, the outbox and upkeep on PostgreSQL.
//!
//! The worker connects as `plinth_worker`, which sees these tables across tenants; the API's role may add jobs and read none. Time limits
//! are by the database's clock, so it does not matter whether the workers' clocks agree.

mod outbox;
mod queue;
mod schedule;
mod upkeep;

use std::time::Duration;

/// A duration as the milliseconds that the statements calculate with.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Text that PostgreSQL can store: without NUL, and at most 2,000 characters.
fn storable(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(2000).collect()
}
