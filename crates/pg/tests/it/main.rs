//! The PostgreSQL adapter against a real database.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop"
)]

mod migrations;
mod schema;
