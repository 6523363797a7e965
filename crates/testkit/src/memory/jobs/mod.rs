//! The queue, schedules and upkeep in memory. The outbox is with the trail, which writes it.
//!
//! In PostgreSQL the worker has a role of its own, which sees these tables across tenants. There are no roles here: a transaction without a
//! tenant in its scope may queue a job for any tenant, as the worker's may.

mod queue;
mod schedule;
mod upkeep;

use std::{collections::BTreeMap, time::Duration};

use kernel::JobId;
use time::OffsetDateTime;

#[derive(Clone, Default)]
pub(super) struct Tables {
    jobs: BTreeMap<JobId, queue::Row>,
    /// By name.
    schedules: BTreeMap<String, schedule::Row>,
}

/// The instant `pause` behind `now`, as far as instants go.
fn later(now: OffsetDateTime, pause: Duration) -> OffsetDateTime {
    let pause = time::Duration::try_from(pause).unwrap_or(time::Duration::MAX);
    now.saturating_add(pause)
}
