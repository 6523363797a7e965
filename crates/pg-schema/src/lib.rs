//! The diesel schema of the Plinth database, and nothing else.
//!
//! [`schema`] is generated; `joins` is written by hand. Tables of two domains cannot appear in one query until somebody says so there,
//! which keeps domains apart and the build short: diesel's all-pairs macro costs more than everything else together.

#[expect(
    missing_docs,
    reason = "generated: the migrations say what each column is"
)]
pub mod schema;

mod joins;
