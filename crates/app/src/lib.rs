//! Use cases that need several domains in one transaction, and the ports of the machinery that every domain shares.
//!
//! | file | what is in it |
//! |---|---|
//! | [`sign_up`] | a person comes for the first time: user, personal tenant, owner, subscription, in one transaction |
//! | [`tenants`] | a person makes another tenant, or joins one |
//! | [`authenticate`] | who makes a request, and in which tenant |
//! | [`idempotency`] | what an `Idempotency-Key` stood for |
//! | [`queue`], [`schedule`], [`outbox`] | jobs, schedules and facts, as ports |
//! | [`upkeep`] | what the worker looks for across tenants |
//!
//! Atomic work over several domains is rare, and lives here; the default is a fact in the outbox.

pub mod authenticate;
pub mod idempotency;
pub mod outbox;
pub mod queue;
pub mod schedule;
pub mod sign_up;
pub mod tenants;
pub mod upkeep;

pub use sign_up::{App, Provisioning, SignUpStore};
