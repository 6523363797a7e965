//! A test database is migrated, its own, and gone afterwards.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::Bool,
};
use plinth_testkit::TestDb;

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

fn ask(url: &str, question: &str) -> bool {
    let mut conn = PgConnection::establish(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    sql_query(format!("select ({question}) as answer"))
        .get_result::<Answer>(&mut conn)
        .unwrap()
        .answer
}

const HAS_TENANTS: &str = "to_regclass('public.tenants') is not null";

#[tokio::test]
async fn each_test_gets_the_schema_and_nobody_elses_changes() {
    let (one, other) = tokio::join!(TestDb::create(), TestDb::create());
    for db in [&one, &other] {
        assert!(ask(&db.app_url(), HAS_TENANTS));
    }
    let mut conn = PgConnection::establish(&one.superuser_url()).unwrap();
    conn.batch_execute("create table public.only_here ()")
        .unwrap();
    assert!(ask(
        &other.superuser_url(),
        "to_regclass('public.only_here') is null"
    ));
}

#[tokio::test]
async fn an_empty_database_has_no_schema() {
    let db = TestDb::empty().await;
    assert!(!ask(&db.superuser_url(), HAS_TENANTS));
}

#[tokio::test]
async fn each_url_is_the_role_it_says() {
    let db = TestDb::create().await;
    for (url, role) in [
        (db.app_url(), "plinth_app"),
        (db.worker_url(), "plinth_worker"),
        (db.owner_url(), "plinth_owner"),
    ] {
        assert!(ask(&url, &format!("current_user = '{role}'")), "{role}");
    }
    db.pg().refuse_unsafe().await.unwrap();
    db.worker_pg().refuse_unsafe().await.unwrap();
}

#[tokio::test]
async fn a_dropped_database_is_gone_even_with_a_connection_open() {
    let db = TestDb::create().await;
    let witness = TestDb::empty().await;
    let _open = PgConnection::establish(&db.app_url()).unwrap();
    let (_, name) = db
        .app_url()
        .rsplit_once('/')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let exists = format!("exists (select from pg_database where datname = '{name}')");
    assert!(ask(&witness.superuser_url(), &exists));
    drop(db);
    assert!(!ask(&witness.superuser_url(), &exists));
}
