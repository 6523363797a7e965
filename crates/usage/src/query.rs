//! Asking for usage: which metrics, which range, in which buckets of which time zone, by which dimensions.

use std::collections::BTreeMap;

use kernel::{
    Denied, FieldError, Page, PageRequest, Principal, ProjectId, Quantity, StoreError, Zone, page,
};
use time::{Date, Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::{
    Aggregation, Filter, Granularity, GroupBy, Meter, Store, breakdown,
    bucket::{Buckets, MAX_BUCKETS, cut},
    ingest::{EPOCH, MAX_AHEAD},
    meter, permissions, retention,
};

/// Metrics that one question may name.
pub const MAX_METRICS: usize = 100;

/// No range goes further: calendars end in 9999, and a bucket needs an end.
pub(crate) const END: OffsetDateTime = datetime!(9999-01-01 00:00 UTC);

/// A question as a client asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRequest {
    /// Keys of meters; all of the tenant's when there is none.
    pub metrics: Vec<String>,
    /// First instant; the start of the current month when there is none.
    pub from: Option<OffsetDateTime>,
    /// First instant no longer in the range; behind everything that was let in when there is none.
    pub to: Option<OffsetDateTime>,
    /// The width of a bucket.
    pub granularity: Granularity,
    /// By what usage is told apart.
    pub group_by: GroupBy,
    /// What it is narrowed down to.
    pub filter: Filter,
    /// Whose calendar; the tenant's when there is none.
    pub timezone: Option<Zone>,
}

/// A question as a store answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// The meters.
    pub meters: Vec<Meter>,
    /// First instant, to the microsecond.
    pub from: OffsetDateTime,
    /// First instant no longer in the range; after `from`.
    pub to: OffsetDateTime,
    /// How the range is cut.
    pub buckets: Buckets,
    /// By what usage is told apart.
    pub group_by: GroupBy,
    /// What it is narrowed down to.
    pub filter: Filter,
    /// Only this project's usage.
    pub project_id: Option<ProjectId>,
    /// Whether a meter without events is answered too, with nought, in the first bucket.
    pub with_empty: bool,
}

/// Where a page of usage goes on: behind this metric, bucket (microseconds since 1970), project, user, model and values of the dimensions, in
/// this order.
pub type After = (String, i64, Uuid, String, String, Vec<String>);

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Key of the meter.
    pub metric: String,
    /// How the meter makes one of many.
    pub aggregation: Aggregation,
    /// The unit of the quantity.
    pub unit: String,
    /// The instant the bucket starts, with the zone's offset. The first bucket of a range may start before it.
    pub bucket: OffsetDateTime,
    /// How much.
    pub quantity: Quantity,
    /// The project, when asked for and known.
    pub project_id: Option<ProjectId>,
    /// The user, when asked for and known.
    pub user_id: Option<String>,
    /// The model, when asked for and known.
    pub model: Option<String>,
    /// The values of the dimensions that were asked for, as far as they are known.
    pub dimensions: BTreeMap<String, Option<String>>,
}

impl UsageRow {
    /// Where a page goes on behind this row.
    #[must_use]
    pub fn key(&self) -> After {
        let dimensions = self.dimensions.values();
        (
            self.metric.clone(),
            micros(self.bucket),
            self.project_id.map_or(Uuid::nil(), ProjectId::as_uuid),
            self.user_id.clone().unwrap_or_default(),
            self.model.clone().unwrap_or_default(),
            dimensions
                .map(|value| value.clone().unwrap_or_default())
                .collect(),
        )
    }
}

/// Microseconds since 1970.
#[must_use]
pub fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// Why usage was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadUsageError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A parameter breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Answers a question, exactly and at once: rollups, and what is not rolled up yet.
///
/// # Errors
/// See [`ReadUsageError`].
pub fn usage(
    store: &mut dyn Store,
    request: &UsageRequest,
    page: &PageRequest,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Page<UsageRow>, ReadUsageError> {
    let tenant_id = by.may(&permissions::USAGE_READ)?;
    let zone = match &request.timezone {
        Some(zone) => zone.clone(),
        None => store.tenant_zone(tenant_id)?,
    };
    let from = to_micros(request.from.unwrap_or_else(|| zone.month_of(now).0));
    // An event may be ahead of this clock, by another machine's or by its sender's.
    let ahead = || now.saturating_add(MAX_AHEAD);
    let to = to_micros(request.to.unwrap_or_else(ahead));
    check_range(from, to)?;
    let (group_by, filter) = (&request.group_by, &request.filter);
    let meters = named_meters(store, &request.metrics, by)?;
    breakdown::check_declared(store, tenant_id, &meters, group_by, filter)?;
    let query = UsageQuery {
        meters,
        from,
        to,
        buckets: cut(from, to, request.granularity, &zone)?,
        group_by: group_by.clone(),
        filter: filter.clone(),
        project_id: by.grant.as_ref().and_then(|grant| grant.project_id),
        with_empty: request.granularity == Granularity::Total
            && !request.metrics.is_empty()
            && !group_by.any(),
    };
    let after = checked(page.key()?)?;
    let rows = store.usage(tenant_id, &query, after.as_ref(), page.limit + 1)?;
    retention::check(store, from, to, now)?;
    let page = Page::from_rows(rows, page.limit, UsageRow::key);
    Ok(page.map(|row| UsageRow {
        bucket: zone.localise(row.bucket),
        ..row
    }))
}

/// Totals of each day, for a dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// First instant: the start of the first day.
    pub from: OffsetDateTime,
    /// First instant no longer in the range: the end of today.
    pub to: OffsetDateTime,
    /// A day, a metric and how much, in this order.
    pub days: Vec<(Date, String, Quantity)>,
}

