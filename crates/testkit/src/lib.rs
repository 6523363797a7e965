//! What tests share: a database of their own each, on a PostgreSQL that starts by itself; every store in memory; and the contracts that
//! both are held to. And, in its own tests, the direction rules of the workspace.
//!
//! | file | what is in it |
//! |---|---|
//! | [`db`] | [`TestDb`]: one fresh, migrated database per test |
//! | [`memory`] | [`Memory`]: every store of every domain, without a database |
//! | [`clock`] | [`StoppedClock`]: moves when it is told to |
//! | [`contract`] | what every implementation of a port must do |
//! | [`pgbouncer`] | [`PgBouncer`]: a pooler in front of it, where the machine has one |
//! | `server` | the throw-away cluster that all test processes of a run share |
#![expect(clippy::panic, reason = "a test that has no database must stop")]

pub mod clock;
pub mod contract;
pub mod db;
pub mod memory;
pub mod pgbouncer;
mod server;

pub use clock::StoppedClock;
pub use db::TestDb;
pub use memory::{Memory, MemoryTx};
pub use pgbouncer::PgBouncer;

/// The value, or the end of the test with what was being done and why it failed.
pub(crate) fn must<T, E: std::fmt::Display>(doing: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{doing}: {error}"),
    }
}
