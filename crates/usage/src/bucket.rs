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

/// Where the clock shows the next hour, or the same one once more after it was changed.
fn next_hour(at: OffsetDateTime, zone: &Zone) -> Option<OffsetDateTime> {
    let local = zone.localise(at);
    let next = at.checked_add(Duration::HOUR - into_hour(local))?;
    let is_changed = |at: &OffsetDateTime| zone.localise(*at).offset() != local.offset();
    if !is_changed(&next) {
        return Some(next);
    }
    // Amid an hour, as in Colombo in 2006: at half past midnight it was midnight again.
    let quarters = (1..4).map(|quarters| next - crate::rollup::BUCKET * quarters);
    let amid = quarters.filter(|quarter| *quarter > at && is_changed(quarter));
    Some(amid.min().unwrap_or(next))
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
    fn a_clock_that_is_changed_amid_an_hour_starts_another_wherever_the_range_begins() {
        let hours = [
            datetime!(2006-04-14 18:00 UTC),
            datetime!(2006-04-14 18:30 UTC),
            datetime!(2006-04-14 19:30 UTC),
        ];
        for (from, skipped) in [
            (datetime!(2006-04-14 18:10 UTC), 0),
            (datetime!(2006-04-14 18:45 UTC), 1),
            (datetime!(2006-04-14 19:15 UTC), 1),
        ] {
            let to = datetime!(2006-04-14 20:00 UTC);
            assert_eq!(
                instants(from, to, Granularity::Hour, "Asia/Colombo"),
                hours[skipped..],
                "{from}"
            );
        }
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

#[cfg(test)]
mod properties {
    use jiff::{Timestamp, tz::TimeZone};
    use proptest::prelude::*;
    use time::UtcOffset;

    use super::*;

    const QUARTER: Duration = Duration::minutes(15);

    /// A zone and an instant, any or near a change of its clock. The clock changes at a quarter of an hour: Newfoundland's once did not,
    /// and rollups by the quarter cannot show it.
    fn moments() -> impl Strategy<Value = (Zone, OffsetDateTime)> {
        let names: Vec<String> = jiff::tz::db()
            .available()
            .map(|name| name.to_string())
            .filter(|name| Zone::parse("timezone", name).is_ok())
            .collect();
        let moment = (
            prop::sample::select(names),
            946_684_800_i64..4_102_444_800,
            -200_000_i64..100_000,
            any::<bool>(),
        );
        moment.prop_filter_map(
            "the clock changes within a quarter",
            |(name, second, off, near)| {
                let zone = TimeZone::get(&name).unwrap();
                let change = zone
                    .following(Timestamp::from_second(second).unwrap())
                    .next();
                let change = change
                    .filter(|_| near)
                    .map(|change| change.timestamp().as_second());
                let at = change.map_or(second, |change| change + off);
                let around = Timestamp::from_second(at - 4 * 86_400).unwrap();
                let by_quarters = zone
                    .following(around)
                    .map(|change| change.timestamp().as_second())
                    .take_while(|change| *change < at + 5 * 86_400)
                    .all(|change| change % 900 == 0);
                let at = OffsetDateTime::from_unix_timestamp(at).unwrap();
                by_quarters.then(|| (Zone::parse("timezone", &name).unwrap(), at))
            },
        )
    }

    /// Where the clock shows something else, by looking at it every quarter of an hour.
    fn walked<L: PartialEq>(
        from: OffsetDateTime,
        to: OffsetDateTime,
        before: Duration,
        label: impl Fn(OffsetDateTime, &L) -> L,
        none: L,
    ) -> Vec<OffsetDateTime> {
        let mut at = from - before;
        at -= Duration::seconds(at.unix_timestamp().rem_euclid(900));
        let mut last = label(at, &none);
        let mut starts = Vec::new();
        while at < to {
            let shown = label(at, &last);
            if shown != last {
                starts.push(at);
                last = shown;
            }
            at += QUARTER;
        }
        let behind = starts.partition_point(|start| *start <= from);
        starts.split_off(behind - 1)
    }

    fn starts(
        from: OffsetDateTime,
        to: OffsetDateTime,
        by: Granularity,
        zone: &Zone,
    ) -> Vec<OffsetDateTime> {
        match cut(from, to, by, zone).unwrap() {
            Buckets::At(starts) => starts,
            Buckets::Quarters => Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn an_hour_starts_where_the_clock_shows_another((zone, from) in moments(), seconds in 1_i64..200_000) {
            let to = from + Duration::seconds(seconds);
            let label = |at, _: &_| {
                let local = zone.localise(at);
                (local.date(), local.hour(), local.offset())
            };
            let none = (Date::MIN, 0, UtcOffset::UTC);
            let expected = walked(from, to, Duration::hours(3), label, none);
            prop_assert_eq!(starts(from, to, Granularity::Hour, &zone), expected);
        }

        #[test]
        fn a_day_starts_where_the_clock_first_shows_it((zone, from) in moments(), seconds in 1_i64..500_000) {
            let to = from + Duration::seconds(seconds);
            // A clock that goes back over midnight shows yesterday once more, and starts no day.
            let label = |at, last: &Date| zone.localise(at).date().max(*last);
            let expected = walked(from, to, Duration::days(3), label, Date::MIN);
            prop_assert_eq!(starts(from, to, Granularity::Day, &zone), expected);
        }

        #[test]
        fn every_instant_is_in_one_bucket_up_to_the_last_range(
            (zone, from) in moments(), last in any::<bool>(), seconds in 1_i64..10_000_000, into in any::<prop::sample::Index>(),
            by in prop::sample::select(&[Granularity::Hour, Granularity::Day, Granularity::Month, Granularity::Total][..]),
        ) {
            let to = if last { time::macros::datetime!(9999-01-01 0:00 UTC) } else { from + Duration::seconds(seconds) };
            let from = if last { to - Duration::seconds(seconds) } else { from };
            let starts = starts(from, to, by, &zone);
            prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(starts[0] <= from && starts.get(1).is_none_or(|second| *second > from));
            prop_assert!(*starts.last().unwrap() < to);
            let at = from + Duration::seconds(i64::try_from(into.index(usize::try_from(seconds).unwrap())).unwrap());
            let holding = starts.iter().enumerate().filter(|(n, start)| **start <= at && starts.get(n + 1).is_none_or(|end| at < *end));
            prop_assert_eq!(holding.count(), 1);
        }
    }
    proptest! {
        // A month of quarters is a long walk.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_month_starts_where_the_clock_first_shows_it((zone, from) in moments(), days in 1_i64..40) {
            let to = from + Duration::days(days);
            let label = |at, last: &(i32, u8)| {
                let date = zone.localise(at).date();
                (date.year(), date.month().into()).max(*last)
            };
            let expected = walked(from, to, Duration::days(40), label, (0, 0));
            prop_assert_eq!(starts(from, to, Granularity::Month, &zone), expected);
        }
    }
}
