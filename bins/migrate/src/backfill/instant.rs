//! Times as databases write them.

use kernel::Zone;
use time::{Date, Duration, Month, OffsetDateTime, Time, UtcOffset};

/// Reads `2025-01-02 03:04:05.678`, with `T` or a space between, with or without an offset. A time without one is a wall clock's in `zone`:
/// where the clock goes back it is the first of the two, and where it is put forward it is as long after the gap as it says.
pub(crate) fn parse(text: &str, zone: &Zone) -> Option<OffsetDateTime> {
    let date = date(text.get(..10)?)?;
    let rest = text.get(10..)?.strip_prefix([' ', 'T', 't'])?;
    let ends = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at_checked(ends)?;
    let civil = date.with_time(self::clock(clock.trim_end())?);
    match offset {
        "" => Some(in_zone(civil.assume_utc(), zone)),
        "Z" | "z" => Some(civil.assume_utc()),
        offset => Some(
            civil
                .assume_offset(self::offset(offset)?)
                .to_offset(UtcOffset::UTC),
        ),
    }
}

fn number<T: std::str::FromStr>(text: &str, digits: usize) -> Option<T> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = number(parts.next()?, 4)?;
    let month = Month::try_from(number::<u8>(parts.next()?, 2)?).ok()?;
    Date::from_calendar_date(year, month, number(parts.next()?, 2)?).ok()
}

fn clock(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let seconds = parts.next().unwrap_or("00");
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let nanoseconds = number(&format!("{fraction:0<9}"), 9)?;
    Time::from_hms_nano(hour, minute, number(whole, 2)?, nanoseconds).ok()
}

fn offset(text: &str) -> Option<UtcOffset> {
    let (sign, digits) = text.split_at_checked(1)?;
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (digits.as_str(), "00"),
        4 => digits.split_at_checked(2)?,
        _ => return None,
    };
    let (hours, minutes): (i8, i8) = (number(hours, 2)?, number(minutes, 2)?);
    let sign = if sign == "-" { -1 } else { 1 };
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

fn in_zone(civil: OffsetDateTime, zone: &Zone) -> OffsetDateTime {
    let offset_at = |at: OffsetDateTime| {
        Duration::seconds(i64::from(zone.localise(at).offset().whole_seconds()))
    };
    // Offsets change by no more than a day, so one of the two holds at the wall clock's time, or it lies in the gap between them.
    let before = offset_at(civil.saturating_sub(Duration::DAY));
    let after = offset_at(civil.saturating_add(Duration::DAY));
    let first = civil.saturating_sub(before);
    let second = civil.saturating_sub(after);
    if offset_at(first) != before && offset_at(second) == after {
        second
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_read_as_databases_write_them() {
        let utc = Zone::utc();
        for (text, expected) in [
            ("2025-01-02 03:04:05", datetime!(2025-01-02 03:04:05 UTC)),
            ("2025-01-02 03:04", datetime!(2025-01-02 03:04 UTC)),
            (
                "2025-01-02T03:04:05.678Z",
                datetime!(2025-01-02 03:04:05.678 UTC),
            ),
            (
                "2025-01-02 03:04:05.000001+00",
                datetime!(2025-01-02 03:04:05.000001 UTC),
            ),
            (
                "2025-01-02 03:04:05+05:30",
                datetime!(2025-01-01 21:34:05 UTC),
            ),
            (
                "2025-01-02 03:04:05-0800",
                datetime!(2025-01-02 11:04:05 UTC),
            ),
            (
                "2025-01-02 03:04:05 +02",
                datetime!(2025-01-02 01:04:05 UTC),
            ),
        ] {
            assert_eq!(parse(text, &utc), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2025-01-02",
            "2025-02-30 00:00:00",
            "2025-01-02 24:00:00",
            "2025-01-02 03:04:05.",
            "2025-01-02 03:04:05+",
            "2025-01-02 03:04:05+5",
            "02.01.2025 03:04",
            "infinity",
            "2025-01-02 03:04:05 BC",
            "2025-01-02é03:04:05",
            "1735787045",
        ] {
            assert_eq!(parse(text, &Zone::utc()), None, "{text}");
        }
    }

    #[test]
    fn wall_clocks_are_read_in_their_zone() {
        let berlin = Zone::parse("zone", "Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2025-01-15 12:00:00", datetime!(2025-01-15 11:00 UTC)),
            ("2025-07-15 12:00:00", datetime!(2025-07-15 10:00 UTC)),
            ("2025-07-15 12:00:00+00", datetime!(2025-07-15 12:00 UTC)),
            // Skipped: the clock goes from two to three.
            ("2025-03-30 02:30:00", datetime!(2025-03-30 01:30 UTC)),
            ("2025-03-30 01:59:00", datetime!(2025-03-30 00:59 UTC)),
            ("2025-03-30 03:00:00", datetime!(2025-03-30 01:00 UTC)),
            // Twice: the first.
            ("2025-10-26 02:30:00", datetime!(2025-10-26 00:30 UTC)),
            ("2025-10-26 03:00:00", datetime!(2025-10-26 02:00 UTC)),
        ] {
            assert_eq!(parse(text, &berlin), Some(expected), "{text}");
        }
    }
}
