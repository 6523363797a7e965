//! A rule that is read off the catalogue after the migrations: a query for what breaks it. What it may find all the same stands beside it,
//! line by line, with the reason.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::Text,
};
use testkit::TestDb;

/// Every relation of ours. `shown` is its name, `name` that of the table it is a partition of; `key` is the column that says whose a row is.
const RELATIONS: &str = "
with relation as (
    select c.oid, c.relkind, c.relispartition, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relowner, c.reloptions,
        c.oid::regclass::text as shown,
        coalesce((select i.inhparent from pg_inherits i where i.inhrelid = c.oid), c.oid)::regclass::text as name,
        k.attnum as key, k.attnotnull as key_is_set
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    left join pg_attribute k on k.attrelid = c.oid and not k.attisdropped
        and k.attname = case when c.oid = to_regclass('public.tenants') then 'id' else 'tenant_id' end
    where c.relkind in ('r', 'p', 'f', 'v', 'm')
), tenant_table as (
    select * from relation where key is not null and relkind in ('r', 'p', 'f')
)";

/// A rule of the catalogue.
pub(crate) struct Gate {
    /// Answers `finding`, one row for each breach.
    pub(crate) rule: &'static str,
    /// What is found and right, and why.
    pub(crate) excused: &'static [(&'static str, &'static str)],
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    finding: String,
}

impl Gate {
    /// What breaks the rule, and excuses that nothing needs any more.
    fn findings(&self, conn: &mut PgConnection) -> Vec<String> {
        let rows: Vec<Row> = sql_query(format!("{RELATIONS} {}", self.rule))
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
    pub(crate) async fn holds_and_fires(&self, faults: &[(&str, &str)]) {
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
