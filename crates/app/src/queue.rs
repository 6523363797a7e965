//! The queue of jobs, as ports. Jobs are rows: one is queued in the transaction that makes it necessary, and runs after that commits.
//!
//! A worker takes a job under a [`Lease`]: a time limit and a number. Whoever takes the job next gets a higher number, so what a worker
//! says about a job that it lost no longer counts. Time limits are the store's own clock's, so workers whose clocks differ agree.

use std::{borrow::Cow, time::Duration};

use kernel::{JobId, StoreError, TenantId};
use serde_json::Value;
use time::OffsetDateTime;

/// The queue that jobs go to unless they say otherwise.
pub const DEFAULT_QUEUE: &str = "default";

/// Which of several due jobs goes first. Within one priority the one that is due longest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Somebody waits for it.
    Urgent,
    /// The ordinary case.
    #[default]
    Normal,
    /// May wait while others are due.
    Low,
    /// Runs when nothing else is due.
    Idle,
}

impl Priority {
    /// The number that stores keep: smaller goes first.
    #[must_use]
    pub const fn rank(self) -> i16 {
        match self {
            Self::Urgent => 0,
            Self::Normal => 1,
            Self::Low => 2,
            Self::Idle => 3,
        }
    }
}

/// A job to be queued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// The tenant it works for; `None` when it works for the deployment.
    pub tenant_id: Option<TenantId>,
    /// Which job it is, such as `send_invitation_mail`.
    pub kind: Cow<'static, str>,
    /// The queue it waits in.
    pub queue: Cow<'static, str>,
    /// Which of several due jobs goes first.
    pub priority: Priority,
    /// Not before this instant.
    pub run_at: OffsetDateTime,
    /// How often it may be tried before it is dead; at least 1.
    pub max_attempts: i16,
    /// What it needs to know. Erased when the job is done.
    pub payload: Value,
    /// While a job of this tenant, kind and key waits or runs, a second one is dropped.
    pub dedupe_key: Option<String>,
}

impl NewJob {
    /// A job of `kind`, to run as soon as this transaction has committed, tried up to 20 times over some days.
    #[must_use]
    pub fn new(
        kind: impl Into<Cow<'static, str>>,
        tenant_id: Option<TenantId>,
        payload: Value,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            id: JobId::new(now),
            tenant_id,
            kind: kind.into(),
            queue: Cow::Borrowed(DEFAULT_QUEUE),
            priority: Priority::Normal,
            run_at: now,
            max_attempts: 20,
            payload,
            dedupe_key: None,
        }
    }

    /// Not before `run_at`.
    #[must_use]
    pub const fn at(mut self, run_at: OffsetDateTime) -> Self {
        self.run_at = run_at;
        self
    }

    /// Only when no job of this tenant, kind and `key` waits or runs already.
    #[must_use]
    pub fn once(mut self, key: impl Into<String>) -> Self {
        self.dedupe_key = Some(key.into());
        self
    }

    /// With another priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Tried up to `max_attempts` times.
    #[must_use]
    pub const fn tried_at_most(mut self, max_attempts: i16) -> Self {
        self.max_attempts = max_attempts;
        self
    }
}

/// The right to speak for a running job, until a time limit passes or somebody else takes the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job_id: JobId,
    /// How many times the job was taken. A higher number wins.
    pub lease_no: i64,
}

/// Why a lease cannot be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The job was taken away. What this transaction wrote must not count: fail, so that it rolls back.
    #[error("the job is no longer held under this lease")]
    LeaseLost,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What any transaction can do with the queue.
pub trait Queue {
    /// Queues a job. MUST be part of the surrounding transaction. A job that is a duplicate by its key is dropped. A request queues for the
    /// tenant in scope or for the deployment, and MUST NOT queue for another tenant.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict on `jobs_kind_check`, `jobs_queue_check`, `jobs_max_attempts_check` or `jobs_dedupe_key_check` when the
    /// job breaks that rule.
    fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError>;

    /// Marks the running job done in the transaction that does its work, so that the work happens exactly once: a worker that dies
    /// before the commit leaves no trace, and one that dies after it leaves nothing to repeat.
    ///
    /// # Errors
    /// [`SettleError::LeaseLost`] when the job is not running under this lease.
    fn settle(&mut self, lease: Lease) -> Result<(), SettleError>;
}

/// Which jobs a worker asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The queue.
    pub queue: String,
    /// The kinds it knows.
    pub kinds: Vec<String>,
    /// At most this many.
    pub limit: u32,
    /// For how long.
    pub lease: Duration,
}

/// A job that a worker holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    /// The right to speak for it.
    pub lease: Lease,
    /// The tenant it works for.
    pub tenant_id: Option<TenantId>,
    /// Which job it is.
    pub kind: String,
    /// Which try this is, from 1.
    pub attempt: i16,
    /// How many tries there are.
    pub max_attempts: i16,
    /// What it needs to know.
    pub payload: Value,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The right to say so.
    pub lease: Lease,
    /// Why, for operators. Never a secret.
    pub error: String,
    /// How long to wait before the next try; `None` when there is none and the job is dead.
    pub retry_after: Option<Duration>,
}

/// What waits for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// Jobs to be claimed.
    pub jobs: bool,
    /// Jobs whose worker let its lease pass.
    pub lost_jobs: bool,
    /// Schedules to be fired.
    pub schedules: bool,
    /// Inline schedules that nobody holds.
    pub inline_schedules: bool,
    /// Facts to be relayed.
    pub facts: bool,
}

/// The queue, as workers see it: across tenants. Statements take batches; each job is settled on its own.
pub trait Jobs: Queue {
    /// What waits for a worker of this queue. MUST be one cheap statement: it is what an idle worker costs.
    ///
    /// # Errors
    /// [`StoreError`].
    fn due(&mut self, queue: &str) -> Result<Due, StoreError>;

    /// Takes up to `claim.limit` due jobs, by priority, then longest due. MUST give one job to one caller, and MUST NOT wait for
    /// jobs that others are taking.
    ///
    /// # Errors
    /// [`StoreError`].
    fn claim(&mut self, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError>;

    /// Marks jobs done and erases their payload. Answers those that counted; the others are no longer held. A job that its own work
    /// settled counts.
    ///
    /// # Errors
    /// [`StoreError`].
    fn complete(&mut self, leases: &[Lease]) -> Result<Vec<JobId>, StoreError>;

    /// Puts failed jobs back for their next try, or buries them. Answers those that counted.
    ///
    /// # Errors
    /// [`StoreError`].
    fn fail(&mut self, failures: &[Failure]) -> Result<Vec<JobId>, StoreError>;

    /// Holds jobs for `lease` from now. Answers those that are still held.
    ///
    /// # Errors
    /// [`StoreError`].
    fn extend(&mut self, leases: &[Lease], lease: Duration) -> Result<Vec<JobId>, StoreError>;

    /// Gives jobs back untried: the worker stops. Others may take them at once.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release(&mut self, leases: &[Lease]) -> Result<(), StoreError>;

    /// Puts back up to `limit` jobs whose lease passed, or buries them when that was their last try. Answers how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reap(&mut self, limit: u32) -> Result<u64, StoreError>;
}

/// All that a worker does on its own account: jobs, schedules and the outbox in one store.
pub trait WorkerStore: Jobs + crate::schedule::Schedules + crate::outbox::Outbox {}

impl<S: Jobs + crate::schedule::Schedules + crate::outbox::Outbox> WorkerStore for S {}
