//! `app::queue::Queue` and `app::queue::Jobs`: who gets a job, and whose word about it counts.

use std::{collections::BTreeSet, time::Duration};

use app::{
    queue::{Claim, ClaimedJob, Due, Failure, Lease, NewJob, Priority, SettleError, WorkerStore},
    schedule::{NewSchedule, Runs, Timing},
};
use audit::Fact;
use kernel::{Clock, JobId, Scope, StoreError, SystemClock, TenantId};
use serde_json::json;
use time::OffsetDateTime;

use super::{Backend, fixture, run};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn probe() -> NewJob {
    NewJob::new("probe", None, json!({}), fixture::at(0))
}

fn in_an_hour() -> OffsetDateTime {
    SystemClock.now() + time::Duration::HOUR
}

/// Runs a command of a worker.
async fn work<T: Send + 'static>(
    backend: &impl Backend,
    command: impl FnOnce(&mut (dyn WorkerStore + 'static)) -> Result<T, StoreError> + Send + 'static,
) -> T {
    run(backend.worker(), Scope::global(), command)
        .await
        .unwrap()
}

async fn enqueue(backend: &impl Backend, job: NewJob) -> JobId {
    let id = job.id;
    work(backend, move |store| store.enqueue(job)).await;
    id
}

fn of_probes(limit: u32, lease: Duration) -> Claim {
    Claim {
        queue: "default".to_owned(),
        kinds: vec!["probe".to_owned(), "other".to_owned()],
        limit,
        lease,
    }
}

async fn claim(backend: &impl Backend, limit: u32, lease: Duration) -> Vec<ClaimedJob> {
    let claim = of_probes(limit, lease);
    work(backend, move |store| store.claim(&claim)).await
}

async fn claim_one(backend: &impl Backend, lease: Duration) -> ClaimedJob {
    let mut claimed = claim(backend, 1, lease).await;
    claimed.pop().unwrap()
}

async fn reap(backend: &impl Backend) -> u64 {
    work(backend, |store| store.reap(10)).await
}

async fn settle(backend: &impl Backend, lease: Lease) -> Result<(), SettleError> {
    run(backend.worker(), Scope::global(), move |store| {
        store.settle(lease)
    })
    .await
}

async fn complete(backend: &impl Backend, lease: Lease) -> Vec<JobId> {
    work(backend, move |store| store.complete(&[lease])).await
}

async fn fail(backend: &impl Backend, lease: Lease, retry_after: Option<Duration>) -> Vec<JobId> {
    let failure = Failure {
        lease,
        error: "no\0 way".to_owned(),
        retry_after,
    };
    work(backend, move |store| store.fail(&[failure])).await
}

/// Everything about a job reaches the worker that takes it.
pub async fn a_job_is_claimed_as_it_was_queued(backend: &impl Backend) {
    let tenant = TenantId::new(fixture::at(0));
    let payload = json!({"to": "ada", "n": [1, null]});
    let job = NewJob::new("probe", Some(tenant), payload.clone(), fixture::at(0)).tried_at_most(3);
    let id = enqueue(backend, job).await;
    let expected = ClaimedJob {
        lease: Lease {
            job_id: id,
            lease_no: 1,
        },
        tenant_id: Some(tenant),
        kind: "probe".to_owned(),
        attempt: 1,
        max_attempts: 3,
        payload,
    };
    assert_eq!(claim(backend, 5, LONG).await, [expected]);
    assert_eq!(claim(backend, 5, LONG).await, [], "it is taken");
}

/// The more urgent first, then the one that is due longest, then the one that was made first; what is not due, of another queue, or of a
/// kind that nobody asked for waits.
pub async fn due_jobs_come_by_priority_and_then_longest_due(backend: &impl Backend) {
    let job = |name: &str, priority, second| {
        let job = NewJob::new("probe", None, json!(name), fixture::at(0));
        job.with_priority(priority).at(fixture::at(second))
    };
    let mut elsewhere = job("elsewhere", Priority::Urgent, 0);
    elsewhere.queue = "mail".into();
    let mut unknown = job("unknown", Priority::Urgent, 0);
    unknown.kind = "unknown".into();
    for job in [
        job("idle", Priority::Idle, -90),
        job("low", Priority::Low, -80),
        job("late", Priority::Normal, 2),
        job("early", Priority::Normal, 1),
        job("urgent", Priority::Urgent, 3),
        job("future", Priority::Urgent, 0).at(in_an_hour()),
        elsewhere,
        unknown,
    ] {
        enqueue(backend, job).await;
    }
    let mut order = Vec::new();
    while let Some(job) = claim(backend, 1, LONG).await.pop() {
        order.push(job.payload);
    }
    assert_eq!(order, ["urgent", "early", "late", "low", "idle"]);
    let mut mail = of_probes(5, LONG);
    mail.queue = "mail".to_owned();
    let claimed = work(backend, move |store| store.claim(&mail)).await;
    assert_eq!(claimed.len(), 1);
}

/// A claim takes what goes first and no more than it asks for.
pub async fn a_claim_takes_no_more_than_it_asks_for(backend: &impl Backend) {
    for second in [3, 1, 4, 2] {
        let job = NewJob::new("probe", None, json!(second), fixture::at(0));
        enqueue(backend, job.at(fixture::at(second))).await;
    }
    let payloads = |jobs: Vec<ClaimedJob>| -> BTreeSet<i64> {
        let numbers = jobs.iter().map(|job| job.payload.as_i64().unwrap());
        numbers.collect()
    };
    assert_eq!(claim(backend, 0, LONG).await, []);
    let first = payloads(claim(backend, 3, LONG).await);
    assert_eq!(first, BTreeSet::from([1, 2, 3]));
    let rest = payloads(claim(backend, 3, LONG).await);
    assert_eq!(rest, BTreeSet::from([4]));
}

/// Several workers share the jobs, and none takes one that another has.
pub async fn claimers_share_the_jobs_and_none_gets_one_twice(backend: &impl Backend) {
    work(backend, |store| {
        (0..60).try_for_each(|_| store.enqueue(probe()))
    })
    .await;
    let claimers: Vec<_> = (0..4)
        .map(|_| {
            let worker = backend.worker();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let claim = of_probes(7, LONG);
                    let batch = worker
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
    let different: BTreeSet<JobId> = all.iter().copied().collect();
    assert_eq!((all.len(), different.len()), (60, 60));
}

/// A job is queued with the transaction that makes it necessary, or not at all.
pub async fn a_job_is_queued_with_its_transaction(backend: &impl Backend) {
    let failed: Result<(), StoreError> = run(backend.worker(), Scope::global(), |store| {
        store.enqueue(probe())?;
        Err(StoreError::Unexpected("the rest failed".to_owned()))
    })
    .await;
    assert!(failed.is_err());
    assert_eq!(claim(backend, 5, LONG).await, []);
}

/// While a job of a tenant, kind and key waits or runs, a second is dropped; so is a second of the same id.
pub async fn a_job_with_a_key_waits_once(backend: &impl Backend) {
    let (a, b) = (TenantId::new(fixture::at(0)), TenantId::new(fixture::at(0)));
    let keyed = |kind: &'static str, tenant, key: &str| {
        NewJob::new(kind, tenant, json!({}), fixture::at(0)).once(key)
    };
    for job in [
        keyed("probe", None, "k"),
        keyed("probe", None, "k"),
        keyed("probe", Some(a), "k"),
        keyed("probe", Some(a), "k"),
        keyed("probe", Some(b), "k"),
        keyed("probe", None, "l"),
        keyed("other", None, "k"),
        probe(),
        probe(),
    ] {
        enqueue(backend, job.clone()).await;
        enqueue(backend, job).await;
    }
    assert_eq!(claim(backend, 50, LONG).await.len(), 7);
    // They run, and still are the one.
    enqueue(backend, keyed("probe", None, "l")).await;
    assert_eq!(claim(backend, 50, LONG).await, []);
}

/// When the job with a key is done or dead, the key is free; while it waits for another try, it is not.
pub async fn a_key_is_free_when_its_job_is_over(backend: &impl Backend) {
    let keyed = || probe().once("k");
    enqueue(backend, keyed()).await;
    let job = claim_one(backend, LONG).await;
    fail(backend, job.lease, Some(Duration::ZERO)).await;
    enqueue(backend, keyed()).await;
    let again = claim_one(backend, LONG).await;
    assert_eq!(again.lease.job_id, job.lease.job_id);
    assert_eq!(claim(backend, 5, LONG).await, []);

    complete(backend, again.lease).await;
    let second = enqueue(backend, keyed()).await;
    let job = claim_one(backend, LONG).await;
    assert_eq!(job.lease.job_id, second);
    fail(backend, job.lease, None).await;
    let third = enqueue(backend, keyed()).await;
    assert_eq!(claim_one(backend, LONG).await.lease.job_id, third);
}

/// A failed job waits as long as it was told to, and then is tried again; one that is not to be tried again is dead.
pub async fn a_failed_job_is_tried_again_or_dead(backend: &impl Backend) {
    let id = enqueue(backend, probe()).await;
    let first = claim_one(backend, LONG).await;
    let counted = fail(backend, first.lease, Some(Duration::ZERO)).await;
    assert_eq!(counted, [id]);
    let second = claim_one(backend, LONG).await;
    assert_eq!((second.attempt, second.lease.lease_no), (2, 2));
    fail(backend, second.lease, Some(LONG)).await;
    assert_eq!(claim(backend, 5, LONG).await, [], "not yet");

    let dead = enqueue(backend, probe()).await;
    let job = claim_one(backend, LONG).await;
    assert_eq!(fail(backend, job.lease, None).await, [dead]);
    assert_eq!(claim(backend, 5, LONG).await, []);
    assert_eq!(complete(backend, job.lease).await, []);
}

/// A job whose worker is not heard from goes to another. What the first one says after that does not count.
pub async fn after_a_lease_has_passed_only_the_next_holder_is_believed(backend: &impl Backend) {
    let held = enqueue(backend, probe()).await;
    let job = claim_one(backend, LONG).await;
    assert_eq!(reap(backend).await, 0, "it is held still");
    assert_eq!(claim(backend, 5, LONG).await, []);
    assert_eq!(complete(backend, job.lease).await, [held]);

    let id = enqueue(backend, probe()).await;
    let old = claim_one(backend, SHORT).await.lease;
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(
        claim(backend, 5, LONG).await,
        [],
        "it is put back before it is taken"
    );
    assert_eq!((reap(backend).await, reap(backend).await), (1, 0));
    assert_eq!(complete(backend, old).await, []);

    let job = claim_one(backend, LONG).await;
    assert_eq!((job.attempt, job.lease.lease_no), (2, old.lease_no + 1));
    assert_eq!(complete(backend, old).await, []);
    assert_eq!(fail(backend, old, None).await, []);
    let extended = work(backend, move |store| store.extend(&[old], LONG)).await;
    assert_eq!(extended, []);
    work(backend, move |store| store.release(&[old])).await;
    assert_eq!(settle(backend, old).await, Err(SettleError::LeaseLost));
    assert_eq!(claim(backend, 5, LONG).await, []);
    assert_eq!(complete(backend, job.lease).await, [id]);
}

/// A worker that was late but is still the last holder is believed: nobody else has the job.
pub async fn a_late_holder_is_believed_until_the_job_is_put_back(backend: &impl Backend) {
    let id = enqueue(backend, probe()).await;
    let lease = claim_one(backend, SHORT).await.lease;
    tokio::time::sleep(SHORT * 2).await;
    let extended = work(backend, move |store| store.extend(&[lease], LONG)).await;
    assert_eq!(extended, [id]);
    assert_eq!(reap(backend).await, 0);
    assert_eq!(settle(backend, lease).await, Ok(()));
}

/// A job that killed its worker at its last try is buried, and up to so many are put back at once.
pub async fn the_last_try_is_the_last(backend: &impl Backend) {
    for _ in 0..3 {
        enqueue(backend, probe().tried_at_most(1)).await;
    }
    assert_eq!(claim(backend, 5, SHORT).await.len(), 3);
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(work(backend, |store| store.reap(2)).await, 2);
    assert_eq!((reap(backend).await, reap(backend).await), (1, 0));
    assert_eq!(claim(backend, 5, LONG).await, []);
}

/// A job that was given back is as if nobody had tried it, and may be taken at once.
pub async fn a_released_job_is_as_if_untried(backend: &impl Backend) {
    enqueue(backend, probe()).await;
    let job = claim_one(backend, LONG).await;
    work(backend, move |store| store.release(&[job.lease])).await;
    let again = claim_one(backend, LONG).await;
    assert_eq!((again.attempt, again.lease.lease_no), (1, 2));
    assert_eq!(complete(backend, job.lease).await, []);
}

/// Work that settles its own job is done when its transaction commits, and not when it does not.
pub async fn work_that_settles_its_own_job_counts_once_or_not_at_all(backend: &impl Backend) {
    let id = enqueue(backend, probe()).await;
    let lease = claim_one(backend, LONG).await.lease;
    let failed: Result<(), SettleError> = run(backend.worker(), Scope::global(), move |store| {
        store.settle(lease)?;
        Err(StoreError::Unexpected("the rest failed".to_owned()).into())
    })
    .await;
    assert!(failed.is_err());
    assert_eq!(settle(backend, lease).await, Ok(()));
    assert_eq!(settle(backend, lease).await, Err(SettleError::LeaseLost));
    assert_eq!(fail(backend, lease, Some(LONG)).await, []);
    assert_eq!(complete(backend, lease).await, [id], "it counts as done");
}

/// In a batch, each job is settled on its own.
pub async fn one_word_of_a_batch_that_does_not_count_spoils_no_other(backend: &impl Backend) {
    for _ in 0..3 {
        enqueue(backend, probe()).await;
    }
    let jobs = claim(backend, 3, LONG).await;
    let mut leases: Vec<Lease> = jobs.iter().map(|job| job.lease).collect();
    leases[1].lease_no += 1;
    let nobody = Lease {
        job_id: JobId::new(fixture::at(0)),
        lease_no: 1,
    };
    leases.push(nobody);
    let expected = BTreeSet::from([leases[0].job_id, leases[2].job_id]);
    let (held, done) = (leases.clone(), leases);
    let extended = work(backend, move |store| store.extend(&held, LONG)).await;
    assert_eq!(BTreeSet::from_iter(extended), expected);
    let completed = work(backend, move |store| store.complete(&done)).await;
    assert_eq!(BTreeSet::from_iter(completed), expected);
}

/// An idle worker sees at a glance what there is to do.
pub async fn what_waits_is_seen_at_a_glance(backend: &impl Backend) {
    let due = || work(backend, |store| store.due("default"));
    assert_eq!(due().await, Due::default());
    let mut elsewhere = probe();
    elsewhere.queue = "mail".into();
    enqueue(backend, elsewhere).await;
    enqueue(backend, probe().at(in_an_hour())).await;
    assert_eq!(due().await, Due::default());

    enqueue(backend, probe()).await;
    let mut expected = Due {
        jobs: true,
        ..Due::default()
    };
    assert_eq!(due().await, expected);
    claim(backend, 1, SHORT).await;
    tokio::time::sleep(SHORT * 2).await;
    (expected.jobs, expected.lost_jobs) = (false, true);
    assert_eq!(due().await, expected);

    publish(backend).await;
    expected.facts = true;
    assert_eq!(due().await, expected);
    work(backend, |store| {
        let facts = store.unrelayed(5)?;
        store.mark_relayed(&facts)
    })
    .await;
    expected.facts = false;
    assert_eq!(due().await, expected);
}

/// So are schedules that are due, and inline ones that nobody holds.
pub async fn schedules_are_seen_at_a_glance(backend: &impl Backend) {
    let due = || work(backend, |store| store.due("default"));
    let mut expected = Due::default();
    let schedule = |name, runs, first| {
        let every = Timing::Every(LONG);
        let schedule = NewSchedule {
            name,
            kind: "probe",
            timing: every,
            zone: "UTC",
            runs,
        };
        work(backend, move |store| store.declare(&[(schedule, first)]))
    };
    schedule("future", Runs::Queued, in_an_hour()).await;
    assert_eq!(due().await, expected);
    schedule("due", Runs::Queued, fixture::at(0)).await;
    expected.schedules = true;
    assert_eq!(due().await, expected);
    schedule("inline", Runs::Inline, in_an_hour()).await;
    expected.inline_schedules = true;
    assert_eq!(due().await, expected);
    let kinds = vec!["probe".to_owned()];
    work(backend, move |store| store.hold(&kinds, LONG)).await;
    expected.inline_schedules = false;
    assert_eq!(due().await, expected);
}

async fn publish(backend: &impl Backend) {
    let id = fixture::stored_tenant(backend, "acme").await.id;
    let fact = Fact {
        tenant_id: id,
        topic: "tenancy.renamed",
        key: None,
        payload: json!({}),
        occurred_at: fixture::at(0),
    };
    let published = run(backend.audit(), Scope::tenant(id), |store| {
        store.publish(fact)
    });
    published.await.unwrap();
}

/// A request queues for its own tenant or for the deployment, and never for another tenant.
pub async fn a_request_queues_for_its_own_tenant_or_the_deployment(backend: &impl Backend) {
    let own = TenantId::new(fixture::at(0));
    let enqueue = |tenant| {
        let job = NewJob::new("probe", tenant, json!({}), fixture::at(0));
        run(backend.queue(), Scope::tenant(own), move |store| {
            store.enqueue(job)
        })
    };
    assert_eq!(enqueue(Some(own)).await, Ok(()));
    assert_eq!(enqueue(None).await, Ok(()));
    let other = enqueue(Some(TenantId::new(fixture::at(0)))).await;
    assert!(matches!(other, Err(StoreError::Unexpected(_))), "{other:?}");
    assert_eq!(claim(backend, 5, LONG).await.len(), 2);
}

/// A job that nobody could run is refused when it is queued.
pub async fn a_broken_job_is_refused(backend: &impl Backend) {
    let mut kind = probe();
    kind.kind = "Send mail".into();
    let mut queue = probe();
    queue.queue = "".into();
    for (job, constraint) in [
        (kind, "jobs_kind_check"),
        (queue, "jobs_queue_check"),
        (probe().tried_at_most(0), "jobs_max_attempts_check"),
        (probe().once(""), "jobs_dedupe_key_check"),
        (probe().once("k".repeat(256)), "jobs_dedupe_key_check"),
    ] {
        let queued = run(backend.worker(), Scope::global(), move |store| {
            store.enqueue(job)
        });
        let queued = queued.await;
        assert!(
            matches!(&queued, Err(error) if error.conflicts_with(constraint)),
            "{constraint}: {queued:?}"
        );
    }
    enqueue(backend, probe().once("ü".repeat(255))).await;
}
