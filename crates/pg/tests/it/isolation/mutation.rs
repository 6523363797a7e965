//! Does anything notice? Every protection that the catalogue knows is taken away or weakened, one at a time, and the gates and the matrix
//! must see it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    connection::{AnsiTransactionManager, SimpleConnection, TransactionManager},
    result::Error,
    sql_query,
    sql_types::Text,
};
use testkit::TestDb;

use super::{
    GATES, calls,
    gate::CATALOGUE,
    matrix::{World, connect},
    mutants::MUTANTS,
    rows::{ANN, BOB, Whose},
    verbs::{SCOPES, leaks, others, own_failures},
};

/// Changes that let somebody in: the matrix sees each of them without any gate.
const SEEN_FROM_OUTSIDE: [&str; 7] = [
    "row-level security is off",
    "another policy reads everything",
    "another policy changes everything",
    "another policy adds anything",
    "a policy writes everything",
    "a view reads as its owner",
    "a view is a copy",
];

#[derive(QueryableByName)]
struct Mutant {
    #[diesel(sql_type = Text)]
    kind: String,
    /// The table that the matrix looks at, or the function; empty when it has nothing to look at.
    #[diesel(sql_type = Text)]
    on_what: String,
    #[diesel(sql_type = Text)]
    sql: String,
}

fn mutants(conn: &mut PgConnection) -> Vec<Mutant> {
    let all = MUTANTS.iter().flat_map(|(kind, query)| {
        let sql = format!(
            "{CATALOGUE} select '{kind}' as kind, on_what::text, sql::text from ({query}) as mutant (on_what, sql)"
        );
        let found: Vec<Mutant> = sql_query(&sql)
            .load(conn)
            .unwrap_or_else(|why| panic!("{kind}: {why}"));
        assert!(!found.is_empty(), "{kind}: there is nothing to change");
        found
    });
    all.collect()
}

/// Looks at a database that was changed, and undoes what both did.
fn changed<T>(
    conn: &mut PgConnection,
    sql: &str,
    look: impl FnOnce(&mut PgConnection) -> T,
) -> Result<T, Error> {
    AnsiTransactionManager::begin_transaction(conn)?;
    let looked = conn.batch_execute(sql).map(|()| look(conn));
    AnsiTransactionManager::rollback_transaction(conn)?;
    looked
}

fn gates_see(conn: &mut PgConnection) -> bool {
    GATES.iter().any(|gate| !gate.findings(conn).is_empty())
}

/// The part of the matrix that has to do with the change, in two scopes.
fn matrix_sees(world: &World, conn: &mut PgConnection, on_what: &str) -> bool {
    ["plinth_app", "plinth_worker"].into_iter().any(|role| {
        conn.batch_execute(&format!("reset role; set local role {role}"))
            .unwrap();
        SCOPES.iter().take(2).any(|scope| {
            scope.enter(conn);
            if let Some(function) = on_what.strip_prefix("function:") {
                return calls::is_telling(world, conn, scope, function);
            }
            if on_what == "mutant" {
                return others(conn, scope, on_what, "tenant_id", Whose::Tenant).is_some();
            }
            let mut tables = world.closed_to(role);
            tables.any(|table| {
                let is_changed = table.name == on_what || table.root == on_what;
                is_changed && !leaks(conn, scope, table, world.row(BOB, &table.name)).is_empty()
            })
        }) || cannot_reach_its_own(world, conn, role, on_what)
    })
}

fn cannot_reach_its_own(world: &World, conn: &mut PgConnection, role: &str, on_what: &str) -> bool {
    SCOPES[0].enter(conn);
    let mut tables = world.tables.iter();
    tables.any(|table| {
        let row = world.row(ANN, &table.name);
        table.name == on_what
            && (role, on_what) != ("plinth_app", "jobs")
            && !own_failures(conn, table, ANN, row).is_empty()
    })
}

/// Who noticed: the gates, the matrix.
type Seen = (bool, bool);

fn try_each(
    clean: &TestDb,
    world: &World,
    mutants: &[Mutant],
    next: &AtomicUsize,
) -> Vec<(usize, Seen)> {
    let mut gated = connect(&clean.superuser_url());
    let mut peopled = connect(&world.db.superuser_url());
    let mut seen = Vec::new();
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(Mutant { on_what, sql, .. }) = mutants.get(place) else {
            return seen;
        };
        let by_gates =
            changed(&mut gated, sql, gates_see).unwrap_or_else(|why| panic!("{sql}: {why}"));
        let by_matrix = !on_what.is_empty()
            && changed(&mut peopled, sql, |conn| matrix_sees(world, conn, on_what))
                .unwrap_or_else(|why| panic!("{sql}: {why}"));
        seen.push((place, (by_gates, by_matrix)));
    }
}

/// Every change, and who noticed it.
async fn all_seen() -> Vec<(Mutant, Seen)> {
    let clean = [TestDb::create().await, TestDb::create().await];
    let worlds = [World::create().await, World::create().await];
    let mut mutants = mutants(&mut connect(&clean[0].superuser_url()));
    let next = AtomicUsize::new(0);
    let mut seen: Vec<(usize, Seen)> = thread::scope(|scope| {
        let tries = clean.iter().zip(&worlds);
        let threads: Vec<_> = tries
            .map(|(clean, world)| scope.spawn(|| try_each(clean, world, &mutants, &next)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.flatten().collect()
    });
    seen.sort_unstable();
    assert_eq!(seen.len(), mutants.len());
    // What the matrix has no rows of is nothing that it can look at.
    for mutant in &mut mutants {
        let is_table = worlds[0]
            .tables
            .iter()
            .any(|table| table.name == mutant.on_what);
        if !is_table && mutant.on_what != "mutant" {
            mutant.on_what.clear();
        }
    }
    let seen = seen.into_iter().map(|(_, seen)| seen);
    mutants.into_iter().zip(seen).collect()
}

#[tokio::test]
async fn every_weakening_is_noticed() {
    let all = all_seen().await;
    let mut kinds: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (mutant, (by_gates, by_matrix)) in &all {
        let counts = kinds.entry(&mutant.kind).or_default();
        counts[0] += 1;
        counts[1] += usize::from(*by_gates);
        counts[2] += usize::from(*by_matrix);
    }
    for (kind, [total, by_gates, by_matrix]) in &kinds {
        println!("{kind}: {total}, by the gates {by_gates}, by the matrix {by_matrix}");
    }
    let count = |noticed: fn(&Seen) -> bool| all.iter().filter(|(_, seen)| noticed(seen)).count();
    let killed = count(|(by_gates, by_matrix)| *by_gates || *by_matrix);
    let (by_gates, by_matrix) = (count(|seen| seen.0), count(|seen| seen.1));
    println!(
        "mutants: {killed} of {} killed; {by_gates} by the gates, {by_matrix} by the matrix",
        all.len()
    );
    let alive = all.iter().filter(|(_, seen)| *seen == (false, false));
    let alive: Vec<&str> = alive.map(|(mutant, _)| mutant.sql.as_str()).collect();
    assert_eq!(alive, Vec::<&str>::new());
    assert_eq!(killed, all.len());
    let unseen = all.iter().filter(|(mutant, (_, by_matrix))| {
        let is_looked_at = !mutant.on_what.is_empty();
        is_looked_at && SEEN_FROM_OUTSIDE.contains(&mutant.kind.as_str()) && !by_matrix
    });
    let unseen: Vec<&str> = unseen.map(|(mutant, _)| mutant.sql.as_str()).collect();
    assert_eq!(unseen, Vec::<&str>::new(), "not seen by the matrix");
}
