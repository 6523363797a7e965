//! Schedules of a few seconds. The worker that holds one runs its job again and again, and pays one statement per third of a lease for
//! it: no row per run, no look-up per tick.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use app::{queue::WorkerStore, schedule::HeldSchedule};
use kernel::{Scope, StoreError, UnitOfWork};
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

use crate::{Job, JobContext, execute};

/// A held schedule and what it needs to run.
pub(crate) struct Inline {
    pub(crate) db: Arc<dyn UnitOfWork<dyn WorkerStore>>,
    pub(crate) held: HeldSchedule,
    pub(crate) job: Arc<dyn Job>,
    pub(crate) context: JobContext,
    pub(crate) lease: Duration,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// The longest pause after a run that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// No run yet.
const NEVER: i64 = i64::MIN;

impl Inline {
    /// Runs the job on its beat until the worker stops or the schedule is lost.
    pub(crate) async fn run(self) {
        let name = self.held.name.clone();
        tracing::debug!(schedule = name, "holding an inline schedule");
        let last_run = AtomicI64::new(NEVER);
        let lost = {
            let work = pin!(self.work(&last_run));
            let keep = pin!(self.keep(&last_run));
            tokio::select! {
                () = work => false,
                () = keep => true,
            }
        };
        if lost {
            tracing::warn!(
                schedule = name,
                "the inline schedule was lost to another worker, or disabled"
            );
        } else {
            let held = self.held;
            let given = self
                .db
                .run(Scope::global(), move |store| store.let_go(&held))
                .await;
            if let Err(error) = given {
                tracing::warn!(schedule = name, %error, "the schedule was not given back; its lease will pass");
            }
        }
    }

    async fn work(&self, last_run: &AtomicI64) {
        let mut stopping = self.stopping.clone();
        let mut beat = tokio::time::interval(self.held.every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures: u32 = 0;
        loop {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                _ = beat.tick() => {}
            }
            let payload = serde_json::Value::Null;
            let outcome = execute::run(Arc::clone(&self.job), self.context.clone(), payload).await;
            last_run.store(self.context.now().unix_timestamp(), Ordering::Relaxed);
            let Err(error) = outcome else {
                failures = 0;
                continue;
            };
            failures = failures.saturating_add(1);
            let pause = self
                .held
                .every
                .saturating_mul(1 << failures.min(10))
                .min(LONGEST_PAUSE);
            tracing::warn!(schedule = self.held.name, %error, ?pause, "the inline run failed");
            beat.reset_after(pause);
        }
    }

    /// Renews the lease, and returns when it is lost.
    async fn keep(&self, last_run: &AtomicI64) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let at = last_run.load(Ordering::Relaxed);
            let at = OffsetDateTime::from_unix_timestamp(at)
                .ok()
                .filter(|_| at != NEVER);
            match self.renew(at).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(schedule = self.held.name, %error, "cannot renew the lease");
                    if renewed.elapsed() >= self.lease {
                        return;
                    }
                }
            }
        }
    }

    async fn renew(&self, last_run: Option<OffsetDateTime>) -> Result<bool, StoreError> {
        let (held, lease) = (self.held.clone(), self.lease);
        self.db
            .run(Scope::global(), move |store| {
                store.renew(&held, lease, last_run)
            })
            .await
    }
}
