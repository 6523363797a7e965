//! What is over goes away, and nothing else.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{SystemClock, UnitOfWork};
use plinth_jobs::{
    Job, JobContext,
    billing::ApplyPlanChanges,
    upkeep::{DeleteFinished, DeleteOlder, EnsureAuditPartitions},
};
use serde_json::Value;

use crate::bench::Bench;

fn store(bench: &Bench) -> Arc<dyn UnitOfWork<dyn Upkeep>> {
    bench.db.worker_pg().unit_of_work(|tx| tx)
}

async fn run(job: impl Job) {
    job.run(JobContext::alone(None, Arc::new(SystemClock)), Value::Null)
        .await
        .unwrap();
}

#[tokio::test]
async fn idempotency_keys_are_forgotten_after_a_day() {
    let bench = Bench::new().await;
    bench.sql(
        "insert into idempotency_keys (id, principal_id, key, fingerprint, lease_until, created_at)
         select gen_random_uuid(), gen_random_uuid(), 'k' || n, '', now(), now() - interval '25 hours'
         from generate_series(1, 2500) n;
         insert into idempotency_keys (id, principal_id, key, fingerprint, lease_until, created_at)
         values (gen_random_uuid(), gen_random_uuid(), 'young', '', now(), now() - interval '23 hours')",
    );
    run(DeleteOlder::idempotency_keys(store(&bench))).await;
    assert_eq!(
        bench.text("select string_agg(key, ',') as value from idempotency_keys"),
        "young"
    );
}

#[tokio::test]
async fn finished_jobs_and_relayed_facts_go_and_dead_jobs_stay_longer() {
    let bench = Bench::new().await;
    bench.sql(
        "insert into jobs (id, kind, state, finished_at, last_error)
         select gen_random_uuid(), 'probe', state, now() - age * interval '1 day', state || age
         from (values ('done', 2), ('done', 4), ('cancelled', 4), ('dead', 4), ('dead', 31)) as j(state, age);
         insert into jobs (id, kind, run_at, last_error) values (gen_random_uuid(), 'probe', now() - interval '1 year', 'waits');
         insert into outbox (tenant_id, id, topic, key, occurred_at, relayed_at)
         select gen_random_uuid(), gen_random_uuid(), 'a.b', key, now() - interval '1 year', relayed
         from (values ('old', now() - interval '8 days'), ('young', now() - interval '6 days'), ('waits', null)) as o(key, relayed)",
    );
    run(DeleteFinished::new(store(&bench))).await;
    let jobs =
        bench.text("select string_agg(last_error, ',' order by last_error) as value from jobs");
    assert_eq!(jobs, "dead4,done2,waits");
    assert_eq!(
        bench.text("select string_agg(key, ',' order by key) as value from outbox"),
        "waits,young"
    );
}

#[tokio::test]
async fn a_plan_that_was_ordered_for_later_is_written_down_when_it_is_due() {
    let bench = Bench::new().await;
    let [due, later] = ["due", "later"].map(|slug| bench.tenant(slug, "active"));
    for (tenant, pending) in [
        (due, "- interval '1 second'"),
        (later, "+ interval '1 day'"),
    ] {
        bench.sql(&format!(
            "insert into subscriptions (tenant_id, plan_code, plan_version, pending_plan_code, pending_plan_version,
                 pending_at, anchor_at, timezone, interval)
             values ('{tenant}', 'pro', 1, 'free', 1, now() {pending}, now() - interval '1 month', 'UTC', 'month')"
        ));
    }
    let plan = |tenant| {
        bench.text(&format!(
            "select plan_code as value from tenants where id = '{tenant}'"
        ))
    };
    assert_eq!(plan(due), "pro");
    run(ApplyPlanChanges::new(store(&bench))).await;
    run(ApplyPlanChanges::new(store(&bench))).await;
    assert_eq!((plan(due), plan(later)), ("free".into(), "pro".into()));
    let history = "select string_agg(plan_code, ',') as value from subscription_changes";
    assert_eq!(bench.text(history), "free");
}

#[tokio::test]
async fn sessions_go_thirty_days_after_their_end() {
    let bench = Bench::new().await;
    bench.sql(
        "insert into users (id, email) values ('019a0000-0000-7000-8000-000000000001', 'ann@example.com');
         insert into sessions (id, user_id, family_digest, turn_digest, expires_at, revoked_at, revoked_reason)
         select gen_random_uuid(), '019a0000-0000-7000-8000-000000000001', sha256('a'), sha256('b'),
             now() - age * interval '1 day', ended, case when ended is not null then 'logout' end
         from (values (31, null), (31, now() - interval '40 days'), (29, null), (29, now()), (-2, null)) as s(age, ended)",
    );
    run(DeleteOlder::sessions(store(&bench))).await;
    let left = "select string_agg(date_part('day', now() - expires_at)::text, ',' order by expires_at) as value from sessions";
    assert_eq!(bench.text(left), "29,29,-1");
}

#[tokio::test]
async fn reservations_go_thirty_five_days_after_they_are_over() {
    let bench = Bench::new().await;
    for tenant in ["acme", "globex"].map(|slug| bench.tenant(slug, "active")) {
        bench.sql(&format!(
            "insert into quota_reservations (tenant_id, key, quantity, status, settled_quantity, expires_at, finished_at)
             select '{tenant}', name, 1, status, case status when 'settled' then 1 end,
                 now() - expired * interval '1 day', now() - finished * interval '1 day'
             from (values ('settled', 'settled', 1, 36), ('young', 'settled', 40, 34), ('released', 'released', 1, 36),
                 ('left', 'open', 36, null), ('lately left', 'open', 34, null), ('open', 'open', -1, null))
                 as r(name, status, expired, finished)"
        ));
    }
    run(DeleteOlder::reservations(store(&bench))).await;
    let left =
        "select string_agg(key, ',' order by key, tenant_id) as value from quota_reservations";
    assert_eq!(
        bench.text(left),
        "lately left,lately left,open,open,young,young"
    );
}

#[tokio::test]
async fn the_worker_makes_the_partitions_that_are_missing() {
    let bench = Bench::new().await;
    let newest = "select count(*) as value from pg_class where relispartition and relkind = 'r' and relname ~ '^audit_events_2'";
    let before = bench.number(newest);
    let name = bench.text(
        "select max(relname)::text as value from pg_class where relispartition and relkind = 'r' and relname ~ '^audit_events_2'",
    );
    bench.sql(&format!("drop table {name}"));
    run(EnsureAuditPartitions::new(store(&bench))).await;
    assert_eq!(bench.number(newest), before);
}
