//! The queue itself: who gets a job, and whose word about it counts.

use std::{collections::HashSet, time::Duration};

use app::queue::{Failure, NewJob, Priority, Queue, SettleError};
use kernel::{Scope, StoreError, TenantId, UnitOfWork};
use serde_json::json;
use std::sync::Arc;

use crate::bench::{Bench, claim, now, probe};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn many_claimers_share_the_jobs_and_none_gets_one_twice() {
    let bench = Bench::new().await;
    bench
        .with(|store| (0..400).try_for_each(|_| store.enqueue(probe())))
        .await;
    let claimers: Vec<_> = (0..4)
        .map(|_| {
            let store = bench.another();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let claim = claim(7, LONG);
                    let batch = store
                        .run(Scope::global(), move |store| store.claim(&claim))
                        .await
                        .unwrap();
                    if batch.is_empty() {
                        return taken;
                    }
                    taken.extend(batch.into_iter().map(|job| job.lease.job_id));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), 400);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 400);
}

#[tokio::test]
async fn after_a_lease_has_passed_only_the_next_holder_is_believed() {
    let bench = Bench::new().await;
    bench.enqueue(probe()).await;
    let old = bench.claim(1, SHORT).await[0].lease;
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(bench.with(|store| store.reap(10)).await, 1);
    // Back in the queue, and nobody's: the old holder is not believed already.
    assert!(
        bench
            .with(move |store| store.complete(&[old]))
            .await
            .is_empty()
    );

    let job = bench.claim(1, LONG).await.remove(0);
    assert_eq!((job.attempt, job.lease.lease_no), (2, old.lease_no + 1));
    let late = Failure {
        lease: old,
        error: "late".to_owned(),
        retry_after: None,
    };
    assert!(
        bench
            .with(move |store| store.complete(&[old]))
            .await
            .is_empty()
    );
    assert!(
        bench
            .with(move |store| store.fail(&[late]))
            .await
            .is_empty()
    );
    assert!(
        bench
            .with(move |store| store.extend(&[old], LONG))
            .await
            .is_empty()
    );
    bench.with(move |store| store.release(&[old])).await;
    let settled = bench
        .store
        .run(Scope::global(), move |store| store.settle(old))
        .await;
    assert_eq!(settled, Err(SettleError::LeaseLost));
    assert_eq!(bench.text("select state as value from jobs"), "running");

    let new = job.lease;
    assert_eq!(
        bench.with(move |store| store.complete(&[new])).await,
        [new.job_id]
    );
    assert_eq!(bench.text("select state as value from jobs"), "done");
}

#[tokio::test]
async fn a_job_that_killed_its_last_worker_is_buried() {
    let bench = Bench::new().await;
    bench.enqueue(probe().tried_at_most(1)).await;
    assert_eq!(bench.claim(1, SHORT).await.len(), 1);
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(bench.with(|store| store.reap(10)).await, 1);
    assert_eq!(bench.text("select state as value from jobs"), "dead");
    assert!(bench.claim(1, LONG).await.is_empty());
}

