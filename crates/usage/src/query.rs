//! Asking for usage: which metrics, which range, in which buckets of which time zone, by which dimensions.

use kernel::{
    Denied, FieldError, Page, PageRequest, Principal, ProjectId, Quantity, StoreError, Zone,
};
use time::{Date, Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{Aggregation, Meter, Store, ingest::EPOCH, permissions};

/// Buckets that one range may be cut into.
pub const MAX_BUCKETS: i64 = 100_000;
/// Metrics that one question may name.
pub const MAX_METRICS: usize = 100;

/// The width of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// A quarter of an hour.
    Quarter,
    /// An hour by the clock of the zone.
    Hour,
    /// A calendar day of the zone.
    Day,
    /// A calendar month of the zone.
    Month,
    /// The whole range.
    Total,
}

impl Granularity {
    /// Reads `15m`, `hour`, `day`, `month` or `total`.
    ///
    /// # Errors
    /// `invalid_granularity` on `granularity`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        match text {
            "15m" => Ok(Self::Quarter),
            "hour" => Ok(Self::Hour),
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            "total" => Ok(Self::Total),
            _ => Err(FieldError::new(
                "granularity",
                "invalid_granularity",
                "must be 15m, hour, day, month or total",
            )),
        }
    }
}

/// By what usage is told apart, besides metric and bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupBy {
    /// By project.
    pub project: bool,
    /// By user.
    pub user: bool,
    /// By model.
    pub model: bool,
}

impl GroupBy {
    /// Reads names of dimensions.
    ///
    /// # Errors
    /// `unknown_dimension` on `group_by`.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, FieldError> {
        let mut group_by = Self::default();
        for name in names {
            match name {
                "project" | "project_id" => group_by.project = true,
                "user" | "user_id" => group_by.user = true,
                "model" => group_by.model = true,
                _ => {
                    return Err(FieldError::new(
                        "group_by",
                        "unknown_dimension",
                        "must be project, user or model",
                    ));
                }
            }
        }
        Ok(group_by)
    }

    const fn any(self) -> bool {
        self.project || self.user || self.model
    }
}

/// A question as a client asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRequest {
    /// Keys of meters; all of the tenant's when there is none.
    pub metrics: Vec<String>,
    /// First instant; the start of the current month when there is none.
    pub from: Option<OffsetDateTime>,
    /// First instant no longer in the range; now when there is none.
    pub to: Option<OffsetDateTime>,
    /// The width of a bucket.
    pub granularity: Granularity,
    /// By what usage is told apart.
    pub group_by: GroupBy,
    /// Whose calendar; the tenant's when there is none.
    pub timezone: Option<Zone>,
}

/// How the range is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Buckets {
    /// At every quarter of an hour.
    Quarters,
    /// At these instants, in ascending order; the first is not after the range's start.
    At(Vec<OffsetDateTime>),
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
    /// Only this project's usage.
    pub project_id: Option<ProjectId>,
    /// Whether a meter without events is answered too, with nought, in the first bucket.
    pub with_empty: bool,
}

/// Where a page of usage goes on: behind this metric, bucket (microseconds since 1970), project, user and model, in this order.
pub type After = (String, i64, Uuid, String, String);

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
}

