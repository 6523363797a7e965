//! Three tenants with rows in every table and partition, and every verb on every table from the outside, in every scope.
//!
//! The two log-ins are given every verb first, on partitions too: what keeps tenants apart here are the policies alone.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query};
use testkit::TestDb;

use super::{
    calls,
    rows::{ANN, BOB, EVE, Owner, Table, Whose, add_rows, tables},
    verbs::{SCOPES, Scope, leaks, others, own_failures, references, texts},
    wire::{Copied, Wire},
};

/// Tables that the worker goes through across tenants, as `policies.rs` excuses them one by one.
pub(super) const OPEN_TO_WORKER: [&str; 7] = [
    "jobs",
    "meters",
    "outbox",
    "usage_daily",
    "usage_days",
    "usage_events",
    "usage_rollups",
];

/// What the API's role may not do with rows of its own: it adds jobs and sees none.
const ADDS_ONLY: &str = "jobs";

pub(super) fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

/// A database with rows of three owners, and both log-ins given every verb.
pub(super) struct World {
    pub(super) db: TestDb,
    pub(super) tables: Vec<Table>,
    /// Views that say whose a row is.
    views: Vec<String>,
    /// A row of each owner in each table, as JSON.
    rows: BTreeMap<(char, String), String>,
}

impl World {
    pub(super) async fn create() -> Self {
        Self::of(TestDb::create().await)
    }

    pub(super) fn of(db: TestDb) -> Self {
        let mut owner = connect(&db.superuser_url());
        let tables = tables(&mut owner);
        for tenant in [ANN, BOB, EVE] {
            add_rows(&mut owner, &tables, tenant);
        }
        let rows = rows(&mut owner, &tables);
        for table in &tables {
            let grant = format!(
                "grant select, insert, update, delete on {} to plinth_app, plinth_worker",
                table.name
            );
            owner.batch_execute(&grant).unwrap();
        }
        let views = texts(&mut owner, VIEWS).unwrap();
        for view in &views {
            let grant = format!("grant select on {view} to plinth_app, plinth_worker");
            owner.batch_execute(&grant).unwrap();
        }
        Self {
            db,
            tables,
            views,
            rows,
        }
    }

    pub(super) fn row(&self, owner: Owner, table: &str) -> &str {
        &self.rows[&(owner.0, table.to_owned())]
    }

    /// The tables that a log-in is not let across.
    pub(super) fn closed_to<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Table> {
        self.tables.iter().filter(move |table| {
            role != "plinth_worker" || !OPEN_TO_WORKER.contains(&table.root.as_str())
        })
    }

    fn role_url(&self, role: &str) -> String {
        if role == "plinth_worker" {
            self.db.worker_url()
        } else {
            self.db.app_url()
        }
    }

    /// A digest of everything that Bob and Eve have, by table.
    pub(super) fn digests(&self, owner: &mut PgConnection) -> BTreeMap<String, String> {
        let digest = |table: &Table| {
            let Table {
                name, key, whose, ..
            } = table;
            let ids = format!("'{}', '{}'", whose.id(BOB), whose.id(EVE));
            let sql = format!(
                "select coalesce(md5(string_agg(t::text, '|' order by t::text)), '-') as text from {name} t where {key} in ({ids})"
            );
            (name.clone(), texts(owner, &sql).unwrap().concat())
        };
        self.tables.iter().map(digest).collect()
    }

    /// What references from rows of Ann to rows of Bob give away.
    pub(super) fn reference_leaks(&self, conn: &mut PgConnection, table: &Table) -> Vec<String> {
        references(conn, &self.tables, table, ANN, |parent, column| {
            let row: serde_json::Value = serde_json::from_str(self.row(BOB, parent)).unwrap();
            row[column].as_str().unwrap().to_owned()
        })
    }
}

const VIEWS: &str = "
    select c.oid::regclass::text as text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
    where c.relkind in ('v', 'm') and c.oid >= 16384";