#[tokio::test]
async fn work_that_settles_its_own_job_counts_once_or_not_at_all() {
    let bench = Bench::new().await;
    bench.enqueue(probe()).await;
    let lease = bench.claim(1, LONG).await[0].lease;
    // The work fails after it settled: the job is still to be done.
    let failed: Result<(), SettleError> = bench
        .store
        .run(Scope::global(), move |store| {
            store.settle(lease)?;
            Err(StoreError::Unexpected("the rest failed".into()).into())
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(bench.text("select state as value from jobs"), "running");

    bench
        .store
        .run(Scope::global(), move |store| store.settle(lease))
        .await
        .unwrap();
    let again = bench
        .store
        .run(Scope::global(), move |store| store.settle(lease))
        .await;
    assert_eq!(again, Err(SettleError::LeaseLost));
    // What the worker says afterwards agrees.
    assert_eq!(
        bench.with(move |store| store.complete(&[lease])).await,
        [lease.job_id]
    );
}

#[tokio::test]
async fn one_key_is_one_job_until_it_is_done() {
    let bench = Bench::new().await;
    let (ours, theirs) = (TenantId::new(now()), TenantId::new(now()));
    let job = |tenant| NewJob::new("probe", tenant, json!({}), now()).once("key");
    for tenant in [None, None, Some(ours), Some(ours), Some(theirs)] {
        bench.enqueue(job(tenant)).await;
    }
    assert_eq!(bench.number("select count(*) as value from jobs"), 3);
    let claimed = bench.claim(10, LONG).await;
    bench.enqueue(job(None)).await;
    assert_eq!(
        bench.number("select count(*) as value from jobs"),
        3,
        "it still runs"
    );
    let leases: Vec<_> = claimed.iter().map(|job| job.lease).collect();
    bench.with(move |store| store.complete(&leases)).await;
    bench.enqueue(job(None)).await;
    assert_eq!(bench.number("select count(*) as value from jobs"), 4);
}

#[tokio::test]
async fn urgent_jobs_go_first_and_jobs_of_the_future_wait() {
    let bench = Bench::new().await;
    let hour = time::Duration::hours(1);
    let future = bench
        .enqueue(probe().with_priority(Priority::Urgent).at(now() + hour))
        .await;
    let low = bench
        .enqueue(probe().with_priority(Priority::Low).at(now() - hour))
        .await;
    let second = bench.enqueue(probe()).await;
    let first = bench.enqueue(probe().at(now() - hour)).await;
    let urgent = bench.enqueue(probe().with_priority(Priority::Urgent)).await;
    let mut order = Vec::new();
    while let Some(job) = bench.claim(1, LONG).await.pop() {
        order.push(job.lease.job_id);
    }
    assert_eq!(order, [urgent, first, second, low]);
    bench.sql(&format!(
        "update jobs set run_at = now() where id = '{future}'"
    ));
    assert_eq!(bench.claim(1, LONG).await[0].lease.job_id, future);
}

#[tokio::test]
async fn a_worker_takes_only_what_it_knows_from_its_own_queue() {
    let bench = Bench::new().await;
    bench
        .enqueue(NewJob::new("unknown", None, json!({}), now()))
        .await;
    let mut elsewhere = probe();
    elsewhere.queue = "slow".into();
    bench.enqueue(elsewhere).await;
    assert!(bench.claim(10, LONG).await.is_empty());
    assert!(bench.with(|store| store.due("slow")).await.jobs);
    assert!(!bench.with(|store| store.due("other")).await.jobs);
}

#[tokio::test]
async fn what_a_job_knew_is_erased_when_it_is_done() {
    let bench = Bench::new().await;
    bench
        .enqueue(NewJob::new(
            "probe",
            None,
            json!({ "token": "secret" }),
            now(),
        ))
        .await;
    let job = bench.claim(1, LONG).await.remove(0);
    assert_eq!(job.payload, json!({ "token": "secret" }));
    let lease = job.lease;
    bench.with(move |store| store.complete(&[lease])).await;
    assert_eq!(bench.text("select payload::text as value from jobs"), "{}");
}

#[tokio::test]
async fn a_transaction_that_fails_queues_nothing() {
    let bench = Bench::new().await;
    let failed: Result<(), StoreError> = bench
        .store
        .run(Scope::global(), |store| {
            store.enqueue(probe())?;
            Err(StoreError::Unexpected("no".into()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(bench.number("select count(*) as value from jobs"), 0);
}

#[tokio::test]
async fn the_api_adds_jobs_for_its_own_tenant_and_sees_none() {
    let bench = Bench::new().await;
    let api: Arc<dyn UnitOfWork<dyn Queue>> = bench.db.pg().unit_of_work(|tx| tx);
    let (ours, theirs) = (TenantId::new(now()), TenantId::new(now()));
    let add = async |tenant: Option<TenantId>| {
        let job = NewJob::new("probe", tenant, json!({}), now()).once("key");
        api.run(Scope::tenant(ours), move |store| store.enqueue(job))
            .await
    };
    add(Some(ours)).await.unwrap();
    add(Some(ours)).await.unwrap();
    add(None).await.unwrap();
    assert!(add(Some(theirs)).await.is_err());
    assert_eq!(bench.number("select count(*) as value from jobs"), 2);

    let lease = bench.claim(1, LONG).await[0].lease;
    let settled = api
        .run(Scope::tenant(ours), move |store| store.settle(lease))
        .await;
    assert!(matches!(settled, Err(SettleError::Store(_))), "{settled:?}");
    let look = bench.db.app_url();
    let refused = tokio::task::spawn_blocking(move || {
        use diesel::{Connection, PgConnection, connection::SimpleConnection};
        let mut conn = PgConnection::establish(&look).unwrap();
        [
            "select from jobs",
            "delete from jobs",
            "select from schedules",
        ]
        .map(|statement| conn.batch_execute(statement).is_err())
    });
    assert_eq!(refused.await.unwrap(), [true, true, true]);
}
