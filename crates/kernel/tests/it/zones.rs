use jiff::{Timestamp, tz::TimeZone};
use plinth_kernel::Zone;
use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

use crate::matching;

const SINCE: i64 = 946_684_800; // 2000-01-01, before which nothing is measured
const UNTIL: i64 = 4_102_444_800; // 2100-01-01

fn names() -> Vec<String> {
    jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .filter(|name| name != "Etc/Unknown")
        .collect()
}

/// Zones, each with an instant: any, or one within two days of a change of the clock.
fn moments() -> impl Strategy<Value = (Zone, OffsetDateTime)> {
    let name = prop::sample::select(names());
    (name, SINCE..UNTIL, -172_800_i64..172_800, any::<bool>()).prop_map(
        |(name, second, off, near)| {
            let zone = TimeZone::get(&name).unwrap();
            let from = Timestamp::from_second(second).unwrap();
            let change = zone.following(from).next().filter(|_| near);
            let second = change.map_or(second, |change| change.timestamp().as_second() + off);
            let zone = Zone::parse("timezone", &name).unwrap();
            (zone, OffsetDateTime::from_unix_timestamp(second).unwrap())
        },
    )
}

proptest! {
    #[test]
    fn a_zone_has_one_name(name in prop::sample::select(names()), upper in any::<bool>()) {
        let text = if upper { name.to_ascii_uppercase() } else { name.to_ascii_lowercase() };
        let zone = Zone::parse("timezone", &text).unwrap();
        prop_assert_eq!(zone.name(), &name);
        let json = serde_json::to_string(&zone).unwrap();
        prop_assert_eq!(serde_json::from_str::<Zone>(&json).unwrap(), zone);
    }

    #[test]
    fn no_other_text_is_a_zone(text in matching("[A-Za-z/_+-]{0,20}|[+-][0-9:]{1,6}|\\PC{0,20}")) {
        let known = names().iter().any(|name| name.eq_ignore_ascii_case(&text));
        prop_assert_eq!(Zone::parse("timezone", &text).is_ok(), known);
    }

    #[test]
    fn days_and_months_tile_time((zone, at) in moments()) {
        let day = zone.day_of(at);
        let (start, end) = (zone.start_of_day(day), zone.start_of_day(day.next_day().unwrap()));
        prop_assert!(start <= at && at < end, "{} is not in {} to {}", at, start, end);
        prop_assert_eq!(zone.day_of(start), day);
        let before = zone.day_of(start - Duration::SECOND);
        prop_assert_eq!(zone.start_of_day(before.next_day().unwrap()), start);
        let (from, to) = zone.month_of(at);
        prop_assert!(from <= start && end <= to);
        prop_assert_eq!(zone.month_of(from), (from, to));
        prop_assert_eq!(zone.month_of(to).0, to);
        prop_assert!((27..=32).contains(&(to - from).whole_days()));
    }

    /// Rollups are by the quarter of an hour: what derives from them must begin with one.
    #[test]
    fn a_day_begins_with_the_first_quarter_of_an_hour_that_shows_it((zone, at) in moments()) {
        let day = zone.day_of(at);
        let quarter = Duration::minutes(15);
        let mut walk = at - Duration::days(3);
        walk -= Duration::seconds(walk.unix_timestamp().rem_euclid(900));
        while zone.localise(walk).date() < day {
            walk += quarter;
        }
        prop_assert_eq!(zone.start_of_day(day), walk);
    }

    #[test]
    fn an_instant_stays_itself_in_every_zone((zone, at) in moments()) {
        let local = zone.localise(at);
        prop_assert_eq!(local, at);
        let seconds = TimeZone::get(zone.name()).unwrap()
            .to_offset(Timestamp::from_second(at.unix_timestamp()).unwrap()).seconds();
        prop_assert_eq!(local.offset().whole_seconds(), seconds);
    }
}
