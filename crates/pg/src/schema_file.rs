//! Writes `pg-schema`'s `schema.rs` from a migrated database. A test compares the two, so they cannot drift.
//!
//! diesel's own `print-schema` lives in its command-line tool, which a new machine does not have.

use std::{collections::BTreeMap, fmt::Write};

use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Bool, Text},
};
use kernel::StoreError;

use crate::{error::store_error, pool::lone_connection};

const COLUMNS: &str = "
select c.relname::text as table_name, a.attname::text as column_name,
       t.typname::text as type_name, not a.attnotnull as nullable,
       coalesce(a.attnum = any(i.indkey), false) as in_key
from pg_catalog.pg_class c
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and c.relname not like '\\_\\_diesel%'
order by c.relname, a.attnum";

/// The text of `schema.rs` for the database at `url`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read, or has a type that this does not know.
pub fn render(url: &str) -> Result<String, StoreError> {
    let columns: Vec<Column> = sql_query(COLUMNS)
        .load(&mut lone_connection(url)?)
        .map_err(store_error)?;
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for column in columns {
        tables
            .entry(column.table_name.clone())
            .or_default()
            .push(column);
    }
    let mut text = String::from(
        "//! The tables, written by `just schema` from a migrated database. Do not edit.\n",
    );
    for (name, columns) in &tables {
        let keys: Vec<&str> = columns
            .iter()
            .filter(|column| column.in_key)
            .map(|column| column.column_name.as_str())
            .collect();
        // diesel wants a key; a table without one is read by its first column.
        let first = columns
            .first()
            .map_or("id", |column| column.column_name.as_str());
        let key = if keys.is_empty() {
            first.to_owned()
        } else {
            keys.join(", ")
        };
        let _ = write!(text, "\ndiesel::table! {{\n    {name} ({key}) {{\n");
        for column in columns {
            let _ = writeln!(
                text,
                "        {} -> {},",
                column.column_name,
                column.rust_type()?
            );
        }
        text.push_str("    }\n}\n");
    }
    Ok(text)
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
    #[diesel(sql_type = Bool)]
    in_key: bool,
}

impl Column {
    fn rust_type(&self) -> Result<String, StoreError> {
        let (array, element) = self
            .type_name
            .strip_prefix('_')
            .map_or((false, self.type_name.as_str()), |element| (true, element));
        let name = match element {
            "uuid" => "Uuid",
            "text" => "Text",
            "bool" => "Bool",
            "int2" => "Int2",
            "int4" => "Int4",
            "int8" => "Int8",
            "numeric" => "Numeric",
            "timestamptz" => "Timestamptz",
            "date" => "Date",
            "jsonb" => "Jsonb",
            "bytea" => "Bytea",
            "inet" => "Inet",
            other => {
                return Err(StoreError::Unexpected(format!(
                    "{}.{} has the type {other}, which schema.rs does not know",
                    self.table_name, self.column_name
                )));
            }
        };
        let name = if array {
            format!("Array<{name}>")
        } else {
            name.to_owned()
        };
        Ok(if self.nullable {
            format!("Nullable<{name}>")
        } else {
            name
        })
    }
}