/// The last `days` days of the tenant's calendar, today among them.
///
/// # Errors
/// See [`ReadUsageError`].
pub fn summary(
    store: &mut dyn Store,
    days: i64,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Summary, ReadUsageError> {
    let tenant_id = by.may(&permissions::USAGE_READ)?;
    if !(1..=366).contains(&days) {
        return Err(FieldError::new("days", "out_of_range", "must be between 1 and 366").into());
    }
    let zone = store.tenant_zone(tenant_id)?;
    let today = zone.day_of(now);
    let from = zone.start_of_day(today.saturating_sub(Duration::days(days - 1)));
    let to = zone.start_of_day(today.next_day().unwrap_or(today));
    let query = UsageQuery {
        meters: store.all_meters(tenant_id)?,
        from,
        to,
        buckets: cut(from, to, Granularity::Day, &zone)?,
        group_by: GroupBy::default(),
        filter: Filter::default(),
        project_id: by.grant.as_ref().and_then(|grant| grant.project_id),
        with_empty: false,
    };
    let rows = store.usage(
        tenant_id,
        &query,
        None,
        u32::try_from(MAX_BUCKETS).unwrap_or(u32::MAX),
    )?;
    let mut days: Vec<_> = rows
        .into_iter()
        .map(|row| (zone.day_of(row.bucket), row.metric, row.quantity))
        .collect();
    days.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    Ok(Summary { from, to, days })
}

/// A cursor comes from outside: its parts must at least be what a store can compare with.
fn checked(after: Option<After>) -> Result<Option<After>, FieldError> {
    let sound = |(metric, at, _, user, model, dimensions): &After| {
        let own = [metric, user, model].into_iter();
        page::instant(i128::from(*at) * 1000).is_ok()
            && own.chain(dimensions).all(|text| !text.contains('\0'))
    };
    if after.as_ref().is_none_or(sound) {
        return Ok(after);
    }
    Err(FieldError::new(
        "cursor",
        "invalid_cursor",
        "must be a next_cursor that this list gave",
    ))
}

pub(crate) fn to_micros(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_microsecond(at.microsecond()).unwrap_or(at)
}

pub(crate) fn check_range(from: OffsetDateTime, to: OffsetDateTime) -> Result<(), FieldError> {
    if from < EPOCH {
        return Err(FieldError::new(
            "from",
            "out_of_range",
            "must not be before 2000",
        ));
    }
    if to > END {
        return Err(FieldError::new(
            "to",
            "out_of_range",
            "must not be after 9998",
        ));
    }
    if from >= to {
        return Err(FieldError::new(
            "from",
            "not_before_to",
            "must be before to",
        ));
    }
    Ok(())
}

pub(crate) fn named_meters(
    store: &mut dyn Store,
    metrics: &[String],
    by: &Principal,
) -> Result<Vec<Meter>, ReadUsageError> {
    let tenant_id = by.tenant_id()?;
    if metrics.is_empty() {
        return Ok(store.all_meters(tenant_id)?);
    }
    if metrics.len() > MAX_METRICS {
        return Err(FieldError::new("metric", "too_many", "must be at most 100").into());
    }
    let unknown = FieldError::new("metric", "unknown_metric", "must be the key of a meter");
    // A store need not be able to hold what cannot be a key.
    if !metrics.iter().all(|key| meter::is_key(key)) {
        return Err(unknown.into());
    }
    let meters = store.meters_by_key(tenant_id, metrics)?;
    let known = |key: &String| meters.iter().any(|meter| meter.key == *key);
    if metrics.iter().all(known) {
        Ok(meters)
    } else {
        Err(unknown.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_goes_forward() {
        let (early, late) = (
            datetime!(2026-01-01 00:00 UTC),
            datetime!(2026-01-02 00:00 UTC),
        );
        assert!(check_range(early, late).is_ok());
        assert_eq!(check_range(late, early).unwrap_err().code, "not_before_to");
        assert_eq!(check_range(early, early).unwrap_err().code, "not_before_to");
        assert_eq!(
            check_range(datetime!(1999-12-31 23:59 UTC), late)
                .unwrap_err()
                .code,
            "out_of_range"
        );
        assert!(check_range(early, END).is_ok());
        let behind = check_range(early, END + Duration::MICROSECOND).unwrap_err();
        assert_eq!((&*behind.field, behind.code), ("to", "out_of_range"));
    }

    #[test]
    fn a_cursor_that_no_store_can_compare_with_is_refused() {
        let after = |metric: &str, at: i64| {
            let (user, model) = (String::new(), String::new());
            let dimensions = vec![metric.to_owned()];
            Some(("chat".to_owned(), at, Uuid::nil(), user, model, dimensions))
        };
        assert!(checked(None).is_ok());
        assert!(checked(after("chat", 0)).is_ok());
        assert_eq!(
            checked(after("ch\0at", 0)).unwrap_err().code,
            "invalid_cursor"
        );
        for at in [i64::MAX, -1, -300_000_000_000_000_000] {
            assert_eq!(
                checked(after("chat", at)).unwrap_err().code,
                "invalid_cursor"
            );
        }
    }
}
