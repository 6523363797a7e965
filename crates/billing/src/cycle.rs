//! What a quota starts anew with.

use kernel::Zone;
use time::OffsetDateTime;

use crate::{Grid, Interval, Period};

/// What a quota starts anew with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cycle {
    /// The month that starts on the subscription's day and hour, in the zone that the subscription was made in, whatever the interval of the
    /// plan. Without a subscription it is [`Cycle::CalendarMonth`].
    #[default]
    BillingMonth,
    /// The calendar month in the tenant's zone.
    CalendarMonth,
    /// The calendar day in the tenant's zone.
    CalendarDay,
}

/// Where the billing months of a tenant start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// When the subscription started.
    pub at: OffsetDateTime,
    /// The zone that its months are counted in.
    pub zone: Zone,
}

impl Cycle {
    /// The cycle as stores and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BillingMonth => "billing_month",
            Self::CalendarMonth => "calendar_month",
            Self::CalendarDay => "calendar_day",
        }
    }

    /// Reads the text of [`Cycle::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::BillingMonth, Self::CalendarMonth, Self::CalendarDay]
            .into_iter()
            .find(|cycle| cycle.as_str() == text)
    }

    /// The period around `at` of a tenant that lives in `zone`.
    #[must_use]
    pub fn period_at(self, anchor: Option<&Anchor>, zone: &Zone, at: OffsetDateTime) -> Period {
        match (self, anchor) {
            (Self::BillingMonth, Some(anchor)) => {
                Grid::new(anchor.at, &anchor.zone, Interval::Month).period_at(at)
            }
            (Self::BillingMonth | Self::CalendarMonth, _) => {
                let (start, end) = zone.month_of(at);
                Period { start, end }
            }
            (Self::CalendarDay, _) => {
                let day = zone.day_of(at);
                let next = day.next_day().unwrap_or(day);
                Period {
                    start: zone.start_of_day(day),
                    end: zone.start_of_day(next),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::parse("timezone", name).unwrap()
    }

    #[test]
    fn a_calendar_is_the_tenants() {
        let kathmandu = zone("Asia/Kathmandu");
        // 23:50 on the last day of January there, and ten minutes later.
        let (before, after) = (
            datetime!(2026-01-31 18:05 UTC),
            datetime!(2026-01-31 18:15 UTC),
        );
        let month = |at| Cycle::CalendarMonth.period_at(None, &kathmandu, at);
        assert_eq!(month(before).end, datetime!(2026-01-31 18:15 UTC));
        assert_eq!(month(after).start, datetime!(2026-01-31 18:15 UTC));
        let day = Cycle::CalendarDay.period_at(None, &kathmandu, before);
        assert_eq!(day.start, datetime!(2026-01-30 18:15 UTC));
        assert_eq!(day.end, datetime!(2026-01-31 18:15 UTC));
    }

    #[test]
    fn a_day_is_as_long_as_the_clock_makes_it() {
        let paris = zone("Europe/Paris");
        let day = |at| Cycle::CalendarDay.period_at(None, &paris, at);
        let hours = |period: Period| (period.end - period.start).whole_hours();
        assert_eq!(hours(day(datetime!(2026-03-29 12:00 UTC))), 23);
        assert_eq!(hours(day(datetime!(2026-10-25 12:00 UTC))), 25);
    }

    #[test]
    fn a_billing_month_is_the_subscriptions_and_a_calendar_month_is_not() {
        let anchor = Anchor {
            at: datetime!(2026-01-15 9:00 UTC),
            zone: Zone::utc(),
        };
        let at = datetime!(2026-02-15 8:59 UTC);
        let period = |cycle: Cycle, anchor| cycle.period_at(anchor, &Zone::utc(), at);
        assert_eq!(
            period(Cycle::BillingMonth, Some(&anchor)).end,
            datetime!(2026-02-15 9:00 UTC)
        );
        for (cycle, anchor) in [
            (Cycle::CalendarMonth, Some(&anchor)),
            (Cycle::BillingMonth, None),
        ] {
            assert_eq!(period(cycle, anchor).start, datetime!(2026-02-01 0:00 UTC));
        }
    }

    #[test]
    fn the_text_of_a_cycle_round_trips() {
        for cycle in [
            Cycle::BillingMonth,
            Cycle::CalendarMonth,
            Cycle::CalendarDay,
        ] {
            assert_eq!(Cycle::parse(cycle.as_str()), Some(cycle));
        }
        assert_eq!(Cycle::parse("week"), None);
    }
}
