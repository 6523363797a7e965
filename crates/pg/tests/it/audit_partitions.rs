//! Months of the trail: made ahead, and made good after the worker was away.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::Text,
};
use testkit::TestDb;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

fn texts(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows: Vec<Row> = sql_query(sql).load(conn).unwrap();
    rows.into_iter().map(|row| row.text).collect()
}

/// One event in each of five months that have no partition, and one of long ago.
const LATE: &str = "
insert into audit_events (tenant_id, id, created_at, action, crud, actor_type, actor_id, actor_name, target_type, target_id, target_name)
select gen_random_uuid(), gen_random_uuid(), at, 'note.made', 'c', 'user', 'u', 'Ada', 'note', 'n', 'Note'
from unnest(array(select now() + make_interval(months => n) from generate_series(4, 8) n) || timestamptz '2001-01-01') as at";

const WHERE: &str = "select distinct tableoid::regclass::text as text from audit_events order by 1";

#[tokio::test]
async fn months_that_began_without_a_partition_get_one_and_their_events() {
    let db = TestDb::create().await;
    let mut owner = PgConnection::establish(&db.superuser_url()).unwrap();
    owner.batch_execute(LATE).unwrap();
    let contents = "select (a.*)::text as text from audit_events a order by 1";
    let before = texts(&mut owner, contents);
    assert_eq!(before.len(), 6);
    assert_eq!(texts(&mut owner, WHERE), ["audit_events_default"]);

    let mut worker = PgConnection::establish(&db.worker_url()).unwrap();
    let made = texts(
        &mut worker,
        "select app.ensure_audit_partitions(8)::text as text",
    );
    assert_eq!(made, ["6"], "three months from now to eight");

    assert_eq!(texts(&mut owner, contents), before);
    let places = texts(&mut owner, WHERE);
    assert_eq!(places.len(), 6, "{places:?}");
    assert_eq!(
        texts(
            &mut owner,
            "select action as text from audit_events_default"
        ),
        ["note.made"],
        "what no month was made for stays"
    );
    let again = texts(
        &mut worker,
        "select app.ensure_audit_partitions(8)::text as text",
    );
    assert_eq!(again, ["0"]);
}

#[tokio::test]
async fn a_month_that_was_made_late_is_like_the_others() {
    let db = TestDb::create().await;
    let mut owner = PgConnection::establish(&db.superuser_url()).unwrap();
    owner.batch_execute(LATE).unwrap();
    owner
        .batch_execute("select app.ensure_audit_partitions(8)")
        .unwrap();
    let shapes = "
        select distinct concat_ws('; ', c.relrowsecurity, c.relforcerowsecurity,
            (select string_agg(p.polname, ',') from pg_policy p where p.polrelid = c.oid),
            (select string_agg(concat_ws(' ', n.inhparent::regclass, x.indkey), ',' order by n.inhparent)
             from pg_index x join pg_inherits n on n.inhrelid = x.indexrelid where x.indrelid = c.oid),
            (select string_agg(pg_get_constraintdef(k.oid), ',' order by pg_get_constraintdef(k.oid)) from pg_constraint k where k.conrelid = c.oid),
            (select string_agg(concat_ws(' ', a.attname, a.atttypid, a.attnotnull, a.attstorage, pg_get_expr(d.adbin, d.adrelid)), ',' order by a.attnum)
             from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
             where a.attrelid = c.oid and a.attnum > 0)) as text
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'audit_events'::regclass";
    let shapes = texts(&mut owner, shapes);
    assert_eq!(shapes.len(), 1, "{shapes:#?}");
}

#[tokio::test]
async fn workers_that_make_months_at_once_make_each_once() {
    let db = TestDb::create().await;
    PgConnection::establish(&db.superuser_url())
        .unwrap()
        .batch_execute(LATE)
        .unwrap();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let url = db.worker_url();
            std::thread::spawn(move || {
                let mut worker = PgConnection::establish(&url).unwrap();
                texts(
                    &mut worker,
                    "select app.ensure_audit_partitions(12)::text as text",
                )
            })
        })
        .collect();
    let mut made: Vec<_> = workers
        .into_iter()
        .flat_map(|worker| worker.join().unwrap())
        .collect();
    made.sort();
    assert_eq!(made, ["0", "0", "0", "10"]);
}
