//! The worker.

use std::time::Duration;

use serde::Deserialize;

/// The worker.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Queue that it takes its jobs from.
    pub queue: String,
    /// Jobs that run at once.
    pub concurrency: usize,
    /// How often it looks for work when idle, in milliseconds.
    pub poll_ms: u64,
    /// How long a job stays with a worker that is not heard from.
    pub lease_seconds: u64,
    /// Time that running jobs are given when it stops.
    pub shutdown_seconds: u64,
}

impl Worker {
    /// How often it looks for work when idle.
    #[must_use]
    pub const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// How long a job stays with a worker that is not heard from.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// Time that running jobs are given when it stops.
    #[must_use]
    pub const fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }
}
