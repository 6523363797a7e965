//! The program itself, against real databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod backfill_books;
mod backfill_csv;
mod backfill_postgres;
mod backfill_resume;
mod fixture;
