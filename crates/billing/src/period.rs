//! Billing periods: half-open, anchored at the instant a subscription started, counted in the tenant's calendar.
//!
//! Every boundary is computed from the anchor, never from the boundary before, so month ends clamp without drifting: an anchor on
//! the 31st gives the 28th, the 30th, and the 31st again. A clock change moves no boundary off its time of day, and a period that
//! holds one is an hour longer or shorter.

use jiff::{Span, Timestamp, civil, tz::TimeZone};
use kernel::Zone;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// How often a base price falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

impl Interval {
    /// The interval as stores and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Reads the text of [`Interval::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Month, Self::Year]
            .into_iter()
            .find(|interval| interval.as_str() == text)
    }

    const fn months(self) -> i32 {
        match self {
            Self::Month => 1,
            Self::Year => 12,
        }
    }
}

/// From `start`, inclusive, to `end`, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    /// The first instant in it.
    #[serde(with = "time::serde::rfc3339")]
    pub start: OffsetDateTime,
    /// The first instant behind it.
    #[serde(with = "time::serde::rfc3339")]
    pub end: OffsetDateTime,
}

impl Period {
    /// Whether the instant is in it.
    #[must_use]
    pub fn contains(&self, at: OffsetDateTime) -> bool {
        self.start <= at && at < self.end
    }

    /// Its length in microseconds, the precision of every stored instant; nought when it is empty.
    #[must_use]
    pub fn length(&self) -> i64 {
        i64::try_from((self.end - self.start).whole_microseconds())
            .unwrap_or(i64::MAX)
            .max(0)
    }

    /// The part of it that lies between two instants; empty when none does.
    #[must_use]
    pub fn clip(&self, from: OffsetDateTime, to: OffsetDateTime) -> Self {
        let start = self.start.max(from).min(self.end);
        Self {
            start,
            end: self.end.min(to).max(start),
        }
    }
}

/// The grid of periods that a start and a zone define.
#[derive(Debug, Clone)]
pub struct Grid {
    anchor: OffsetDateTime,
    zone: TimeZone,
    civil: civil::DateTime,
    months: i32,
}

impl Grid {
    /// Periods of `interval`, the one numbered nought starting at `anchor`, counted in the calendar of `zone`.
    #[must_use]
    pub fn new(anchor: OffsetDateTime, zone: &Zone, interval: Interval) -> Self {
        let zone = TimeZone::get(zone.name()).unwrap_or(TimeZone::UTC);
        let civil = zone.to_datetime(to_jiff(anchor));
        Self {
            anchor,
            zone,
            civil,
            months: interval.months(),
        }
    }

    /// The period that holds the instant. Instants before the anchor have periods too, numbered below nought.
    #[must_use]
    pub fn period_at(&self, at: OffsetDateTime) -> Period {
        let here = self.zone.to_datetime(to_jiff(at));
        let months = (i32::from(here.year()) - i32::from(self.civil.year())) * 12
            + i32::from(here.month())
            - i32::from(self.civil.month());
        // The calendar month is right or one too far, and a clock change on the boundary may add one in either direction.
        let mut number = months.div_euclid(self.months);
        while self.boundary(number) > at {
            number -= 1;
        }
        while self.boundary(number + 1) <= at {
            number += 1;
        }
        self.period(number)
    }

    /// The period with this number.
    #[must_use]
    pub fn period(&self, number: i32) -> Period {
        Period {
            start: self.boundary(number),
            end: self.boundary(number + 1),
        }
    }

    fn boundary(&self, number: i32) -> OffsetDateTime {
        if number == 0 {
            // A start in the hour that the clock shows twice would otherwise move to its first showing.
            return self.anchor;
        }
        let span = Span::new().try_months(i64::from(number) * i64::from(self.months));
        let civil = span.and_then(|span| self.civil.checked_add(span));
        let edge = if number < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        let instant = civil
            .and_then(|civil| self.zone.to_timestamp(civil))
            .unwrap_or(edge);
        OffsetDateTime::from_unix_timestamp_nanos(instant.as_nanosecond()).unwrap_or(self.anchor)
    }
}