impl UsageRow {
    fn key(&self) -> After {
        (
            self.metric.clone(),
            micros(self.bucket),
            self.project_id.map_or(Uuid::nil(), ProjectId::as_uuid),
            self.user_id.clone().unwrap_or_default(),
            self.model.clone().unwrap_or_default(),
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
    let to = to_micros(request.to.unwrap_or(now));
    check_range(from, to)?;
    let query = UsageQuery {
        meters: named_meters(store, &request.metrics, by)?,
        from,
        to,
        buckets: cut(from, to, request.granularity, &zone)?,
        group_by: request.group_by,
        project_id: by.grant.as_ref().and_then(|grant| grant.project_id),
        with_empty: request.granularity == Granularity::Total
            && !request.metrics.is_empty()
            && !request.group_by.any(),
    };
    let after = checked(page.key()?)?;
    let rows = store.usage(tenant_id, &query, after.as_ref(), page.limit + 1)?;
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
    /// First instant no longer in the range: now.
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
    let to = to_micros(now);
    let first = zone.day_of(to).saturating_sub(Duration::days(days - 1));
    let from = zone.start_of_day(first);
    let query = UsageQuery {
        meters: store.all_meters(tenant_id)?,
        from,
        // The first microsecond of a day has a summary too.
        to: to.saturating_add(Duration::microseconds(1)),
        buckets: cut(from, to, Granularity::Day, &zone)?,
        group_by: GroupBy::default(),
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
    let sound = |(metric, at, _, user, model): &After| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(*at) * 1000).is_ok()
            && [metric, user, model]
                .iter()
                .all(|text| !text.contains('\0'))
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

fn to_micros(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_microsecond(at.microsecond()).unwrap_or(at)
}

fn check_range(from: OffsetDateTime, to: OffsetDateTime) -> Result<(), FieldError> {
    if from < EPOCH {
        return Err(FieldError::new(
            "from",
            "out_of_range",
            "must not be before 2000",
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

fn named_meters(
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
    let meters = store.meters_by_key(tenant_id, metrics)?;
    match metrics
        .iter()
        .find(|key| !meters.iter().any(|meter| meter.key == **key))
    {
        Some(_) => {
            Err(FieldError::new("metric", "unknown_metric", "must be the key of a meter").into())
        }
        None => Ok(meters),
    }
}

fn cut(
    from: OffsetDateTime,
    to: OffsetDateTime,
    granularity: Granularity,
    zone: &Zone,
) -> Result<Buckets, FieldError> {
    let width = match granularity {
        Granularity::Quarter => crate::rollup::BUCKET,
        Granularity::Hour => Duration::HOUR,
        Granularity::Day => Duration::DAY,
        Granularity::Month => Duration::days(28),
        Granularity::Total => return Ok(Buckets::At(vec![from])),
    };
    if (to - from).whole_seconds() / width.whole_seconds() > MAX_BUCKETS {
        return Err(FieldError::new(
            "granularity",
            "too_many_buckets",
            "must cut the range into at most 100000 buckets",
        ));
    }
    Ok(match granularity {
        Granularity::Quarter => Buckets::Quarters,
        Granularity::Hour => {
            Buckets::At(steps(hour_start(from, zone), to, |at| next_hour(at, zone)))
        }
        Granularity::Day => Buckets::At(steps(zone.start_of_day(zone.day_of(from)), to, |at| {
            let day = zone.day_of(at);
            days_after(day)
                .map(|day| zone.start_of_day(day))
                .find(|next| *next > at)
        })),
        _ => Buckets::At(steps(zone.month_of(from).0, to, |at| {
            Some(zone.month_of(at).1)
        })),
    })
}

/// The next day is not always the one after: when a zone crosses the date line, a day is missing.
fn days_after(day: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(day.next_day(), |day| day.next_day()).take(3)
}

fn steps(
    first: OffsetDateTime,
    to: OffsetDateTime,
    next: impl Fn(OffsetDateTime) -> Option<OffsetDateTime>,
) -> Vec<OffsetDateTime> {
    let later = |at: &OffsetDateTime| next(*at).filter(|next| next > at && *next < to);
    std::iter::successors(Some(first), later).collect()
}

/// The start of the clock's hour around an instant, or the last change of the clock when that is later.
fn hour_start(at: OffsetDateTime, zone: &Zone) -> OffsetDateTime {
    let local = zone.localise(at);
    let start = at - into_hour(local);
    // Before a change of the clock by half an hour the same instant had another minute: walk up from there.
    let before = start - into_hour(zone.localise(start));
    let mut last = before;
    while let Some(next) = next_hour(last, zone).filter(|next| *next <= at) {
        last = next;
    }
    last
}

fn into_hour(local: OffsetDateTime) -> Duration {
    Duration::minutes(local.minute().into())
        + Duration::seconds(local.second().into())
        + Duration::nanoseconds(local.nanosecond().into())
}

fn next_hour(at: OffsetDateTime, zone: &Zone) -> Option<OffsetDateTime> {
    at.checked_add(Duration::HOUR - into_hour(zone.localise(at)))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn instants(
        from: OffsetDateTime,
        to: OffsetDateTime,
        granularity: Granularity,
        zone: &str,
    ) -> Vec<OffsetDateTime> {
        match cut(
            from,
            to,
            granularity,
            &Zone::parse("timezone", zone).unwrap(),
        )
        .unwrap()
        {
            Buckets::At(instants) => instants,
            Buckets::Quarters => Vec::new(),
        }
    }

    #[test]
    fn days_start_where_the_zone_says() {
        assert_eq!(
            instants(
                datetime!(2026-03-28 12:00 UTC),
                datetime!(2026-03-30 12:00 UTC),
                Granularity::Day,
                "Europe/Paris"
            ),
            [
                datetime!(2026-03-27 23:00 UTC),
                datetime!(2026-03-28 23:00 UTC),
                datetime!(2026-03-29 22:00 UTC)
            ]
        );
        assert_eq!(
            instants(
                datetime!(2026-11-01 00:00 UTC),
                datetime!(2026-11-01 18:15 UTC),
                Granularity::Day,
                "Asia/Kathmandu"
            ),
            [datetime!(2026-10-31 18:15 UTC)]
        );
    }

    #[test]
    fn a_day_that_a_zone_skipped_is_no_bucket() {
        let days = instants(
            datetime!(2011-12-29 12:00 UTC),
            datetime!(2012-01-01 00:00 UTC),
            Granularity::Day,
            "Pacific/Apia",
        );
        assert_eq!(
            days,
            [
                datetime!(2011-12-29 10:00 UTC),
                datetime!(2011-12-30 10:00 UTC),
                datetime!(2011-12-31 10:00 UTC)
            ]
        );
    }

    #[test]
    fn hours_follow_the_clock_of_half_hour_zones_and_half_hour_changes() {
        assert_eq!(
            instants(
                datetime!(2026-11-01 10:10 UTC),
                datetime!(2026-11-01 12:00 UTC),
                Granularity::Hour,
                "Asia/Kolkata"
            ),
            [
                datetime!(2026-11-01 09:30 UTC),
                datetime!(2026-11-01 10:30 UTC),
                datetime!(2026-11-01 11:30 UTC)
            ]
        );
        // At 15:00 UTC the clock goes back from 2:00 to 1:30.
        let hours = [
            datetime!(2026-04-04 14:00 UTC),
            datetime!(2026-04-04 15:00 UTC),
            datetime!(2026-04-04 15:30 UTC),
        ];
        let to = datetime!(2026-04-04 16:30 UTC);
        let lord_howe = "Australia/Lord_Howe";
        let from = datetime!(2026-04-04 14:20 UTC);
        assert_eq!(instants(from, to, Granularity::Hour, lord_howe), hours);
        let from = datetime!(2026-04-04 15:10 UTC);
        assert_eq!(instants(from, to, Granularity::Hour, lord_howe), hours[1..]);
    }

    #[test]
    fn months_are_of_the_calendar() {
        let months = instants(
            datetime!(2025-12-31 23:30 UTC),
            datetime!(2026-02-01 00:00 UTC),
            Granularity::Month,
            "Europe/Paris",
        );
        assert_eq!(
            months,
            [
                datetime!(2025-12-31 23:00 UTC),
                datetime!(2026-01-31 23:00 UTC)
            ]
        );
    }

    #[test]
    fn a_range_is_cut_into_a_bounded_number() {
        let (from, to) = (
            datetime!(2010-01-01 00:00 UTC),
            datetime!(2026-01-01 00:00 UTC),
        );
        assert_eq!(
            cut(from, to, Granularity::Hour, &Zone::utc())
                .unwrap_err()
                .code,
            "too_many_buckets"
        );
        assert!(cut(from, to, Granularity::Day, &Zone::utc()).is_ok());
        assert!(check_range(to, from).is_err());
        assert!(check_range(from, from).is_err());
    }
}
