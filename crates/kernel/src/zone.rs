//! IANA time zones, and the calendar in them. The zone database is compiled in: results do not depend on the machine.

use std::fmt;

use jiff::{civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, UtcOffset};

use crate::FieldError;

/// A zone of the IANA database, such as `Asia/Kathmandu`. Fixed offsets and abbreviations are refused, `UTC` is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    #[must_use]
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Looks a zone up by name, in any case.
    ///
    /// # Errors
    /// `unknown_time_zone` on `field`.
    pub fn parse(field: &'static str, name: &str) -> Result<Self, FieldError> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self::utc());
        }
        TimeZone::get(name).map(Self).map_err(|_| {
            FieldError::new(
                field,
                "unknown_time_zone",
                "must be an IANA time zone, such as Europe/Paris",
            )
        })
    }

    /// The canonical name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The calendar day that `instant` falls on here.
    #[must_use]
    pub fn day_of(&self, instant: OffsetDateTime) -> Date {
        let day = self.0.to_datetime(to_jiff(instant)).date();
        Date::from_calendar_date(
            i32::from(day.year()),
            Month::try_from(day.month().unsigned_abs()).unwrap_or(Month::January),
            day.day().unsigned_abs(),
        )
        .unwrap_or(Date::MIN)
    }

    /// The instant at which `day` starts here. A day whose midnight is skipped by DST starts at the first instant after the gap.
    #[must_use]
    pub fn start_of_day(&self, day: Date) -> OffsetDateTime {
        let civil = civil::Date::new(
            i16::try_from(day.year()).unwrap_or(i16::MAX),
            i8::try_from(u8::from(day.month())).unwrap_or(1),
            i8::try_from(day.day()).unwrap_or(1),
        )
        .unwrap_or(civil::Date::MIN);
        self.0
            .to_zoned(civil.at(0, 0, 0, 0))
            .ok()
            .and_then(|zoned| zoned.start_of_day().ok())
            .and_then(|zoned| {
                OffsetDateTime::from_unix_timestamp(zoned.timestamp().as_second()).ok()
            })
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The calendar month around `instant` here, as a half-open range of instants.
    #[must_use]
    pub fn month_of(&self, instant: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
        let first = self.day_of(instant).replace_day(1).unwrap_or(Date::MIN);
        let next = if first.month() == Month::December {
            Date::from_calendar_date(first.year() + 1, Month::January, 1)
        } else {
            Date::from_calendar_date(first.year(), first.month().next(), 1)
        }
        .unwrap_or(Date::MAX);
        (self.start_of_day(first), self.start_of_day(next))
    }

    /// The same instant, written with the offset that holds here at that time.
    #[must_use]
    pub fn localise(&self, instant: OffsetDateTime) -> OffsetDateTime {
        let seconds = self.0.to_offset(to_jiff(instant)).seconds();
        UtcOffset::from_whole_seconds(seconds).map_or(instant, |offset| instant.to_offset(offset))
    }
}

fn to_jiff(instant: OffsetDateTime) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(instant.unix_timestamp_nanos())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse("timezone", &name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::parse("timezone", name).unwrap()
    }

    #[test]
    fn days_follow_the_zone() {
        let kathmandu = zone("Asia/Kathmandu");
        assert_eq!(
            kathmandu.day_of(datetime!(2026-03-01 18:15 UTC)),
            date!(2026 - 03 - 02)
        );
        assert_eq!(
            kathmandu.day_of(datetime!(2026-03-01 18:14 UTC)),
            date!(2026 - 03 - 01)
        );
        assert_eq!(
            kathmandu.start_of_day(date!(2026 - 03 - 02)),
            datetime!(2026-03-01 18:15 UTC)
        );
    }

    #[test]
    fn a_month_with_a_clock_change_has_an_hour_more_or_less() {
        let (from, to) = zone("Europe/Paris").month_of(datetime!(2026-03-15 12:00 UTC));
        assert_eq!(from, datetime!(2026-02-28 23:00 UTC));
        assert_eq!(to, datetime!(2026-03-31 22:00 UTC));
    }

    #[test]
    fn a_skipped_midnight_starts_the_day_after_the_gap() {
        let beirut = zone("Asia/Beirut");
        assert_eq!(
            beirut.start_of_day(date!(2026 - 03 - 29)),
            datetime!(2026-03-28 22:00 UTC)
        );
    }

    #[test]
    fn only_iana_names_are_zones() {
        assert_eq!(zone("utc").name(), "UTC");
        assert_eq!(zone("europe/paris").name(), "Europe/Paris");
        for name in ["", "Mars/Olympus", "+02:00", "../etc/passwd"] {
            assert!(Zone::parse("timezone", name).is_err(), "{name}");
        }
    }
}