/// A row of each owner in each table. A table without one stops the test by name.
fn rows(owner: &mut PgConnection, tables: &[Table]) -> BTreeMap<(char, String), String> {
    let mut rows = BTreeMap::new();
    for Table {
        name, key, whose, ..
    } in tables
    {
        for tenant in [ANN, BOB, EVE] {
            let sql = format!(
                "select row_to_json(t)::text as text from {name} t where {key} = '{}' order by 1 limit 1",
                whose.id(tenant)
            );
            let row = texts(owner, &sql).unwrap().pop();
            let row = row.unwrap_or_else(|| panic!("{name} has no row of {}", tenant.0));
            rows.insert((tenant.0, name.clone()), row);
        }
    }
    rows
}

/// Everything that leaks out of Bob to a log-in, in every scope.
fn all_leaks(world: &World, role: &str) -> Vec<String> {
    let mut leaking = Vec::new();
    for scope in &SCOPES {
        let mut conn = connect(&world.role_url(role));
        scope.enter(&mut conn);
        for table in world.closed_to(role) {
            leaking.extend(leaks(&mut conn, scope, table, world.row(BOB, &table.name)));
            if scope.name == "another tenant" {
                leaking.extend(world.reference_leaks(&mut conn, table));
            }
        }
        let views = world
            .views
            .iter()
            .filter_map(|view| others(&mut conn, scope, view, "tenant_id", Whose::Tenant));
        leaking.extend(views);
    }
    leaking
}

#[tokio::test]
async fn nothing_of_another_tenant_is_seen_changed_or_told() {
    let world = World::create().await;
    let mut owner = connect(&world.db.superuser_url());
    let before = world.digests(&mut owner);
    for role in ["plinth_app", "plinth_worker"] {
        assert_eq!(all_leaks(&world, role), Vec::<String>::new(), "{role}");
        assert_eq!(calls::leaks(&world, role), Vec::<String>::new(), "{role}");
    }
    assert_eq!(world.digests(&mut owner), before);
}

/// Copies a table out, both ways: of a table with partitions, the short form copies the table alone. Says whether anything came, and stops
/// at what is not Ann's.
fn copies_own_rows(wire: &mut Wire, scope: &Scope, table: &Table) -> bool {
    let Table { name, whose, .. } = table;
    let copies = [
        format!("copy {name} to stdout"),
        format!("copy (select * from {name}) to stdout"),
    ];
    let came = copies.map(|copy| match wire.run(&copy).unwrap() {
        Copied::Lines(lines) => {
            let own = lines.iter().filter(|line| line.contains(&whose.id(ANN)));
            assert_eq!(
                own.count(),
                lines.len(),
                "{}: {copy}: {lines:?}",
                scope.name
            );
            !lines.is_empty()
        }
        Copied::Refused(why) if scope.is_garbage() => {
            assert!(why.contains("uuid"), "{copy}: {why}");
            false
        }
        outcome => panic!("{}: {copy}: {outcome:?}", scope.name),
    });
    came.contains(&true)
}

#[tokio::test]
async fn copy_moves_nothing_of_another_tenant() {
    let world = World::create().await;
    for role in ["plinth_app", "plinth_worker"] {
        let mut silent: BTreeSet<&str> = world
            .closed_to(role)
            .map(|table| table.name.as_str())
            .collect();
        for scope in &SCOPES {
            let mut wire = Wire::connect(&world.role_url(role)).unwrap();
            for statement in scope.statements() {
                wire.run(&statement).unwrap();
            }
            for table in world.closed_to(role) {
                if copies_own_rows(&mut wire, scope, table) {
                    silent.remove(table.name.as_str());
                }
                let adds = wire
                    .run(&format!("copy {} from stdin", table.name))
                    .unwrap();
                let why = "COPY FROM not supported with row-level security".to_owned();
                assert_eq!(
                    adds,
                    Copied::Refused(why),
                    "{role}, {}: {}",
                    scope.name,
                    table.name
                );
            }
        }
        let expected: &[&str] = if role == "plinth_app" {
            &[ADDS_ONLY]
        } else {
            &[]
        };
        assert!(
            silent.iter().eq(expected),
            "{role}: nothing came of {silent:?}"
        );
    }
}

