//! The worker against a real database, as the role that it runs as; and schedules over a store in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must stop"
)]

mod bench;
mod lifecycle;
mod mail;
mod memory_schedules;
mod outbox;
mod queue;
mod schedules;
mod upkeep;
mod usage_retention;
mod usage_roll_up;
mod workers;
