//! Periods against a calendar of our own: months counted by hand, instants found by looking at the clock.

use std::collections::BTreeSet;

use jiff::{Timestamp, tz::TimeZone};
use kernel::{Currency, Money, Zone};
use plinth_billing::{Grid, Interval, Period, Proration, proration};
use proptest::prelude::*;
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, UtcOffset};

const fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i32, month: i32) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The same day and time of day so many months on, or the last day of a month that has no such day.
fn months_on(from: PrimitiveDateTime, months: i32) -> PrimitiveDateTime {
    let index = from.year() * 12 + i32::from(u8::from(from.month())) - 1 + months;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    let day = from.day().min(days_in(year, month));
    let month = Month::try_from(u8::try_from(month).unwrap()).unwrap();
    PrimitiveDateTime::new(
        Date::from_calendar_date(year, month, day).unwrap(),
        from.time(),
    )
}

fn shown(zone: &Zone, at: OffsetDateTime) -> PrimitiveDateTime {
    let local = zone.localise(at);
    PrimitiveDateTime::new(local.date(), local.time())
}

/// When the clock shows this: the first time if it does twice, and as far behind the gap as it is into it if it never does.
fn instant(zone: &Zone, civil: PrimitiveDateTime) -> OffsetDateTime {
    let near = civil.assume_utc();
    let offsets: BTreeSet<UtcOffset> = (-16_i64..=16)
        .map(|step| zone.localise(near + Duration::hours(3 * step)).offset())
        .collect();
    let all = || offsets.iter().map(|offset| civil.assume_offset(*offset));
    let true_ones = all().filter(|at| shown(zone, *at) == civil);
    true_ones
        .min()
        .or_else(|| all().max())
        .unwrap()
        .to_offset(UtcOffset::UTC)
}

/// Any zone, and a start: often on the last days of a month, and often such that a boundary is near a change of the clock.
fn starts() -> impl Strategy<Value = (Zone, OffsetDateTime)> {
    let names: Vec<String> = jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .filter(|name| Zone::parse("timezone", name).is_ok())
        .collect();
    let draw = (
        prop::sample::select(names),
        946_684_800_i64..2_208_988_800,
        0_i64..1_000_000,
        0_u8..4,
        -7200_i64..7200,
        1_i32..12,
    );
    draw.prop_map(|(name, second, micro, how, off, months)| {
        let zone = Zone::parse("timezone", &name).unwrap();
        let at =
            OffsetDateTime::from_unix_timestamp(second).unwrap() + Duration::microseconds(micro);
        let at = match how {
            0 => at,
            1 => {
                let last = days_in(at.year(), u8::from(at.month()).into());
                at.replace_day(last - at.day() % 3).unwrap()
            }
            _ => {
                let after = Timestamp::from_second(second).unwrap();
                let clock = TimeZone::get(&name).unwrap();
                let change = clock.following(after).next();
                let change = change.map_or(second, |change| change.timestamp().as_second());
                let near = OffsetDateTime::from_unix_timestamp(change + off).unwrap();
                instant(&zone, months_on(shown(&zone, near), -months))
            }
        };
        (zone, at)
    })
}

fn intervals() -> impl Strategy<Value = (Interval, i32)> {
    prop_oneof![Just((Interval::Month, 1)), Just((Interval::Year, 12))]
}

proptest! {
    #[test]
    fn a_period_starts_where_the_calendar_says((zone, anchor) in starts(), (interval, months) in intervals(), number in -14_i32..40) {
        let grid = Grid::new(anchor, &zone, interval);
        let start = |number: i32| match number {
            0 => anchor,
            _ => instant(&zone, months_on(shown(&zone, anchor), number * months)),
        };
        let period = grid.period(number);
        prop_assert_eq!((period.start, period.end), (start(number), start(number + 1)));
    }

    #[test]
    fn walking_from_period_to_period_leaves_no_instant_out((zone, anchor) in starts(), (interval, _) in intervals(), number in -14_i32..40) {
        let grid = Grid::new(anchor, &zone, interval);
        let (this, micro) = (grid.period(number), Duration::MICROSECOND);
        for (at, expected) in [
            (this.start - micro, grid.period(number - 1)), (this.start, this), (this.start + (this.end - this.start) / 2, this),
            (this.end - micro, this), (this.end, grid.period(number + 1)),
        ] {
            prop_assert_eq!(grid.period_at(at), expected);
            prop_assert!(expected.contains(at));
        }
        prop_assert_eq!(grid.period(number - 1).end, this.start);
    }

    #[test]
    fn a_clip_is_what_both_have((zone, anchor) in starts(), a in -40_i64..80, b in -40_i64..80) {
        let period = Grid::new(anchor, &zone, Interval::Month).period(0);
        let (from, to) = (anchor + Duration::days(a), anchor + Duration::days(b));
        let clip = period.clip(from, to);
        for hour in (-40 * 24..80 * 24_i64).step_by(7) {
            let at = anchor + Duration::hours(hour);
            prop_assert_eq!(clip.contains(at), period.contains(at) && from <= at && at < to);
        }
        prop_assert!(period.start <= clip.start && clip.start <= clip.end && clip.end <= period.end);
    }

    #[test]
    fn what_was_used_and_what_is_given_back_make_the_price(
        (zone, anchor) in starts(), second in 0_i64..3_000_000, old in 0_i64..10_000_000, new in 0_i64..10_000_000,
    ) {
        let usd = |amount| Money::new(amount, Currency::USD);
        let whole: Period = Grid::new(anchor, &zone, Interval::Month).period(0);
        let at = whole.start + Duration::seconds(second);
        let used = proration::share(usd(old), whole.clip(whole.start, at), whole).amount;
        let change = Proration::of(usd(old), usd(new), at, whole);
        prop_assert!((used + change.credit.amount - old).abs() <= 1);
        prop_assert!(change.credit.amount <= old && change.charge.amount <= new);
        // There and back again within the same instant.
        let back = Proration::of(usd(new), usd(old), at, whole);
        prop_assert!((change.net() + back.net()).abs() <= 1);
        prop_assert_eq!(change.net() > 0, change.charge.amount > change.credit.amount);
    }
}
