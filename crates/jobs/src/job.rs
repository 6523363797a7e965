//! A job: what it is called, what it does, and how it fails.

use std::{fmt, sync::Arc, time::Duration};

use app::queue::Lease;
use kernel::{BoxFuture, Clock, StoreError, TenantId};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::watch;

/// Why a job did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// It may go well next time. Tried again with growing pauses, until the attempts are used up.
    #[error("{0}")]
    Retry(String),
    /// It will never go well. The job is dead at once, for an operator to look at.
    #[error("{0}")]
    Fatal(String),
}

impl JobError {
    /// A failure that may pass.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self::Retry(error.to_string())
    }

    /// A failure that will not pass.
    pub fn fatal(error: impl fmt::Display) -> Self {
        Self::Fatal(error.to_string())
    }
}

/// Every failure of a store is worth another try: the database may be away, and what is a defect today may be mended tomorrow.
impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::retry(error)
    }
}

/// A piece of work that the worker runs outside of any request.
///
/// **A job may run more than once**: a worker can die between the work and the word that it is done. Work that must happen exactly once
/// settles the lease in the transaction that does it (`app::queue::Queue::settle`); other work is made so that a second run changes
/// nothing.
pub trait Job: Send + Sync {
    /// Its name in the queue: snake case, stable, unique.
    fn kind(&self) -> &'static str;

    /// How long one run may take before it counts as [`JobError::Retry`].
    fn time_limit(&self) -> Duration {
        Duration::from_secs(15 * 60)
    }

    /// Does the work. A panic counts as [`JobError::Retry`].
    fn run(&self, context: JobContext, payload: Value) -> BoxFuture<'_, Result<(), JobError>>;
}

/// What a run knows about itself.
#[derive(Clone)]
pub struct JobContext {
    /// The tenant that the job works for; `None` when it works for the deployment.
    pub tenant_id: Option<TenantId>,
    /// The right to settle the job; `None` in an inline run, which has no row.
    pub lease: Option<Lease>,
    /// Which try this is, from 1.
    pub attempt: i16,
    clock: Arc<dyn Clock>,
    stopping: watch::Receiver<bool>,
}

impl JobContext {
    /// A run for `tenant_id` under `lease`. `stopping` turns true when the worker wants to stop.
    #[must_use]
    pub fn new(
        tenant_id: Option<TenantId>,
        lease: Option<Lease>,
        attempt: i16,
        clock: Arc<dyn Clock>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            tenant_id,
            lease,
            attempt,
            clock,
            stopping,
        }
    }

    /// A run outside of any worker, for callers that want the work done now.
    #[must_use]
    pub fn alone(tenant_id: Option<TenantId>, clock: Arc<dyn Clock>) -> Self {
        let (_, stopping) = watch::channel(false);
        Self::new(tenant_id, None, 1, clock, stopping)
    }

    /// The current instant.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// The clock itself, for what a job calls.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Whether the worker wants to stop. A job that works in steps looks here between them, and returns early: what is left is done by
    /// the next run.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// The tenant that the job works for.
    ///
    /// # Errors
    /// [`JobError::Fatal`] when it was queued without one.
    pub fn tenant(&self) -> Result<TenantId, JobError> {
        self.tenant_id
            .ok_or_else(|| JobError::fatal("the job was queued without a tenant"))
    }
}

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
/// The pause after the first try.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The pause after failed try number `attempt`: doubling from 5 seconds to 6 hours, and up to a quarter longer by `random`, so that jobs
/// that failed together do not come back together.
#[must_use]
pub fn pause_after(attempt: i16, random: u8) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1))
        .unwrap_or(0)
        .min(16);
    let pause = FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE);
    pause + pause / 4 * u32::from(random) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_spread() {
        assert_eq!(pause_after(1, 0), Duration::from_secs(5));
        assert_eq!(pause_after(2, 0), Duration::from_secs(10));
        assert_eq!(pause_after(5, 0), Duration::from_secs(80));
        assert_eq!(pause_after(i16::MAX, 0), LONGEST_PAUSE);
        assert_eq!(pause_after(1, 255), Duration::from_millis(6250));
        assert_eq!(pause_after(0, 0), Duration::from_secs(5));
    }
}
