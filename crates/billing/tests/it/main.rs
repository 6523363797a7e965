//! Rating, periods, proration and invoices: checked figures, and what holds for every input. And the façade over stores in memory, as an
//! embedder tests with it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod invoices;
mod memory_entitlements;
mod memory_limits;
mod memory_plan_changes;
mod memory_world;
mod period_laws;
mod periods;
mod rating;
mod rating_laws;
