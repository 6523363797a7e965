//! A rule that is read off the catalogue after the migrations: a query for what breaks it. What it may find all the same stands beside it,
//! line by line, with the reason.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::Text,
};
use testkit::TestDb;

/// Every relation that PostgreSQL did not bring, in whatever schema. `shown` is its name, `name` that of the table it is a partition of, at whatever depth; `key` is
/// the column that says whose a row is. And every such function.
pub(super) const CATALOGUE: &str = "
with relation as (
    select c.oid, c.relkind, c.relispartition, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.reloptions,
        c.oid::regclass::text as shown,
        coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as name,
        k.attnum as key, k.attnotnull as key_is_set, k.atttypid = 'uuid'::regtype and k.attgenerated = '' as key_is_plain
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace and n.nspname !~ '^pg_(toast|temp)'
    left join pg_attribute k on k.attrelid = c.oid and not k.attisdropped
        and k.attname = case when c.oid = to_regclass('public.tenants') then 'id' else 'tenant_id' end
    where c.relkind in ('r', 'p', 'f', 'v', 'm') and c.oid >= 16384
), tenant_table as (
    select * from relation where key is not null and relkind in ('r', 'p', 'f')
), function as (
    select p.*, p.oid::regprocedure::text as shown, l.lanname from pg_proc p
    join pg_language l on l.oid = p.prolang
    where p.oid >= 16384 and p.pronamespace::regnamespace::text !~ '^pg_temp'
)";

/// Makes a partition of `usage_events` as the worker would: the others are named after today.
pub(super) const LEAF: &str = "
    select app.make_partition('usage_events', 'usage_events_2000_01', '2000-01-01', '2000-02-01');
    create unique index on usage_events_2000_01 (tenant_id, dedup);
    select app.protect_table('usage_events_2000_01'), app.open_to_worker('usage_events_2000_01')";

/// A rule of the catalogue.
pub(super) struct Gate {
    /// Answers `finding`, one row for each breach.
    pub(super) rule: &'static str,
    /// What is found and right, and why.
    pub(super) excused: &'static [(&'static str, &'static str)],
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    finding: String,
}

impl Gate {
    /// What breaks the rule, and excuses that nothing needs any more.
    pub(super) fn findings(&self, conn: &mut PgConnection) -> Vec<String> {
        let rows: Vec<Row> = sql_query(format!("{CATALOGUE} {}", self.rule))
            .load(conn)
            .unwrap();
        let found: Vec<String> = rows.into_iter().map(|row| row.finding).collect();
        let is_excused = |line: &String| self.excused.iter().any(|(known, _)| known == line);
        let stale = self
            .excused
            .iter()
            .filter(|(known, _)| !found.iter().any(|line| line == known));
        let stale = stale.map(|(known, _)| format!("excused for nothing: {known}"));
        found
            .iter()
            .filter(|line| !is_excused(line))
            .cloned()
            .chain(stale)
            .collect()
    }

    /// Holds on what the migrations make, and finds each fault: a statement, and the finding that it makes.
    pub(super) async fn holds_and_fires(&self, faults: &[(&str, &str)]) {
        let db = TestDb::create().await;
        let mut conn = PgConnection::establish(&db.superuser_url()).unwrap();
        assert_eq!(self.findings(&mut conn), Vec::<String>::new());
        for (fault, finding) in faults {
            conn.batch_execute(&format!("begin; {fault}")).unwrap();
            let found = self.findings(&mut conn);
            conn.batch_execute("rollback").unwrap();
            assert!(
                found.iter().any(|line| line == finding),
                "{fault}\nshould give: {finding}\ngives: {found:#?}"
            );
        }
    }
}
