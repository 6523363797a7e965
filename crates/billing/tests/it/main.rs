//! Rating, periods, proration and invoices: checked figures, and what holds for every input.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod invoices;
mod periods;
mod rating;
