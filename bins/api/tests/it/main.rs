//! The program itself, more than one of it: what holds however many serve one database.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on must stop, and a measurement is printed"
)]

mod checks;
mod limits;
mod server;
