//! Rows of one value.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool},
};

/// Whether something is so: `select … as answer`.
#[derive(QueryableByName)]
pub(crate) struct Answer {
    #[diesel(sql_type = Bool)]
    pub(crate) answer: bool,
}

/// How many there are: `select …::bigint as count`.
#[derive(QueryableByName)]
pub(crate) struct Count {
    #[diesel(sql_type = BigInt)]
    pub(crate) count: i64,
}

/// The number of a transaction.
#[derive(QueryableByName)]
pub(crate) struct Txid {
    #[diesel(sql_type = BigInt)]
    pub(crate) txid: i64,
}
