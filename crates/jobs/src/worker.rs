//! The worker: looks for work, runs it, and stops in time.

use std::{sync::Arc, time::Duration};

use app::queue::{Claim, ClaimedJob, Due, Lease, WorkerStore};
use kernel::{Clock, Scope, StoreError, UnitOfWork};
use tokio::{
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tracing::Instrument;

use crate::{
    JobContext, JobError, Registry, execute,
    inline::Inline,
    relay,
    report::{Ended, report},
    running::Running,
    schedule,
};

/// How a worker works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The queue it takes jobs from.
    pub queue: String,
    /// Jobs at once.
    pub concurrency: usize,
    /// How often it looks for work when idle.
    pub poll: Duration,
    /// How long what it holds stays with it when it is not heard from.
    pub lease: Duration,
    /// Time that jobs are given when it stops.
    pub shutdown: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue: app::queue::DEFAULT_QUEUE.to_owned(),
            concurrency: 8,
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(30),
            shutdown: Duration::from_secs(2),
        }
    }
}

/// A worker stopped without being asked to: a defect, which the log explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker stopped by itself")]
pub struct Died;

/// A worker. Several may run at once, in one process or in many.
pub struct Worker {
    db: Arc<dyn UnitOfWork<dyn WorkerStore>>,
    clock: Arc<dyn Clock>,
    registry: Arc<Registry>,
    settings: Settings,
    running: Arc<Running>,
    stopping: watch::Sender<bool>,
}

impl Worker {
    /// A worker over `db` that knows what is in `registry`.
    #[must_use]
    pub fn new(
        db: Arc<dyn UnitOfWork<dyn WorkerStore>>,
        clock: Arc<dyn Clock>,
        registry: Registry,
        settings: Settings,
    ) -> Self {
        let (stopping, _) = watch::channel(false);
        let (registry, running) = (Arc::new(registry), Arc::new(Running::default()));
        Self {
            db,
            clock,
            registry,
            settings,
            running,
            stopping,
        }
    }

    /// Works until `stop` is ready. Then takes nothing more, gives running jobs their time, and gives back what is left: others may
    /// take it at once.
    ///
    /// # Errors
    /// [`Died`] when the worker stopped by itself. Start it anew: the jobs that it held come back when their leases pass.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), Died> {
        let worker = Arc::new(self);
        let (ended, reports) = unbounded_channel();
        let (db, running) = (Arc::clone(&worker.db), Arc::clone(&worker.running));
        let reporter = tokio::spawn(report(db, running, reports));
        let keeper = tokio::spawn(Arc::clone(&worker).keep_leases());
        let mut dispatcher = tokio::spawn(Arc::clone(&worker).dispatch(ended));
        tokio::select! {
            () = stop => {}
            _ = &mut dispatcher => return Err(Died),
        }