fn to_jiff(instant: OffsetDateTime) -> Timestamp {
    Timestamp::from_nanosecond(instant.unix_timestamp_nanos()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn grid(anchor: OffsetDateTime, zone: &str, interval: Interval) -> Grid {
        Grid::new(anchor, &Zone::parse("timezone", zone).unwrap(), interval)
    }

    fn days(grid: &Grid, numbers: std::ops::Range<i32>) -> Vec<u8> {
        numbers
            .map(|number| grid.period(number).start.day())
            .collect()
    }

    #[test]
    fn month_ends_clamp_without_drifting() {
        let monthly = grid(datetime!(2026-01-31 10:00 UTC), "UTC", Interval::Month);
        assert_eq!(days(&monthly, 0..6), [31, 28, 31, 30, 31, 30]);
        let leap = grid(datetime!(2028-01-30 10:00 UTC), "UTC", Interval::Month);
        assert_eq!(days(&leap, 0..3), [30, 29, 30]);
        let yearly = grid(datetime!(2024-02-29 00:00 UTC), "UTC", Interval::Year);
        assert_eq!(days(&yearly, 0..5), [29, 28, 28, 28, 29]);
    }

    #[test]
    fn a_boundary_belongs_to_the_period_that_it_starts() {
        let monthly = grid(datetime!(2026-01-31 10:00 UTC), "UTC", Interval::Month);
        let february = monthly.period_at(datetime!(2026-02-28 10:00 UTC));
        assert_eq!(february.start, datetime!(2026-02-28 10:00 UTC));
        assert_eq!(february.end, datetime!(2026-03-31 10:00 UTC));
        let january = monthly.period_at(datetime!(2026-02-28 9:59:59.999999 UTC));
        assert_eq!(january.start, datetime!(2026-01-31 10:00 UTC));
        assert!(!january.contains(january.end));
    }

    #[test]
    fn a_clock_change_keeps_the_time_of_day() {
        let paris = grid(
            datetime!(2026-03-15 11:00 UTC),
            "Europe/Paris",
            Interval::Month,
        );
        assert_eq!(paris.period(1).start, datetime!(2026-04-15 10:00 UTC));
        assert_eq!(paris.period(0).length(), (31 * 24 - 1) * 3_600_000_000);
        // 2:30 does not exist on the 29th of March: the period starts when the clock has jumped.
        let skipped = grid(
            datetime!(2026-01-29 1:30 UTC),
            "Europe/Paris",
            Interval::Month,
        );
        assert_eq!(skipped.period(2).start, datetime!(2026-03-29 1:30 UTC));
        // 2:30 exists twice on the 25th of October: a start at the second stays there.
        let twice = grid(
            datetime!(2026-10-25 1:30 UTC),
            "Europe/Paris",
            Interval::Month,
        );
        assert_eq!(
            twice.period_at(datetime!(2026-10-25 1:30 UTC)).start,
            datetime!(2026-10-25 1:30 UTC)
        );
    }

    #[test]
    fn clipping_never_leaves_the_period() {
        let period = Period {
            start: datetime!(2026-01-01 0:00 UTC),
            end: datetime!(2026-02-01 0:00 UTC),
        };
        assert_eq!(
            period.clip(
                datetime!(2025-01-01 0:00 UTC),
                datetime!(2027-01-01 0:00 UTC)
            ),
            period
        );
        assert_eq!(
            period
                .clip(
                    datetime!(2026-03-01 0:00 UTC),
                    datetime!(2026-04-01 0:00 UTC)
                )
                .length(),
            0
        );
        assert_eq!(
            period
                .clip(
                    datetime!(2025-03-01 0:00 UTC),
                    datetime!(2025-04-01 0:00 UTC)
                )
                .length(),
            0
        );
    }
}
