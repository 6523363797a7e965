//! The use cases of this crate over stores in memory, as an embedder tests with them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod idempotency;
mod sign_up;
