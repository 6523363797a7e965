//! Cutting a range into buckets: quarters of an hour, hours, days and months of any time zone, with all its changes of the clock.

use kernel::{FieldError, Zone};
use time::{Date, Duration, OffsetDateTime};

/// Buckets that one range may be cut into.
pub const MAX_BUCKETS: i64 = 100_000;

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

/// How the range is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Buckets {
    /// At every quarter of an hour.
    Quarters,
    /// At these instants, in ascending order; the first is not after the range's start.
    At(Vec<OffsetDateTime>),
}

/// Cuts `[from, to)`.
///
/// # Errors
/// `too_many_buckets` on `granularity`.
pub(crate) fn cut(
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
    }
}
