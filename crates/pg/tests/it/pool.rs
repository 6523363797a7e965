//! The pool under stress: whatever happens to a unit of work, the next one on its connection is nobody's but its own.

use std::{
    io::Write,
    panic::resume_unwind,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Bool},
};
use kernel::{Scope, StoreError, TenantId};
use pg::{Pg, Settings};
use testkit::{PgBouncer, TestDb};
use tokio::runtime::Builder;

use crate::pool_load::{self, CONNECTIONS, STATEMENT_TIMEOUT};

/// The whole load, every time: what goes wrong once in ten thousand times should be met here.
const UNITS: u64 = 100_000;

/// Names the seed when the test fails: `PLINTH_SEED=<seed>` plays it again.
struct Seed(u64);

impl Seed {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is steered by its environment, not by plinth-config"
    )]
    fn draw() -> Self {
        let given = std::env::var("PLINTH_SEED").ok();
        Self(given.map_or_else(
            || u64::from_le_bytes(kernel::id::random_bytes()),
            |text| text.parse().unwrap(),
        ))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            let _said = writeln!(std::io::stderr(), "PLINTH_SEED={seed} plays this again");
        }
    }
}

fn pool(url: String, prepared_statements: bool) -> Pg {
    Pg::connect(&Settings {
        url,
        max_connections: CONNECTIONS,
        statement_timeout: STATEMENT_TIMEOUT,
        prepared_statements,
    })
    .unwrap()
}

#[derive(QueryableByName)]
struct Sessions {
    #[diesel(sql_type = BigInt)]
    open: i64,
    #[diesel(sql_type = BigInt)]
    in_transaction: i64,
}

#[derive(QueryableByName)]
struct Settled {
    #[diesel(sql_type = Bool)]
    knows_nobody: bool,
}

/// The server's side of it: no session is left over, none is in a transaction, and a new one has no settings.
fn nothing_is_left_over(db: &TestDb) {
    let mut observer = PgConnection::establish(&db.superuser_url()).unwrap();
    let mut look = || {
        let sessions: Sessions = sql_query(
            "select count(*) as open, count(*) filter (where state <> 'idle') as in_transaction
             from pg_stat_activity where datname = current_database() and usename = 'plinth_app'",
        )
        .get_result(&mut observer)
        .unwrap();
        (sessions.open, sessions.in_transaction)
    };
    // Sessions whose client is gone take a moment to notice.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (open, in_transaction) = look();
        if open <= CONNECTIONS as i64 && in_transaction == 0 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{open} sessions are open, {in_transaction} in a transaction"
        );
        thread::sleep(Duration::from_millis(50));
    }
    let mut fresh = PgConnection::establish(&db.app_url()).unwrap();
    let settled: Settled = sql_query(
        "select num_nonnulls(current_setting('app.tenant_id', true), current_setting('app.user_id', true),
             current_setting('app.principal_id', true)) = 0 and not exists (select from tenants) as knows_nobody",
    )
    .get_result(&mut fresh)
    .unwrap();
    assert!(settled.knows_nobody);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_units_of_work_on_two_connections_never_see_each_other() {
    let seed = Seed::draw();
    let db = TestDb::create().await;
    let pg = pool(db.app_url(), true);
    pool_load::run(&db, &pg, UNITS, seed.0).await;
    nothing_is_left_over(&db);
}

/// A unit of work whose caller goes away before it has begun, and which panics then.
#[test]
fn what_nobody_waits_for_any_more_spoils_nothing() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let db = TestDb::create().await;
        let pg = Pg::connect(&Settings {
            url: db.app_url(),
            max_connections: 1,
            statement_timeout: STATEMENT_TIMEOUT,
            prepared_statements: true,
        })
        .unwrap();
        pg.ping().await.unwrap();
        let (free, is_free) = mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || is_free.recv());
        let uow = pg.unit_of_work::<dyn tenancy::Store>(|tx| tx);
        let doomed = tokio::spawn(async move {
            let work = |_: &mut (dyn tenancy::Store + 'static)| -> Result<(), StoreError> {
                resume_unwind(Box::new("on purpose"))
            };
            uow.run(Scope::global(), work).await
        });
        let moment = Duration::from_millis(50);
        tokio::time::sleep(moment).await;
        doomed.abort();
        assert!(doomed.await.unwrap_err().is_cancelled());
        let other = tokio::spawn(async move { pg.ping().await });
        tokio::time::sleep(moment).await;
        free.send(()).unwrap();
        busy.await.unwrap().unwrap();
        other.await.unwrap().unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_lends_out_connections_by_the_transaction_changes_nothing() {
    let seed = Seed::draw();
    let db = TestDb::create().await;
    let Some(pooler) = PgBouncer::in_front_of(&db, CONNECTIONS).await else {
        return;
    };
    let pg = pool(pooler.url(&db.app_url()), false);
    pool_load::run(&db, &pg, UNITS / 4, seed.0).await;
    nothing_is_left_over(&db);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_outside_of_any_scope_are_answered_through_a_pooler() {
    let db = TestDb::create().await;
    let Some(pooler) = PgBouncer::in_front_of(&db, CONNECTIONS).await else {
        return;
    };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = pooler.url(&db.app_url());
        tasks.spawn(async move {
            // A pool each time: new sessions are settled between other clients' statements.
            for _ in 0..10 {
                let pg = pool(url.clone(), false);
                pg.refuse_unsafe().await?;
                for _ in 0..20 {
                    pg.ping().await?;
                }
            }
            Ok::<_, kernel::StoreError>(())
        });
    }
    let all = tokio::time::timeout(Duration::from_secs(60), tasks.join_all()).await;
    for answered in all.unwrap() {
        answered.unwrap();
    }
}

#[tokio::test]
async fn no_statement_is_compiled() {
    let db = TestDb::create().await;
    // Something that a store asks tells what holds in its session.
    let tell = "create or replace function app.slug_is_free(p_slug text, p_tenant uuid) returns boolean language sql stable
        as $$ select current_setting('jit') = 'on' $$";
    let mut owner = PgConnection::establish(&db.superuser_url()).unwrap();
    owner.batch_execute(tell).unwrap();
    let compiles = [true, false].map(|prepared_statements| {
        let uow =
            pool(db.app_url(), prepared_statements).unit_of_work::<dyn tenancy::Store>(|tx| tx);
        async move {
            let nobody = TenantId::from(uuid::Uuid::nil());
            let asked = uow.run(Scope::global(), move |store| {
                store.slug_is_free(&tenancy::Slug::parse("any-at-all").unwrap(), nobody)
            });
            asked.await.unwrap()
        }
    });
    for compiles in compiles {
        assert!(!compiles.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_somebody_left_at_work_is_not_lent_out() {
    let db = TestDb::create().await;
    let uow = pool(db.app_url(), true).unit_of_work::<dyn tenancy::Store>(|tx| tx);
    let (sender, has_begun) = std::sync::mpsc::channel();
    let left = tokio::spawn({
        let uow = std::sync::Arc::clone(&uow);
        async move {
            let slow = uow.run(Scope::global(), move |_| {
                sender.send(()).unwrap();
                thread::sleep(Duration::from_secs(3));
                Ok::<_, kernel::StoreError>(())
            });
            slow.await
        }
    });
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
        .await
        .unwrap();
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    let start = Instant::now();
    let next = uow.run(Scope::global(), |_| Ok::<_, kernel::StoreError>(()));
    next.await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "waited for somebody else"
    );
}
