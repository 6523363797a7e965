//! Moving events into quarter-hour buckets, exactly once.
//!
//! Events are taken by the transaction that wrote them, up to a horizon: the oldest transaction that is still running. Everything older is
//! committed or will never be, so a writer that commits late is behind the horizon and is not passed over. Events, buckets and the
//! watermark move in one transaction: a roller that dies has done nothing.

use std::collections::BTreeMap;

use kernel::{StoreError, TenantId};
use time::{Date, Duration, OffsetDateTime};

use crate::{Ledger, calendar, day::zone_or_utc};

/// Events that one step moves, so that a long backlog is many short transactions.
pub const STEP: u32 = 50_000;
/// The width of a bucket: a divisor of every offset of every time zone.
pub const BUCKET: Duration = Duration::minutes(15);

/// The start of the bucket around an instant.
#[must_use]
pub fn quarter_of(at: OffsetDateTime) -> OffsetDateTime {
    let width = BUCKET.whole_nanoseconds();
    let into = at.unix_timestamp_nanos().rem_euclid(width);
    at.saturating_sub(Duration::nanoseconds(i64::try_from(into).unwrap_or(0)))
}

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
    /// Which buckets of whom were touched.
    pub touched: Vec<Touched>,
}

/// A bucket that events were moved into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Whose bucket.
    pub tenant_id: TenantId,
    /// The name of the time zone that the tenant is in.
    pub timezone: String,
    /// Its first instant.
    pub bucket: OffsetDateTime,
}

/// A stretch of a tenant's time, from the first instant of a bucket to that of another or the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Whose time.
    pub tenant_id: TenantId,
    /// The first bucket.
    pub first: OffsetDateTime,
    /// The last bucket.
    pub last: OffsetDateTime,
}

/// Moves one step of events, at most about `at_most`, and opens the days they belong to; a closed day is reopened.
///
/// Any number of rollers may run: one moves, the others find nothing to do.
///
/// # Errors
/// [`StoreError`]; nothing has moved then.
pub fn roll(store: &mut dyn Ledger, at_most: u32) -> Result<Step, StoreError> {
    let moved = store.move_events(at_most)?;
    if moved.touched.is_empty() {
        return Ok(moved.step);
    }
    let known = store.reopen_days(&spans(&moved.touched))?;
    let dayless = calendar::outside(&known, moved.touched);
    if !dayless.is_empty() {
        let near = store.days_near(&spans(&dayless))?;
        store.open_days(&calendar::days_for(near, &dayless))?;
    }
    Ok(moved.step)
}

/// What was touched on each tenant's dates.
fn spans(touched: &[Touched]) -> Vec<Span> {
    let mut spans: BTreeMap<(TenantId, Date), Span> = BTreeMap::new();
    for touched in touched {
        let (tenant_id, at) = (touched.tenant_id, touched.bucket);
        let date = zone_or_utc(&touched.timezone).day_of(at);
        let span = spans.entry((tenant_id, date)).or_insert(Span {
            tenant_id,
            first: at,
            last: at,
        });
        (span.first, span.last) = (span.first.min(at), span.last.max(at));
    }
    spans.into_values().collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_quarter_starts_before_what_is_in_it() {
        let quarter = datetime!(2026-11-01 10:15 UTC);
        assert_eq!(quarter_of(quarter), quarter);
        assert_eq!(
            quarter_of(datetime!(2026-11-01 10:29:59.999999 UTC)),
            quarter
        );
        assert_eq!(
            quarter_of(datetime!(1969-12-31 23:59 UTC)),
            datetime!(1969-12-31 23:45 UTC)
        );
    }
}
