//! Everything that the database holds of a tenant and its people.

use std::collections::BTreeMap;

use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};

use super::world::Side;
use crate::harness::TestApp;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

/// Tables of tenants, of people, and of principals, and the column that says whose a row is.
const TABLES: &str = "
    select c.oid::regclass || ' ' || a.attname as text
    from pg_class c join pg_attribute a on a.attrelid = c.oid and not a.attisdropped and case c.relname
        when 'tenants' then a.attname = 'id'
        when 'users' then a.attname = 'id'
        when 'idempotency_keys' then a.attname = 'principal_id'
        else a.attname = 'tenant_id' or a.attname = 'user_id' and c.relname in ('user_identities', 'user_credentials', 'sessions', 'global_roles')
    end
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1";

/// Tables that nobody in these tests needs a row in.
const MAY_BE_EMPTY: [&str; 2] = ["global_roles", "idempotency_keys"];

fn texts(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows: Vec<Row> = sql_query(sql).load(conn).unwrap();
    rows.into_iter().map(|row| row.text).collect()
}

/// The rows of a tenant and its people, by table: every table has one.
pub(super) fn of(app: &TestApp, side: &Side) -> BTreeMap<String, Vec<String>> {
    let mut conn = PgConnection::establish(&app.db.superuser_url()).unwrap();
    let owners = side
        .people
        .iter()
        .chain(side.ids.get(&super::contract::Kind::Tenant));
    let owners: Vec<String> = owners.map(|id| format!("'{id}'")).collect();
    let owners = owners.join(", ");
    let mut all = BTreeMap::new();
    for table in texts(&mut conn, TABLES) {
        let (table, column) = table.split_once(' ').unwrap();
        let sql = format!(
            "select to_jsonb(t)::text as text from {table} t where {column} in ({owners}) order by 1"
        );
        let rows = texts(&mut conn, &sql);
        assert!(
            !rows.is_empty() || MAY_BE_EMPTY.contains(&table),
            "{table} has no row of the tenant: make one, or add it to rows.sql"
        );
        all.insert(table.to_owned(), rows);
    }
    all
}
