//! PostgreSQL under every port of Plinth.
//!
//! | file | what is in it |
//! |---|---|
//! | [`pool`] | [`Pg`]: connections, the check of the role, health |
//! | `address` | how long the database may say nothing |
//! | [`tx`] | [`PgTx`], the open transaction that implements every `Store`, and the unit of work that opens it |
//! | `prepared` | statements that a connection prepares once |
//! | `scalar` | rows of one value |
//! | [`error`] | what PostgreSQL's errors mean to a domain |
//! | [`migrate`] | the embedded migrations |
//! | [`listen`] | notifications from the database |
//! | [`table_reader`] | rows of a table in somebody else's database |
//! | [`schema_file`] | `pg-schema`'s `schema.rs`, written from a database |
//! | one folder a domain | `impl <domain>::Store for PgTx`, and the rows it reads and writes |
//!
//! **Invariant:** a connection is reached through [`Pg::unit_of_work`], [`GroupCommit`] or [`PgStandingReader`] only, so no statement runs outside a
//! transaction that knows its tenant. Every statement names its tenant as well: row-level security is the second layer, not the first.

mod address;
mod app;
mod audit;
mod billing;
pub mod error;
mod identity;
mod jobs;
pub mod listen;
pub mod migrate;
pub mod pool;
mod prepared;
mod scalar;
pub mod schema_file;
pub mod table_reader;
mod tenancy;
pub mod tx;
mod usage;

pub use billing::PgStandingReader;
pub use identity::PgKeyReader;
pub use pool::{Pg, Settings};
pub use tx::PgTx;
pub use usage::GroupCommit;
