//! The roller where many events come.

use std::{sync::Arc, time::Duration};

use ::usage::{Books, Ledger};
use kernel::SystemClock;
use plinth_jobs::{Job, JobContext, usage::RollUpUsage};
use serde_json::Value;
use tokio::time::sleep;

use crate::bench::Bench;

const MOVED: &str = "select coalesce(sum(count), 0)::bigint::text as value from usage_rollups";
/// Of so many MiB of events the time is noted only now.
const NOTED_NOW: &str = "select sum(brin_summarize_new_values(inhrelid))::text as value
    from pg_inherits where inhparent = 'usage_events_occurred_idx'::regclass";

#[tokio::test]
async fn the_times_of_many_events_are_noted_with_their_sums() {
    let bench = Bench::new().await;
    let books = bench.db.worker_pg().unit_of_work::<dyn Ledger>(|tx| tx);
    let job = RollUpUsage::new(Books::new(books, Arc::new(SystemClock)));
    bench.sql(&format!(
        "insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
         select '{}', '00000000-0000-7000-8000-000000000007', gen_random_uuid(), gen_random_uuid(), now(), now(), 1, 'e' || n, 'plinth'
         from generate_series(1, 20000) n",
        bench.tenant("acme", "active")
    ));
    // Transactions of other tests hold the roller up.
    while bench.text(MOVED) != "20000" {
        let context = JobContext::alone(None, Arc::new(SystemClock));
        job.run(context, Value::Null).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bench.text(NOTED_NOW), "0");
}
