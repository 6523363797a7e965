//! Use cases that need several domains in one transaction.

pub mod outbox;
pub mod queue;
pub mod schedule;
pub mod upkeep;
