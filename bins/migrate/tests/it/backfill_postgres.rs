//! Tables of another PostgreSQL.

use testkit::TestDb;

use crate::fixture::{ACME, Fixture, GLOBEX, execute};

/// Another system's database, with some of its tables.
async fn source(sql: &str) -> TestDb {
    let db = TestDb::empty().await;
    execute(&db.superuser_url(), sql);
    db
}

fn logs(rows: u32) -> String {
    format!(
        "create table usage_logs (id serial primary key, workspace_id uuid not null, user_id integer, metric_type varchar(50) not null,
             quantity integer not null default 1, model varchar(100), metadata jsonb default '{{}}', created_at timestamp default now());
         insert into usage_logs (workspace_id, user_id, metric_type, quantity, metadata, created_at)
         select case when n % 2 = 0 then '{ACME}' else '{GLOBEX}' end::uuid, n, 'tool_call', n,
             jsonb_build_object('n', n), timestamp '2024-06-01 12:00:00' + n * interval '1 second'
         from generate_series(1, {rows}) n"
    )
}

#[tokio::test]
async fn a_table_comes_in_as_a_file_would_and_is_not_changed() {
    let fixture = Fixture::new().await;
    let source = source(&logs(5_000)).await;
    let url = source.superuser_url();
    let arguments = ["usage_logs", "--from", &url];
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("5000 in the source, 5000 accepted")
        .says("the books balance");
    assert_eq!(
        fixture.number("select sum(quantity) from usage_events"),
        12_502_500
    );
    let last = fixture.lines(
        "select concat_ws(' ', event_id, user_id, metadata, occurred_at at time zone 'UTC') from usage_events where event_id = '5000'",
    );
    assert_eq!(last, [r#"5000 5000 {"n": 5000} 2024-06-01 13:23:20"#]);
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("it was finished before, and nothing was changed");
    execute(
        &url,
        &format!("insert into usage_logs (workspace_id, metric_type) values ('{ACME}', 'chat')"),
    );
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("5001 in the source, 5001 accepted");
    execute(&url, "update usage_logs set quantity = 7 where id = 3");
    fixture
        .backfill(&arguments)
        .ends_with(3)
        .says("the source has changed");
    assert_eq!(fixture.number("select count(*) from usage_events"), 5_001);
}

#[tokio::test]
async fn an_import_from_a_table_that_is_killed_goes_on() {
    let fixture = Fixture::new().await;
    let source = source(&logs(20_000)).await;
    let url = source.superuser_url();
    let arguments = ["usage_logs", "--from", &url];
    let mut child = fixture.start(&arguments);
    fixture.wait_for_rows(2_000);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(fixture.rows_done() < 20_000, "it was too late to kill it");
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("going on behind them")
        .says("20000 in the source, 20000 accepted, 0 duplicates");
    assert_eq!(
        fixture.number("select count(distinct event_id) from usage_events"),
        20_000
    );
}

#[tokio::test]
async fn rows_whose_keys_do_not_count_up_are_read_by_their_time() {
    let fixture = Fixture::new().await;
    let source = source(&format!(
        "create schema app; create table app.token_usage (id uuid primary key, workspace_id uuid, project_id uuid, chat_id uuid,
             tokens_used bigint not null, usage_type text not null, created_at timestamptz, created_by uuid);
         insert into app.token_usage (id, workspace_id, tokens_used, usage_type, created_at) values
             ('f0000000-0000-4000-8000-000000000000', '{ACME}', 10, 'chat', '2024-01-01 00:00:00+02'),
             ('10000000-0000-4000-8000-000000000000', '{ACME}', 20, 'search', '2024-01-02 00:00:00+02'),
             ('20000000-0000-4000-8000-000000000000', null, 20, 'search', '2024-01-02 00:00:00+02')"
    ))
    .await;
    let url = source.superuser_url();
    let arguments = ["app.token_usage", "--from", &url];
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("1 rows were refused: backfill.missing_tenant");
    execute(
        &url,
        &format!(
            "insert into app.token_usage (id, workspace_id, tokens_used, usage_type, created_at)
             values ('00000000-0000-4000-8000-000000000000', '{ACME}', 5, 'chat', '2024-01-03 00:00:00Z')"
        ),
    );
    fixture
        .backfill(&arguments)
        .ends_with(0)
        .says("6 in the source, 6 accepted");
    assert_eq!(
        fixture.events("backfill:app.token_usage"),
        [
            "acme 00000000-0000-4000-8000-000000000000#tokens_used tokens 5 2024-01-03T00:00:00",
            "acme 00000000-0000-4000-8000-000000000000#usage_type chat 1 2024-01-03T00:00:00",
            "acme 10000000-0000-4000-8000-000000000000#tokens_used tokens 20 2024-01-01T22:00:00",
            "acme 10000000-0000-4000-8000-000000000000#usage_type search 1 2024-01-01T22:00:00",
            "acme f0000000-0000-4000-8000-000000000000#tokens_used tokens 10 2023-12-31T22:00:00",
            "acme f0000000-0000-4000-8000-000000000000#usage_type chat 1 2023-12-31T22:00:00",
        ]
    );
}

#[tokio::test]
async fn a_log_in_from_whom_the_source_hides_rows_is_refused() {
    let fixture = Fixture::new().await;
    let source = source(&logs(10)).await;
    execute(
        &source.superuser_url(),
        "alter table usage_logs enable row level security; grant select on usage_logs to plinth_worker;
         grant usage on schema public to plinth_worker",
    );
    fixture
        .backfill(&["usage_logs", "--from", &source.worker_url()])
        .ends_with(1)
        .says("row-level security");
    fixture
        .backfill(&["metered_events", "--from", &source.superuser_url()])
        .ends_with(1)
        .says("there is no table metered_events");
    fixture
        .backfill(&[
            "usage_logs",
            "--from",
            &source.superuser_url(),
            "--map",
            "quantity=amount",
        ])
        .ends_with(1)
        .says("there is no column `amount`; the columns are id, workspace_id, user_id");
    assert_eq!(fixture.number("select count(*) from usage_imports"), 0);
}

#[tokio::test]
async fn names_that_need_quotes_are_quoted() {
    let fixture = Fixture::new().await;
    let source = source(
        "create table \"Odd \"\"one\" (\"Key, \"\"1\" integer, who text, \"at\" timestamptz, n numeric);
         insert into \"Odd \"\"one\" values (1, 'acme', '2024-01-01 00:00:00Z', 0.125)",
    )
    .await;
    let url = source.superuser_url();
    let arguments = [
        "\"Odd \"\"one\"",
        "--from",
        &url,
        "--map",
        "id=Key\u{2c} \"1",
        "--source",
        "odd",
    ];
    // A comma parts the fields of one --map, so a name with a comma in it cannot be said.
    fixture.backfill(&arguments).ends_with(1);
    execute(
        &url,
        "alter table \"Odd \"\"one\" rename \"Key, \"\"1\" to \"Key \"\"1\"",
    );
    fixture
        .backfill(&[
            "\"Odd \"\"one\"",
            "--from",
            &url,
            "--map",
            "id=Key \"1,tenant=who,occurred_at=at,metric=@api_calls,quantity=n",
            "--source",
            "odd",
        ])
        .ends_with(0);
    assert_eq!(
        fixture.events("odd"),
        ["acme 1 api_calls 0.125 2024-01-01T00:00:00"]
    );
}