#[tokio::test]
async fn a_tenant_does_as_it_likes_with_its_own_rows() {
    let world = World::create().await;
    for role in ["plinth_app", "plinth_worker"] {
        let mut conn = connect(&world.role_url(role));
        SCOPES[0].enter(&mut conn);
        for table in world
            .tables
            .iter()
            .filter(|table| (role, table.name.as_str()) != ("plinth_app", ADDS_ONLY))
        {
            let failures = own_failures(&mut conn, table, ANN, world.row(ANN, &table.name));
            assert_eq!(failures, Vec::<String>::new(), "{role}");
        }
    }
}

#[tokio::test]
async fn a_new_tenant_gets_its_rows_through_the_log_ins() {
    let world = World::create().await;
    for (role, owner) in [("plinth_app", Owner('c')), ("plinth_worker", Owner('d'))] {
        let mut conn = connect(&world.role_url(role));
        for whose in [Whose::Tenant, Whose::Person, Whose::Principal] {
            let set = format!("set app.{} = '{}'", whose.setting(), whose.id(owner));
            conn.batch_execute(&set).unwrap();
        }
        add_rows(&mut conn, &world.tables, owner);
    }
}

#[tokio::test]
async fn a_table_that_gets_no_rows_stops_the_matrix_by_name() {
    let db = TestDb::create().await;
    let mut owner = connect(&db.superuser_url());
    for (table, complaint) in [
        (
            "create table notes (tenant_id uuid, id int4range not null)",
            "notes.id: no value of int4range is known",
        ),
        (
            "create table notes (id uuid); alter table notes enable row level security",
            "notes: policies guard it, and no column says whose",
        ),
    ] {
        let stopped: Result<(), diesel::result::Error> = owner.transaction(|conn| {
            sql_query("select 1").execute(conn)?;
            conn.batch_execute(table)?;
            let walk = std::panic::AssertUnwindSafe(|| tables(conn).len());
            let why = std::panic::catch_unwind(walk).unwrap_err();
            let why = why.downcast_ref::<String>().unwrap();
            assert!(why.starts_with(complaint), "{why}");
            Err(diesel::result::Error::RollbackTransaction)
        });
        assert!(stopped.is_err());
    }
}

#[tokio::test]
async fn a_new_table_is_attacked_without_being_named_anywhere() {
    let db = TestDb::create().await;
    let mut owner = connect(&db.superuser_url());
    owner
        .batch_execute(
            "create table notes (tenant_id uuid not null references tenants, id uuid not null, project_id uuid not null, kind text not null
                 check (kind in ('short', 'long')), words integer not null check (words >= 0), primary key (tenant_id, id),
                 foreign key (tenant_id, project_id) references projects (tenant_id, id));
             alter table notes enable row level security;
             create policy open on notes using (true)",
        )
        .unwrap();
    let world = World::of(db);
    let leaks = all_leaks(&world, "plinth_app");
    assert!(
        leaks.iter().any(|leak| leak.starts_with("notes: selects")),
        "{leaks:#?}"
    );
    assert!(
        leaks.iter().all(|leak| leak.starts_with("notes: ")),
        "{leaks:#?}"
    );
}

#[tokio::test]
async fn views_are_read_too() {
    for (options, sees) in [("with (security_invoker = true)", false), ("", true)] {
        let db = TestDb::create().await;
        let mut owner = connect(&db.superuser_url());
        owner
            .batch_execute(&format!(
                "create view everything {options} as select * from projects"
            ))
            .unwrap();
        let leaks = all_leaks(&World::of(db), "plinth_app");
        assert_eq!(
            leaks
                .iter()
                .any(|leak| leak.starts_with("everything: sees")),
            sees,
            "{leaks:#?}"
        );
    }
}