        tracing::info!(running = worker.running.len(), "stopping");
        let deadline = Instant::now() + worker.settings.shutdown;
        worker.stopping.send_replace(true);
        let dispatcher_abort = dispatcher.abort_handle();
        // The inline schedules belong to the dispatcher, and give theirs back before it ends.
        let in_time = tokio::time::timeout_at(deadline, async {
            let _ = dispatcher.await;
            worker.running.empty().await;
        });
        if in_time.await.is_err() {
            dispatcher_abort.abort();
            worker.give_back().await;
        }
        keeper.abort();
        reporter.abort();
        tracing::info!("stopped");
        Ok(())
    }

    /// Looks for work on the beat, and whenever there may be more of it than fitted.
    async fn dispatch(self: Arc<Self>, ended: UnboundedSender<Ended>) {
        let mut stopping = self.stopping.subscribe();
        let mut beat = tokio::time::interval(self.settings.poll);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut inline = JoinSet::new();
        let mut declared = false;
        let mut more = false;
        loop {
            let freed = self.running.freed();
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => break,
                _ = beat.tick() => {}
                () = freed, if more => {}
                // Room for more was there from the start: the freed one may have come before this look.
                () = std::future::ready(()), if more && self.room() > 0 => {}
            }
            let turn = async {
                if !declared {
                    self.declare().await?;
                    declared = true;
                }
                self.turn(&ended, &mut inline).await
            };
            more = turn.await.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot look for work; trying again");
                false
            });
        }
        while inline.join_next().await.is_some() {}
    }

    async fn declare(&self) -> Result<(), StoreError> {
        let (schedules, now) = (self.registry.schedules().to_vec(), self.clock.now());
        self.db
            .run(Scope::global(), move |store| {
                schedule::declare(store, &schedules, now)
            })
            .await
    }

    /// One look, and what follows from it. Answers whether there may be more.
    async fn turn(
        self: &Arc<Self>,
        ended: &UnboundedSender<Ended>,
        inline: &mut JoinSet<()>,
    ) -> Result<bool, StoreError> {
        while inline.try_join_next().is_some() {}
        let queue = self.settings.queue.clone();
        let due: Due = self
            .db
            .run(Scope::global(), move |store| store.due(&queue))
            .await?;
        let mut more = false;
        if due.lost_jobs {
            let lost = self
                .db
                .run(Scope::global(), |store| store.reap(REAPED))
                .await?;
            tracing::warn!(lost, "jobs came back whose worker was not heard from");
            more |= lost == u64::from(REAPED);
        }
        if due.schedules {
            let now = self.clock.now();
            self.db
                .run(Scope::global(), move |store| schedule::fire_due(store, now))
                .await?;
        }
        if due.inline_schedules && schedule::any_inline(self.registry.schedules()) {
            self.hold(inline).await?;
        }
        if due.facts {
            let (registry, now) = (Arc::clone(&self.registry), self.clock.now());
            let relayed = self
                .db
                .run(Scope::global(), move |store| {
                    relay::relay(store, &registry, now)
                })
                .await?;
            more |= relayed == relay::BATCH as usize;
        }
        if due != Due::default() {
            more |= self.claim(ended).await?;
        }
        Ok(more)
    }

    fn room(&self) -> usize {
        self.settings.concurrency.saturating_sub(self.running.len())
    }

    /// Takes as many jobs as there is room for. Answers whether there may be more.
    async fn claim(self: &Arc<Self>, ended: &UnboundedSender<Ended>) -> Result<bool, StoreError> {
        let room = self.room();
        if room == 0 {
            return Ok(true);
        }
        let claim = Claim {
            queue: self.settings.queue.clone(),
            kinds: self.registry.kinds(),
            limit: u32::try_from(room).unwrap_or(u32::MAX),
            lease: self.settings.lease,
        };
        let jobs = self
            .db
            .run(Scope::global(), move |store| store.claim(&claim))
            .await?;
        let more = jobs.len() == room;
        for job in jobs {
            self.start(job, ended.clone());
        }
        Ok(more)
    }

    fn start(self: &Arc<Self>, job: ClaimedJob, ended: UnboundedSender<Ended>) {
        let known = self.registry.find(&job.kind);
        let context = self.context(&job);
        let span = tracing::info_span!(
            "job", kind = job.kind, id = %job.lease.job_id, attempt = job.attempt,
            tenant_id = job.tenant_id.map(tracing::field::display)
        );
        let (lease, payload) = (job.lease, job.payload.clone());
        let task = async move {
            let result = match known {
                Some(known) => execute::run(known, context, payload).await,
                None => Err(JobError::Retry("no such job in this release".to_owned())),
            };
            // Nobody listens any more when the worker has stopped: then the job was given back.
            let _ = ended.send(Ended { job, result });
        };
        self.running
            .start(lease, || tokio::spawn(task.instrument(span)).abort_handle());
    }

    fn context(&self, job: &ClaimedJob) -> JobContext {
        JobContext::new(
            job.tenant_id,
            Some(job.lease),
            job.attempt,
            Arc::clone(&self.clock),
            self.stopping.subscribe(),
        )
    }

    async fn hold(self: &Arc<Self>, inline: &mut JoinSet<()>) -> Result<(), StoreError> {
        let (kinds, lease) = (self.registry.kinds(), self.settings.lease);
        let held = self
            .db
            .run(Scope::global(), move |store| store.hold(&kinds, lease))
            .await?;
        for held in held {
            let Some(job) = self.registry.find(&held.kind) else {
                continue;
            };
            let clock = Arc::clone(&self.clock);
            let stopping = self.stopping.subscribe();
            let context = JobContext::new(None, None, 1, clock, stopping.clone());
            let db = Arc::clone(&self.db);
            inline.spawn(
                Inline {
                    db,
                    held,
                    job,
                    context,
                    lease,
                    stopping,
                }
                .run(),
            );
        }
        Ok(())
    }

    /// Extends all leases at once, three times in the time that they last. A job that somebody else has taken is stopped here.
    async fn keep_leases(self: Arc<Self>) {
        let lease = self.settings.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            let leases = self.running.leases();
            if leases.is_empty() {
                continue;
            }
            let asked = leases.clone();
            match self
                .db
                .run(Scope::global(), move |store| store.extend(&asked, lease))
                .await
            {
                Ok(held) => {
                    let lost: Vec<Lease> = leases
                        .into_iter()
                        .filter(|lease| !held.contains(&lease.job_id))
                        .collect();
                    // A job that settled itself is no longer running and is about to be reported: stopping it changes nothing.
                    self.running.abort(&lost);
                }
                Err(error) => tracing::warn!(%error, "cannot extend the leases of running jobs"),
            }
        }
    }

    /// Gives back the jobs that did not end in time.
    async fn give_back(&self) {
        let left = self.running.leases();
        if left.is_empty() {
            return;
        }
        self.running.abort(&left);
        let count = left.len();
        let released = self
            .db
            .run(Scope::global(), move |store| store.release(&left));
        match tokio::time::timeout(LAST_WORD, released).await {
            Ok(Ok(())) => tracing::info!(count, "gave back jobs that did not end in time"),
            _ => tracing::warn!(count, "jobs were not given back; their leases will pass"),
        }
    }
}

/// Lost jobs that one transaction brings back.
const REAPED: u32 = 100;
/// How long to wait for the store when the worker stops.
const LAST_WORD: Duration = Duration::from_millis(700);
