//! The program itself, more than one of it: what holds however many serve one database.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must stop"
)]

mod limits;
mod server;
