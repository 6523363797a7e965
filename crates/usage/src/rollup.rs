//! Moving events into quarter-hour buckets, exactly once.
//!
//! Events are taken by the transaction that wrote them, up to a horizon: the oldest transaction that is still running. Everything older is
//! committed or will never be, so a writer that commits late is behind the horizon and is not passed over. Events, buckets and the
//! watermark move in one transaction: a roller that dies has done nothing.

use std::collections::BTreeSet;

use kernel::{StoreError, TenantId};
use time::{Date, Duration, OffsetDateTime};

use crate::{Ledger, day::UsageDay};

/// Events that one step moves, so that a long backlog is many short transactions.
pub const STEP: u32 = 50_000;
/// The width of a bucket: a divisor of every offset of every time zone.
pub const BUCKET: Duration = Duration::minutes(15);

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Events moved.
    pub events: u64,
    /// Whether there may be more to move at once.
    pub more: bool,
}

/// What the store moved in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// How many events, and whether the step stopped short of the horizon.
    pub step: Step,
    /// Which buckets of whom were touched, each with the name of the tenant's time zone.
    pub touched: Vec<(TenantId, String, OffsetDateTime)>,
}

/// Moves one step of events, at most about `at_most`, and opens the days they fall on; a closed day is reopened.
///
/// Any number of rollers may run: one moves, the others find nothing to do.
///
/// # Errors
/// [`StoreError`]; nothing has moved then.
pub fn roll(store: &mut dyn Ledger, at_most: u32) -> Result<Step, StoreError> {
    let moved = store.move_events(at_most)?;
    let days: BTreeSet<(TenantId, Date, String)> = moved
        .touched
        .into_iter()
        .map(|(tenant_id, zone, bucket)| {
            (
                tenant_id,
                crate::day::zone_or_utc(&zone).day_of(bucket),
                zone,
            )
        })
        .collect();
    let days: Vec<UsageDay> = days
        .into_iter()
        .map(|(tenant_id, day, zone)| UsageDay::new(tenant_id, day, &zone))
        .collect();
    if !days.is_empty() {
        store.open_days(&days)?;
    }
    Ok(moved.step)
}
