//! The program itself, against real databases.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

mod backfill_books;
mod backfill_csv;
mod backfill_postgres;
mod backfill_resume;
mod fixture;
