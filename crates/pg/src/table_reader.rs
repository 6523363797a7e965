//! Rows of a table in another PostgreSQL, as text, out of one read-only snapshot.
//!
//! The database is somebody else's: nothing is known of its schema but what its catalogue says, and nothing is written to it. Policies of
//! its own must not hide rows, so a log-in that they bind is refused by the server rather than shown a part.

use std::collections::VecDeque;

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query,
    sql_types as sql,
};

use crate::pool::lone_connection;

/// Rows that come in one message.
const FETCH: &str = "fetch 2000 from plinth_rows";

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The database cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// There is no such table, or the log-in may not see it.
    #[error("there is no table {0}")]
    NoTable(String),
    /// PostgreSQL refused.
    #[error("{0}")]
    Failed(String),
}

impl From<diesel::result::Error> for TableError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A column of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Whether it holds whole numbers, as keys that count up do.
    pub is_integer: bool,
}

/// A table that is being read. The snapshot lasts as long as the value.
pub struct TableReader {
    conn: PgConnection,
    /// As SQL, quoted by the server.
    table: String,
    columns: Vec<Column>,
    estimate: u64,
    fetched: VecDeque<Vec<Option<String>>>,
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableReader")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// Times are told in UTC and in one form, whatever the server and the log-in are set to.
const BEGIN: &str = "begin isolation level repeatable read read only;
    set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres'; set local bytea_output = 'hex';
    set local extra_float_digits = 1; set local row_security = off; set local statement_timeout = 0; set local lock_timeout = 0;
    set local idle_in_transaction_session_timeout = 0; set local client_min_messages = warning";

impl TableReader {
    /// Connects, begins the snapshot and looks the table up: by its name, with a schema in front when it is not on the search path.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn open(url: &str, table: &str) -> Result<Self, TableError> {
        let mut conn =
            lone_connection(url).map_err(|error| TableError::Connect(error.to_string()))?;
        conn.batch_execute(BEGIN)?;
        let found: Vec<TableRow> = sql_query(
            "select c.oid::regclass::text as name, greatest(c.reltuples, 0)::bigint as estimate
             from pg_catalog.pg_class c where c.oid = to_regclass($1)",
        )
        .bind::<sql::Text, _>(table)
        .load(&mut conn)?;
        let found = found
            .into_iter()
            .next()
            .ok_or_else(|| TableError::NoTable(table.to_owned()))?;
        let columns: Vec<ColumnRow> = sql_query(
            "select a.attname::text as name, a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) as is_integer
             from pg_catalog.pg_attribute a
             where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum",
        )
        .bind::<sql::Text, _>(table)
        .load(&mut conn)?;
        let column = |row: ColumnRow| Column {
            name: row.name,
            is_integer: row.is_integer,
        };
        Ok(Self {
            conn,
            table: found.name,
            columns: columns.into_iter().map(column).collect(),
            estimate: u64::try_from(found.estimate).unwrap_or(0),
            fetched: VecDeque::new(),
        })
    }

    /// The table's columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// About how many rows there are, as the planner last counted them; 0 when it never did.
    #[must_use]
    pub const fn estimate(&self) -> u64 {
        self.estimate
    }

    /// Begins to read `columns`, in the order of `order`, and of the whole row where that leaves a choice: whoever reads the same rows again
    /// reads them in the same order.
    ///
    /// # Errors
    /// [`TableError::Failed`].
    pub fn start(&mut self, columns: &[String], order: &[String]) -> Result<(), TableError> {
        let cells = self.quoted(columns, "::text")?;
        let order = self.quoted(order, "")?;
        let table = &self.table;
        let declare = format!(
            "declare plinth_rows no scroll cursor for
             select array[{cells}]::text[] as cells from {table} t order by {order}, 1"
        );
        self.conn.batch_execute(&declare)?;
        Ok(())
    }

    /// Names as SQL, quoted by the server.
    fn quoted(&mut self, names: &[String], suffix: &str) -> Result<String, TableError> {
        let row: Quoted = sql_query(
            "select coalesce(string_agg(format('t.%I', n.name) || $2, ', ' order by n.place), '') as names
             from unnest($1) with ordinality as n (name, place)",
        )
        .bind::<sql::Array<sql::Text>, _>(names)
        .bind::<sql::Text, _>(suffix)
        .get_result(&mut self.conn)?;
        Ok(row.names)
    }

    /// The next row, cell by cell; `None` behind the last one.
    ///
    /// # Errors
    /// [`TableError::Failed`].
    pub fn next_row(&mut self) -> Result<Option<Vec<Option<String>>>, TableError> {
        if self.fetched.is_empty() {
            let rows: Vec<Cells> = sql_query(FETCH).load(&mut self.conn)?;
            self.fetched = rows.into_iter().map(|row| row.cells).collect();
        }
        Ok(self.fetched.pop_front())
    }
}

#[derive(QueryableByName)]
struct TableRow {
    #[diesel(sql_type = sql::Text)]
    name: String,
    #[diesel(sql_type = sql::BigInt)]
    estimate: i64,
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = sql::Text)]
    name: String,
    #[diesel(sql_type = sql::Bool)]
    is_integer: bool,
}

#[derive(QueryableByName)]
struct Quoted {
    #[diesel(sql_type = sql::Text)]
    names: String,
}

#[derive(QueryableByName)]
struct Cells {
    #[diesel(sql_type = sql::Array<sql::Nullable<sql::Text>>)]
    cells: Vec<Option<String>>,
}
