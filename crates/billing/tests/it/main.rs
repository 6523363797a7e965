//! Rating, periods, proration and invoices: checked figures, and what holds for every input.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod invoices;
mod period_laws;
mod periods;
mod rating;
mod rating_laws;
