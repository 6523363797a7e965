//! Jobs in flight in this process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use app::queue::Lease;
use kernel::JobId;
use tokio::{sync::Notify, task::AbortHandle};

/// The jobs that this worker holds. A job is held from its claim until the store knows how it went.
#[derive(Default)]
pub(crate) struct Running {
    jobs: Mutex<HashMap<JobId, (Lease, AbortHandle)>>,
    freed: Notify,
}

impl Running {
    /// Starts a job: `spawn` makes its task. Under the lock, so that a task cannot end before it is known.
    pub(crate) fn start(&self, lease: Lease, spawn: impl FnOnce() -> AbortHandle) {
        let mut jobs = self.lock();
        jobs.insert(lease.job_id, (lease, spawn()));
    }

    /// Forgets jobs about which all is said.
    pub(crate) fn forget(&self, jobs: impl IntoIterator<Item = Lease>) {
        let mut running = self.lock();
        for lease in jobs {
            // The same job may be held again under a newer lease.
            if running
                .get(&lease.job_id)
                .is_some_and(|(held, _)| *held == lease)
            {
                running.remove(&lease.job_id);
            }
        }
        drop(running);
        self.freed.notify_waiters();
    }

    /// Stops jobs that somebody else has taken, and forgets them.
    pub(crate) fn abort(&self, leases: &[Lease]) {
        for lease in leases {
            if let Some((_, task)) = self
                .lock()
                .get(&lease.job_id)
                .filter(|(held, _)| held == lease)
            {
                task.abort();
            }
        }
        self.forget(leases.iter().copied());
    }

    /// Every lease held.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.lock().values().map(|(lease, _)| *lease).collect()
    }

    /// How many jobs are in flight.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Waits until some jobs are done. Register before looking: `let freed = running.freed(); look; freed.await`.
    pub(crate) fn freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.freed.notified()
    }

    /// Waits until none is in flight.
    pub(crate) async fn empty(&self) {
        loop {
            let freed = self.freed();
            if self.len() == 0 {
                return;
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, (Lease, AbortHandle)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
