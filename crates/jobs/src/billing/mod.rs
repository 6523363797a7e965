//! Jobs of billing.

pub mod apply_plan_changes;
pub mod watch_quotas;

use std::time::Duration;

use ::billing::Watch;
pub use apply_plan_changes::ApplyPlanChanges;
pub use watch_quotas::WatchQuotas;

use crate::Registry;

/// How often metered usage is looked at. Readers and takers do not wait for it: they count it at once.
const WATCH: Duration = Duration::from_secs(2);

/// Adds the job that watches quotas.
#[must_use]
pub fn register(registry: Registry, watch: Watch) -> Registry {
    registry.inline(WATCH, WatchQuotas::new(watch))
}
