//! IANA time zones, and the calendar in them. The zone database is compiled in: results do not depend on the machine.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
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
        match TimeZone::get(name) {
            // `Etc/Unknown` is in the database of CLDR, for zones that nobody could name.
            Ok(zone) if !zone.is_unknown() => Ok(Self(zone)),
            _ => Err(FieldError::new(
                field,
                "unknown_time_zone",
                "must be an IANA time zone, such as Europe/Paris",
            )),
        }
    }

    /// The canonical name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The calendar day that `instant` falls on here. Where the clock goes back over midnight, the new day has begun and goes on.
    #[must_use]
    pub fn day_of(&self, instant: OffsetDateTime) -> Date {
        let day = self.0.to_datetime(to_jiff(instant)).date();
        let day = Date::from_calendar_date(
            i32::from(day.year()),
            Month::try_from(day.month().unsigned_abs()).unwrap_or(Month::January),
            day.day().unsigned_abs(),
        )
        .unwrap_or(Date::MIN);
        match day.next_day() {
            Some(next) if self.start_of_day(next) <= instant => next,
            _ => day,
        }
    }

    /// The instant at which `day` starts here. A day whose midnight is skipped by DST starts at the first instant after the gap. The last
    /// day that there is, in 9999, starts no later than the zone database ends.
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
            .unwrap_or_else(|| end_of_time(day.year() < 0))
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

    /// The same instant, written with the offset that holds here at that time; as it is, where that would be in the year 10000.
    #[must_use]
    pub fn localise(&self, instant: OffsetDateTime) -> OffsetDateTime {
        let seconds = self.0.to_offset(to_jiff(instant)).seconds();
        UtcOffset::from_whole_seconds(seconds)
            .ok()
            .and_then(|offset| instant.checked_to_offset(offset))
            .unwrap_or(instant)
    }
}

/// The instant for the zone database, which ends a day before `time` does: what lies outside is at its end.
fn to_jiff(instant: OffsetDateTime) -> Timestamp {
    let end = if instant.year() < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_nanosecond(instant.unix_timestamp_nanos()).unwrap_or(end)
}

fn end_of_time(past: bool) -> OffsetDateTime {
    let end = if past { Timestamp::MIN } else { Timestamp::MAX };
    OffsetDateTime::from_unix_timestamp(end.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
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
    fn a_clock_that_goes_back_over_midnight_starts_no_day_twice() {
        // At 0:01 of the 29th it is 23:01 of the 28th again.
        let st_johns = zone("America/St_Johns");
        let midnight = st_johns.start_of_day(date!(2006 - 10 - 29));
        assert_eq!(midnight, datetime!(2006-10-29 2:30 UTC));
        assert_eq!(
            st_johns.localise(midnight + time::Duration::HOUR / 2).day(),
            28
        );
        assert_eq!(
            st_johns.day_of(midnight + time::Duration::HOUR / 2),
            date!(2006 - 10 - 29)
        );
    }

    #[test]
    fn what_lies_behind_the_zone_database_is_at_its_end() {
        let last = datetime!(9999-12-31 23:59:59 UTC);
        for name in ["UTC", "Europe/Paris", "Pacific/Kiritimati"] {
            assert_eq!(zone(name).day_of(last), date!(9999 - 12 - 31), "{name}");
            assert!(zone(name).start_of_day(date!(9999 - 12 - 31)) <= last);
            assert_eq!(zone(name).localise(last), last);
        }
    }

    #[test]
    fn only_iana_names_are_zones() {
        assert_eq!(zone("utc").name(), "UTC");
        assert_eq!(zone("europe/paris").name(), "Europe/Paris");
        for name in ["", "Mars/Olympus", "+02:00", "../etc/passwd", "Etc/Unknown"] {
            assert!(Zone::parse("timezone", name).is_err(), "{name}");
        }
    }
}
