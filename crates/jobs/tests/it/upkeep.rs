//! What is over goes away, and nothing else.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{SystemClock, UnitOfWork};
use plinth_jobs::{
    Job, JobContext,
    upkeep::{DeleteFinished, DeleteIdempotencyKeys, EnsurePartitions},
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
    run(DeleteIdempotencyKeys::new(store(&bench))).await;
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
async fn the_worker_makes_the_partitions_that_are_missing() {
    let bench = Bench::new().await;
    let newest = "select count(*) as value from pg_class where relispartition and relkind = 'r' and relname ~ '^audit_events_2'";
    let before = bench.number(newest);
    let name = bench.text(
        "select max(relname)::text as value from pg_class where relispartition and relkind = 'r' and relname ~ '^audit_events_2'",
    );
    bench.sql(&format!("drop table {name}"));
    run(EnsurePartitions::new(store(&bench))).await;
    assert_eq!(bench.number(newest), before);
}
