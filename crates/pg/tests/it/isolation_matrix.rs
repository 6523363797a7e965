//! Two tenants with rows in every table, and every verb on every table from the outside.
//!
//! The role of the API is given every verb first: what keeps tenants apart here are the policies alone.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::Text,
};
use testkit::TestDb;

const A: &str = "0a000000-0000-7000-8000-000000000000";
const B: &str = "0b000000-0000-7000-8000-000000000000";
const ANN: &str = "0a000000-0000-7000-8000-0000000000ff";
const BOB: &str = "0b000000-0000-7000-8000-0000000000ff";
const ROWS: &str = include_str!("isolation_rows.sql");

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

fn texts(conn: &mut PgConnection, sql: &str) -> Result<Vec<String>, Error> {
    let rows: Vec<Row> = sql_query(sql).load(conn)?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

fn seed(owner: &mut PgConnection) {
    for (tenant, person, name) in [(A, ANN, "a"), (B, BOB, "b")] {
        let rows = ROWS
            .replace("{tenant}", tenant)
            .replace("{person}", person)
            .replace("{name}", name);
        owner.batch_execute(&rows).unwrap();
    }
}

/// A table, or a partition of one, and the column that says whose a row is.
struct Table {
    name: String,
    key: &'static str,
    is_partition: bool,
}

fn tables(owner: &mut PgConnection) -> Vec<Table> {
    let sql = "
        select c.oid::regclass || case when c.relispartition then ' leaf' else '' end as text
        from pg_class c join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
            and a.attname = case when c.oid = 'tenants'::regclass then 'id' else 'tenant_id' end
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1";
    texts(owner, sql)
        .unwrap()
        .into_iter()
        .map(|text| Table {
            name: text.trim_end_matches(" leaf").to_owned(),
            key: if text == "tenants" { "id" } else { "tenant_id" },
            is_partition: text.ends_with(" leaf"),
        })
        .collect()
}

impl Table {
    /// The rows of B, as JSON.
    fn rows_of_b(&self, owner: &mut PgConnection) -> Vec<String> {
        let Self { name, key, .. } = self;
        let sql = format!(
            "select row_to_json(t)::text as text from {name} t where {key} = '{B}' order by 1"
        );
        texts(owner, &sql).unwrap()
    }

    /// What a connection that is not B's can do to the rows of B.
    fn leaks(&self, conn: &mut PgConnection, row: &str) -> Vec<String> {
        let Self { name, key, .. } = self;
        let counts = [
            ("sees", format!("select * from {name} where {key} = '{B}'")),
            (
                "sees more than its own",
                format!(
                    "select * from {name} where {key} is distinct from (select app.current_tenant_id())"
                ),
            ),
            (
                "locks",
                format!("select * from {name} where {key} = '{B}' for update"),
            ),
            (
                "changes",
                format!("update {name} set {key} = {key} where {key} = '{B}'"),
            ),
            ("deletes", format!("delete from {name} where {key} = '{B}'")),
        ];
        let mut leaks = Vec::new();
        for (verb, sql) in counts {
            match sql_query(&sql).execute(conn) {
                Ok(0) => {}
                Ok(_) => leaks.push(format!("{name}: {verb}")),
                Err(error) => leaks.push(format!("{name}: {verb}, {error}")),
            }
        }
        let copy = row.replace('\'', "''");
        let writes = [
            (
                "adds",
                format!(
                    "insert into {name} select * from json_populate_record(null::{name}, '{copy}')"
                ),
            ),
            ("gives away", format!("update {name} set {key} = '{B}'")),
        ];
        for (verb, sql) in writes {
            match sql_query(&sql).execute(conn) {
                Ok(0) if verb == "gives away" => {}
                Err(Error::DatabaseError(DatabaseErrorKind::Unknown, why))
                    if why.message().contains("row-level security") => {}
                outcome => leaks.push(format!("{name}: {verb}, {outcome:?}")),
            }
        }
        leaks
    }
}

/// Whoever is not B: a tenant, a tenant that is gone, nobody, and nobody any more.
const OUTSIDERS: [&str; 4] = [
    "set app.tenant_id = '0a000000-0000-7000-8000-000000000000'",
    "set app.tenant_id = '0c000000-0000-7000-8000-000000000000'",
    "reset app.tenant_id",
    "set app.tenant_id = ''",
];

/// Everything that leaks out of B, and whether B is what it was.
fn all_leaks(db: &TestDb) -> Vec<String> {
    let mut owner = connect(&db.superuser_url());
    let tables = tables(&mut owner);
    for table in &tables {
        let grant = format!(
            "grant select, insert, update, delete on {} to plinth_app",
            table.name
        );
        owner.batch_execute(&grant).unwrap();
    }
    let mut leaks = Vec::new();
    for outsider in OUTSIDERS {
        let mut app = connect(&db.app_url());
        app.batch_execute(outsider).unwrap();
        for table in &tables {
            let before = table.rows_of_b(&mut owner);
            let Some(row) = before.first() else {
                assert!(
                    table.is_partition,
                    "{} has no row: add one to isolation_rows.sql",
                    table.name
                );
                continue;
            };
            leaks.extend(table.leaks(&mut app, row));
            if table.rows_of_b(&mut owner) != before {
                leaks.push(format!("{}: is another", table.name));
            }
        }
    }
    leaks
}

#[tokio::test]
async fn nothing_of_another_tenant_is_seen_or_changed() {
    let db = TestDb::create().await;
    let mut owner = connect(&db.superuser_url());
    seed(&mut owner);
    assert_eq!(all_leaks(&db), Vec::<String>::new());
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows() {
    let db = TestDb::create().await;
    let mut owner = connect(&db.superuser_url());
    seed(&mut owner);
    let mut app = connect(&db.app_url());
    app.batch_execute(&format!("set app.tenant_id = '{A}'"))
        .unwrap();
    // The API's role adds jobs and sees none.
    let seen = tables(&mut owner);
    for Table { name, key, .. } in seen
        .iter()
        .filter(|table| !table.is_partition && table.name != "jobs")
    {
        let own = format!("select {key}::text as text from {name}");
        let own = texts(&mut app, &own).unwrap();
        assert!(
            !own.is_empty() && own.iter().all(|id| id == A),
            "{name}: {own:?}"
        );
    }
}

#[tokio::test]
async fn the_matrix_finds_a_hole() {
    for (hole, leak) in [
        (
            "alter table resources disable row level security",
            "resources: deletes",
        ),
        (
            "alter table audit_events_default disable row level security",
            "audit_events_default: sees",
        ),
        (
            "create policy shared on meters for select using (true)",
            "meters: sees",
        ),
        (
            "create policy mine on outbox for insert with check (true)",
            "outbox: adds, Err(DatabaseError(UniqueViolation",
        ),
        (
            "create policy open on projects using (true) with check (true)",
            "projects: changes",
        ),
    ] {
        let db = TestDb::create().await;
        let mut owner = connect(&db.superuser_url());
        seed(&mut owner);
        owner.batch_execute(hole).unwrap();
        let leaks = all_leaks(&db);
        assert!(
            leaks.iter().any(|found| found.starts_with(leak)),
            "{hole}: {leaks:#?}"
        );
    }
}

#[tokio::test]
async fn people_are_seen_in_their_tenants_until_they_leave() {
    let db = TestDb::create().await;
    let mut owner = connect(&db.superuser_url());
    seed(&mut owner);
    let join = format!("insert into memberships (tenant_id, user_id) values ('{A}', '{BOB}')");
    owner.batch_execute(&join).unwrap();
    let mut app = connect(&db.app_url());
    let names = "select name as text from (select split_part(email, '@', 1) as name from users) u order by 1";
    assert_eq!(texts(&mut app, names).unwrap(), Vec::<String>::new());
    app.batch_execute(&format!("set app.tenant_id = '{A}'"))
        .unwrap();
    assert_eq!(texts(&mut app, names).unwrap(), ["a", "b"]);
    let rename = format!("update users set name = 'Bobby' where id = '{BOB}'");
    assert_eq!(
        sql_query(rename).execute(&mut app).unwrap(),
        0,
        "only he changes himself"
    );
    let leave = format!(
        "update memberships set status = 'removed' where (tenant_id, user_id) = ('{A}', '{BOB}')"
    );
    owner.batch_execute(&leave).unwrap();
    assert_eq!(texts(&mut app, names).unwrap(), ["a"]);
    app.batch_execute(&format!("reset app.tenant_id; set app.user_id = '{BOB}'"))
        .unwrap();
    assert_eq!(texts(&mut app, names).unwrap(), ["b"], "he sees himself");
}

#[tokio::test]
async fn look_ups_answer_about_whoever_asks_and_list_nobody() {
    let db = TestDb::create().await;
    let mut owner = connect(&db.superuser_url());
    seed(&mut owner);
    let mut app = connect(&db.app_url());
    let tenants = "select slug as text from app.admin_tenants(null, 2147483647)";
    let of_bob = format!("select slug as text from app.memberships_of('{BOB}')");
    let helpers = format!(
        "select concat_ws(' ', '{A}'::uuid = any (auth.user_tenant_ids()), '{B}'::uuid = any (auth.user_tenant_ids()),
             auth.is_tenant_owner('{A}'), auth.is_tenant_owner('{B}'),
             auth.user_has_permission('project.delete', '{A}'), auth.user_has_permission('project.delete', '{B}')) as text"
    );
    for (setting, sees_tenants, sees_bobs, helped) in [
        ("reset app.user_id".to_owned(), 0, 0, "f f f f f f"),
        (format!("set app.tenant_id = '{B}'"), 0, 0, "f f f f f f"),
        (format!("set app.user_id = '{ANN}'"), 0, 0, "t f t f t f"),
        (format!("set app.user_id = '{BOB}'"), 0, 1, "f t f t f t"),
    ] {
        app.batch_execute(&setting).unwrap();
        assert_eq!(
            texts(&mut app, tenants).unwrap().len(),
            sees_tenants,
            "{setting}"
        );
        assert_eq!(
            texts(&mut app, &of_bob).unwrap().len(),
            sees_bobs,
            "{setting}"
        );
        assert_eq!(texts(&mut app, &helpers).unwrap(), [helped], "{setting}");
    }
    for refused in [
        "select app.member_permissions(null, null)::text as text",
        "select app.global_permissions_of(null)::text as text",
    ] {
        assert!(texts(&mut app, refused).is_err(), "{refused}");
    }
}

#[tokio::test]
async fn operators_list_tenants_a_page_at_a_time() {
    let db = TestDb::create().await;
    let mut owner = connect(&db.superuser_url());
    seed(&mut owner);
    let more = format!(
        "insert into tenants (slug, name) select 'more-' || n, 'More' from generate_series(100, 220) n;
         insert into global_roles (user_id, role_key) values ('{ANN}', 'platform_admin'), ('{BOB}', 'platform_support')"
    );
    owner.batch_execute(&more).unwrap();
    let mut app = connect(&db.app_url());
    let list = "select slug as text from app.admin_tenants(null, 2147483647)";
    for (setting, seen) in [
        (format!("set app.user_id = '{ANN}'"), 101),
        (format!("set app.user_id = '{BOB}'"), 0),
        ("reset app.user_id".to_owned(), 0),
        (format!("set app.principal_id = '{A}'"), 101),
        (format!("set app.tenant_id = '{A}'"), 0),
    ] {
        app.batch_execute(&setting).unwrap();
        assert_eq!(texts(&mut app, list).unwrap().len(), seen, "{setting}");
    }
}
