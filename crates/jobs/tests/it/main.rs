//! The worker against a real database, as the role that it runs as.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must stop"
)]

mod bench;
mod lifecycle;
mod mail;
mod outbox;
mod queue;
mod schedules;
mod upkeep;
mod workers;
