//! The PostgreSQL adapter against a real database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

// Inside its own tests the crate goes by the name that everybody else calls it.
extern crate plinth_pg as pg;

mod audit_partitions;
mod billing;
mod identity;
mod isolation;
mod listen;
mod migrations;
mod permission_algebra;
mod pool;
mod pool_load;
mod pooler;
mod schema;
mod standing;
mod unit_of_work;
mod usage_days;
mod usage_dimensions;
mod usage_fixture;
mod usage_ingest;
mod usage_intake;
mod usage_read;
mod usage_rollup;
