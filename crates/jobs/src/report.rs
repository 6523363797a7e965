//! What is said about jobs afterwards. Jobs that end close to each other are settled in one transaction.

use std::{sync::Arc, time::Duration};

use app::queue::{ClaimedJob, Failure, Lease, WorkerStore};
use kernel::{Scope, StoreError, UnitOfWork, id::random_bytes};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{JobError, job::pause_after, running::Running};

/// How one run ended.
pub(crate) struct Ended {
    pub(crate) job: ClaimedJob,
    pub(crate) result: Result<(), JobError>,
}

/// How long to wait for a store that is away. The leases are extended meanwhile, or pass: then the jobs run again.
const PAUSE: Duration = Duration::from_millis(500);

/// Settles jobs as they end, until nobody can send any more.
pub(crate) async fn report(
    db: Arc<dyn UnitOfWork<dyn WorkerStore>>,
    running: Arc<Running>,
    mut ended: UnboundedReceiver<Ended>,
) {
    let mut batch = Vec::new();
    while ended.recv_many(&mut batch, 500).await > 0 {
        let leases: Vec<Lease> = batch.iter().map(|ended| ended.job.lease).collect();
        let (done, failed) = sort(std::mem::take(&mut batch));
        loop {
            match settle(&db, done.clone(), failed.clone()).await {
                Ok(lost) if lost > 0 => {
                    tracing::warn!(lost, "jobs ended after somebody else had taken them");
                }
                Ok(_) => {}
                Err(StoreError::Unavailable(error)) => {
                    tracing::warn!(error, "cannot say how jobs ended; trying again");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot say how jobs ended; they will run again");
                }
            }
            break;
        }
        running.forget(leases);
    }
}

fn sort(batch: Vec<Ended>) -> (Vec<Lease>, Vec<Failure>) {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for Ended { job, result } in batch {
        match result {
            Ok(()) => done.push(job.lease),
            Err(error) => failed.push(failure(&job, error)),
        }
    }
    (done, failed)
}

/// Another try, or the end of it.
fn failure(job: &ClaimedJob, error: JobError) -> Failure {
    let (error, may_pass) = match error {
        JobError::Retry(error) => (error, true),
        JobError::Fatal(error) => (error, false),
    };
    let [random] = random_bytes();
    let again = may_pass && job.attempt < job.max_attempts;
    let retry_after = again.then(|| pause_after(job.attempt, random));
    let (kind, id, attempt) = (&job.kind, job.lease.job_id, job.attempt);
    match retry_after {
        Some(pause) => {
            tracing::warn!(kind, %id, attempt, error, ?pause, "the job failed and will be tried again");
        }
        None => tracing::error!(kind, %id, attempt, error, "the job is dead"),
    }
    Failure {
        lease: job.lease,
        error,
        retry_after,
    }
}

/// Answers how many of them no longer counted.
async fn settle(
    db: &Arc<dyn UnitOfWork<dyn WorkerStore>>,
    done: Vec<Lease>,
    failed: Vec<Failure>,
) -> Result<usize, StoreError> {
    db.run(Scope::global(), move |store| {
        let mut counted = 0;
        if !done.is_empty() {
            counted += store.complete(&done)?.len();
        }
        if !failed.is_empty() {
            counted += store.fail(&failed)?.len();
        }
        Ok((done.len() + failed.len()).saturating_sub(counted))
    })
    .await
}
