//! The program itself: how it starts, how it stops, and what is left when it is killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::BigInt,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::TestDb;

const PEPPER: &str = "a pepper of at least thirty-two bytes";

/// The program, with nothing of this process's environment.
fn worker(url: &str, mail: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plinth-worker"));
    command
        .env_clear()
        .env("WORKER_DATABASE_URL", url)
        .env("PLINTH__IDENTITY__API_KEY_PEPPER", PEPPER)
        .env("PLINTH__MAIL__FILE", mail)
        .env("PLINTH__WORKER__POLL_MS", "50")
        .env("PLINTH__WORKER__LEASE_SECONDS", "3")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn terminate(mut child: Child) -> (ExitStatus, Duration) {
    let asked = Instant::now();
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    (child.wait().unwrap(), asked.elapsed())
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

fn number(db: &TestDb, query: &str) -> i64 {
    let mut conn = PgConnection::establish(&db.superuser_url()).unwrap();
    sql_query(query)
        .get_result::<Number>(&mut conn)
        .unwrap()
        .value
}

fn until(db: &TestDb, what: &str, wanted: impl Fn(i64) -> bool) -> i64 {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let value = number(db, what);
        if wanted(value) {
            return value;
        }
        assert!(Instant::now() < patience, "{what} still answers {value}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn complaint(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_missing_is_said_at_once_and_nothing_starts() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plinth-worker"));
    command.env_clear();
    let said = complaint(command);
    for name in [
        "WORKER_DATABASE_URL",
        "PLINTH__IDENTITY__API_KEY_PEPPER",
        "SMTP_URL",
    ] {
        assert!(said.contains(name), "{said}");
    }
    let mail = tempfile::tempdir().unwrap();
    let mut command = worker("postgres://plinth_worker@127.0.0.1/x", mail.path());
    command.env("PLINTH__WORKER__CONCURENCY", "4");
    let said = complaint(command);
    assert!(
        said.contains("did you mean PLINTH__WORKER__CONCURRENCY?"),
        "{said}"
    );
}

#[tokio::test]
async fn a_role_that_row_level_security_does_not_bind_is_refused() {
    let db = TestDb::create().await;
    let mail = tempfile::tempdir().unwrap();
    for url in [db.superuser_url(), db.owner_url()] {
        let said = complaint(worker(&url, mail.path()));
        assert!(said.contains("could bypass row-level security"), "{said}");
    }
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_is_gone_within_three_seconds() {
    let db = TestDb::create().await;
    let mail = tempfile::tempdir().unwrap();
    let child = worker(&db.worker_url(), mail.path()).spawn().unwrap();
    until(&db, "select count(*) as value from schedules", |count| {
        count > 0
    });
    let (status, took) = terminate(child);
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_worker_without_a_database_waits_and_still_stops_when_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "postgres://plinth_worker@{}/x",
        listener.local_addr().unwrap()
    );
    drop(listener);
    let mail = tempfile::tempdir().unwrap();
    let mut child = worker(&url, mail.path()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().unwrap().is_none(), "it gave up");
    let (status, took) = terminate(child);
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// Invitations, and the facts that they must be mailed.
fn invite(db: &TestDb, count: usize) {
    let mut conn = PgConnection::establish(&db.superuser_url()).unwrap();
    conn.batch_execute(&format!(
        "set session_replication_role = replica;
         insert into tenants (id, slug, name, status) values ('{tenant}', 'acme', 'Acme', 'active');
         insert into invitations (tenant_id, id, email, role_key, expires_at)
         select '{tenant}', gen_random_uuid(), 'p' || n || '@example.com', 'member', now() + interval '1 day'
         from generate_series(1, {count}) n;
         insert into outbox (tenant_id, id, topic, key, payload, occurred_at)
         select tenant_id, gen_random_uuid(), 'tenancy.invitation_sent', id || '/1',
             jsonb_build_object('invitation_id', id, 'sends', 1), now()
         from invitations",
        tenant = "0195a0b0-0000-7000-8000-000000000001",
    ))
    .unwrap();
}

#[tokio::test]
async fn workers_that_are_killed_lose_nothing_and_double_nothing() {
    const COUNT: usize = 600;
    let db = TestDb::create().await;
    let mail = tempfile::tempdir().unwrap();
    invite(&db, COUNT);
    // Schedules may be due meanwhile, and are jobs as well.
    let done =
        "select count(*) as value from jobs where state = 'done' and kind = 'send_invitation_mail'";
    for killed_after in [1, 150, 300] {
        let mut children = [0, 1].map(|_| worker(&db.worker_url(), mail.path()).spawn().unwrap());
        until(&db, done, |count| count >= killed_after);
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    let children = [0, 1].map(|_| worker(&db.worker_url(), mail.path()).spawn().unwrap());
    let all = i64::try_from(COUNT).unwrap();
    until(&db, done, |count| count == all);
    for child in children {
        assert!(terminate(child).0.success());
    }
    assert_eq!(
        number(
            &db,
            "select count(*) as value from jobs where kind = 'send_invitation_mail'"
        ),
        all
    );
    assert_eq!(
        number(
            &db,
            "select count(*) as value from outbox where relayed_at is null"
        ),
        0
    );
    let mails = std::fs::read_dir(mail.path()).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .ends_with(".eml")
    });
    assert_eq!(mails.count(), COUNT);
}

/// Tenants on the free plan, who have used their month up.
fn use_up(db: &TestDb, tenants: usize) {
    let mut conn = PgConnection::establish(&db.superuser_url()).unwrap();
    conn.batch_execute(&format!(
        "insert into tenants (id, slug, name, status)
         select gen_random_uuid(), 'acme-' || n, 'Acme', 'active' from generate_series(1, {tenants}) n;
         insert into subscriptions (tenant_id, plan_code, plan_version, anchor_at, timezone, interval)
         select id, 'free', 1, now() - interval '1 day', 'UTC', 'month' from tenants;
         insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
         select t.id, m.id, gen_random_uuid(), gen_random_uuid(), now(), now(), 500, n::text, 'test'
         from tenants t, standard_meters m, generate_series(1, 2) n where m.key = 'task_completed'"
    ))
    .unwrap();
}

#[tokio::test]
async fn workers_that_are_killed_tell_each_threshold_once() {
    const TENANTS: usize = 60;
    let db = TestDb::create().await;
    let mail = tempfile::tempdir().unwrap();
    use_up(&db, TENANTS);
    let told = "select count(*) as value from outbox where topic = 'entitlement.threshold_reached'";
    let start = || [0, 1].map(|_| worker(&db.worker_url(), mail.path()).spawn().unwrap());
    let mut children = start();
    until(&db, told, |count| count >= 1);
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let children = start();
    let all = i64::try_from(TENANTS * 2).unwrap();
    until(&db, told, |count| count >= all);
    let before = "select txid as value from quota_watch";
    let mark = number(&db, before);
    let more = "update tenants set updated_at = now()";
    let mut conn = PgConnection::establish(&db.superuser_url()).unwrap();
    conn.batch_execute(more).unwrap();
    until(&db, before, |now| now > mark);
    for child in children {
        assert!(terminate(child).0.success());
    }
    assert_eq!(number(&db, told), all);
    let different =
        "select count(distinct (tenant_id, payload ->> 'threshold')) as value from outbox
        where topic = 'entitlement.threshold_reached'";
    assert_eq!(number(&db, different), all);
}
