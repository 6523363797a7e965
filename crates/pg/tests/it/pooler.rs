//! Why the settings of a scope are local to its transaction: between two borrowers, a session's settings stay behind.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::Text,
};
use testkit::{PgBouncer, TestDb};

const TENANT: &str = "0190b0a0-0000-7000-8000-000000000001";

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Text)]
    tenant: String,
}

/// Which tenant a borrower that names none finds itself in.
fn tenant_of(borrower: &mut PgConnection) -> String {
    borrower
        .transaction(|conn| {
            sql_query("select coalesce(current_setting('app.tenant_id', true), '') as tenant")
                .get_result::<Known>(conn)
        })
        .unwrap()
        .tenant
}

fn set_for_the_transaction(borrower: &mut PgConnection) {
    borrower
        .transaction(|conn| {
            conn.batch_execute(&format!("set local app.tenant_id = '{TENANT}'"))?;
            assert_eq!(
                sql_query("select current_setting('app.tenant_id') as tenant")
                    .get_result::<Known>(conn)?
                    .tenant,
                TENANT
            );
            Ok::<_, diesel::result::Error>(())
        })
        .unwrap();
}

fn set_for_the_session(borrower: &mut PgConnection) {
    borrower
        .batch_execute(&format!("set app.tenant_id = '{TENANT}'"))
        .unwrap();
}

#[tokio::test]
async fn a_local_setting_ends_with_its_transaction_and_a_sessions_setting_meets_the_next_borrower()
{
    let db = TestDb::create().await;
    // A pool hands the same connection to one borrower after the other.
    let mut borrowed = PgConnection::establish(&db.app_url()).unwrap();
    set_for_the_transaction(&mut borrowed);
    assert_eq!(tenant_of(&mut borrowed), "");
    set_for_the_session(&mut borrowed);
    assert_eq!(tenant_of(&mut borrowed), TENANT);
}

#[tokio::test]
async fn through_a_pooler_a_sessions_setting_reaches_another_client_and_a_local_one_does_not() {
    let db = TestDb::create().await;
    let Some(pooler) = PgBouncer::in_front_of(&db, 1).await else {
        return;
    };
    let connect = || PgConnection::establish(&pooler.url(&db.app_url())).unwrap();
    let (mut first, mut second) = (connect(), connect());
    set_for_the_transaction(&mut first);
    assert_eq!(tenant_of(&mut second), "");
    set_for_the_session(&mut first);
    assert_eq!(tenant_of(&mut second), TENANT);
}
