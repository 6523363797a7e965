//! What people see of each other, and what look-ups answer about whoever asks.

use diesel::{PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query};
use testkit::TestDb;

use super::{matrix::connect, verbs::texts};

const A: &str = "0a000000-0000-7000-8000-000000000000";
const B: &str = "0b000000-0000-7000-8000-000000000000";
const ANN: &str = "0a000000-0000-7000-8000-0000000000ff";
const BOB: &str = "0b000000-0000-7000-8000-0000000000ff";

/// Two tenants, each with its owner.
fn seed(owner: &mut PgConnection) {
    for (tenant, person, name) in [(A, ANN, "a"), (B, BOB, "b")] {
        let rows = format!(
            "insert into users (id, email) values ('{person}', '{name}@example.com');
             insert into tenants (id, slug, name, status) values ('{tenant}', 'tenant-{name}', 'Tenant {name}', 'active');
             insert into memberships (tenant_id, user_id) values ('{tenant}', '{person}');
             insert into membership_roles (tenant_id, user_id, role_key) values ('{tenant}', '{person}', 'owner')"
        );
        owner.batch_execute(&rows).unwrap();
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
