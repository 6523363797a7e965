//! The direction rules of the workspace, that the stores keep the contracts of their ports, and that test databases are what tests take them for.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must stop"
)]

mod architecture;
mod contract;
mod db;
mod proofs;
