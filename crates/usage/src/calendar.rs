//! Which day an instant belongs to, whatever became of its tenant's time zone: to exactly one.
//!
//! A day that is there keeps what is in it, so what was announced of it stays true when its tenant moves. What no day has belongs to the day
//! of its date where the tenant is now, from where the day before ends until the day after begins. Where zones meet, a day is therefore
//! shorter or longer than others. Later days have later dates.

use std::collections::BTreeMap;

use crate::{day::UsageDay, rollup::Touched};

/// Those of `touched` that are in none of `days`, of which no two of a tenant have an instant in common.
pub(crate) fn outside(days: &[UsageDay], mut touched: Vec<Touched>) -> Vec<Touched> {
    let bounds = |day: &UsageDay| ((day.tenant_id, day.starts_at), day.ends_at);
    let ends: BTreeMap<_, _> = days.iter().map(bounds).collect();
    touched.retain(|touched| {
        let last = ends
            .range(..=(touched.tenant_id, touched.bucket))
            .next_back();
        last.is_none_or(|((tenant_id, _), ends_at)| {
            *tenant_id != touched.tenant_id || *ends_at <= touched.bucket
        })
    });
    touched
}

/// Days that must be written down for each of `touched` to be in one, when `near` are all there are around.
pub(crate) fn days_for(near: Vec<UsageDay>, touched: &[Touched]) -> Vec<UsageDay> {
    let mut calendar = Calendar {
        days: near,
        changed: Vec::new(),
    };
    calendar
        .days
        .sort_by_key(|day| (day.tenant_id, day.starts_at));
    for touched in touched {
        calendar.take_in(touched);
    }
    calendar.changed
}

/// Days in order of their tenants, and of time.
struct Calendar {
    days: Vec<UsageDay>,
    changed: Vec<UsageDay>,
}

impl Calendar {
    fn take_in(&mut self, touched: &Touched) {
        let (tenant_id, at) = (touched.tenant_id, touched.bucket);
        let after = self
            .days
            .partition_point(|day| (day.tenant_id, day.starts_at) <= (tenant_id, at));
        let of_tenant = |day: &&UsageDay| day.tenant_id == tenant_id;
        let before = after.checked_sub(1);
        let last = before
            .and_then(|place| self.days.get(place))
            .filter(of_tenant);
        let next = self.days.get(after).filter(of_tenant);
        if last.is_some_and(|last| last.ends_at > at) {
            return;
        }
        let mut day = UsageDay::around(tenant_id, at, &touched.timezone);
        if let Some(last) = last {
            day.starts_at = day.starts_at.max(last.ends_at);
        }
        if let Some(next) = next {
            day.ends_at = day.ends_at.min(next.starts_at);
        }
        let place = match (last, next) {
            (Some(last), _) if last.day >= day.day => {
                (day.day, day.starts_at) = (last.day, last.starts_at);
                before
            }
            (_, Some(next)) if next.day <= day.day => {
                (day.day, day.ends_at) = (next.day, next.ends_at);
                Some(after)
            }
            _ => None,
        };
        match place.and_then(|place| self.days.get_mut(place)) {
            Some(longer) => *longer = day.clone(),
            None => self.days.insert(after, day.clone()),
        }
        self.changed
            .retain(|changed| (changed.tenant_id, changed.day) != (tenant_id, day.day));
        self.changed.push(day);
    }
}

#[cfg(test)]
mod tests {
    use kernel::TenantId;
    use proptest::prelude::*;
    use time::{
        Date, Duration, OffsetDateTime,
        macros::{date, datetime},
    };
    use uuid::Uuid;

    use super::*;

    fn touched(at: OffsetDateTime, zone: &str) -> Touched {
        Touched {
            tenant_id: TenantId::from(Uuid::nil()),
            timezone: zone.to_owned(),
            bucket: at,
        }
    }

    /// Date, start and end of each day, after usage at these times.
    fn days(usage: &[(OffsetDateTime, &str)]) -> Vec<(Date, OffsetDateTime, OffsetDateTime)> {
        let mut days: Vec<UsageDay> = Vec::new();
        for (at, zone) in usage {
            for day in days_for(days.clone(), &[touched(*at, zone)]) {
                days.retain(|old| old.day != day.day);
                days.push(day);
            }
        }
        days.sort_by_key(|day| day.starts_at);
        let bounds = |day: UsageDay| (day.day, day.starts_at, day.ends_at);
        days.into_iter().map(bounds).collect()
    }

    #[test]
    fn a_tenant_that_moves_west_has_a_long_day() {
        let found = days(&[
            (datetime!(2026-11-10 03:00 UTC), "UTC"),
            (datetime!(2026-11-10 20:00 UTC), "America/Los_Angeles"),
            (datetime!(2026-11-11 05:00 UTC), "America/Los_Angeles"),
            (datetime!(2026-11-11 08:00 UTC), "America/Los_Angeles"),
        ]);
        let (first, second) = (
            datetime!(2026-11-11 08:00 UTC),
            datetime!(2026-11-12 08:00 UTC),
        );
        assert_eq!(
            found,
            [
                (
                    date!(2026 - 11 - 10),
                    datetime!(2026-11-10 00:00 UTC),
                    first
                ),
                (date!(2026 - 11 - 11), first, second),
            ]
        );
    }

    #[test]
    fn a_tenant_that_moves_east_has_a_short_day() {
        let found = days(&[
            (datetime!(2026-11-10 03:00 UTC), "UTC"),
            (datetime!(2026-11-10 20:00 UTC), "Asia/Tokyo"),
            (datetime!(2026-11-11 03:00 UTC), "Asia/Tokyo"),
        ]);
        let seam = datetime!(2026-11-11 00:00 UTC);
        assert_eq!(
            found,
            [
                (date!(2026 - 11 - 10), datetime!(2026-11-10 00:00 UTC), seam),
                (date!(2026 - 11 - 11), seam, datetime!(2026-11-11 15:00 UTC)),
            ]
        );
    }

    #[test]
    fn what_comes_late_fills_the_gap_that_is_left_for_it() {
        let found = days(&[
            (datetime!(2026-11-10 20:00 UTC), "America/Los_Angeles"),
            (datetime!(2026-11-10 03:00 UTC), "UTC"),
        ]);
        let until = datetime!(2026-11-11 08:00 UTC);
        assert_eq!(
            found,
            [(
                date!(2026 - 11 - 10),
                datetime!(2026-11-10 00:00 UTC),
                until
            )]
        );
    }

    const ZONES: [&str; 6] = [
        "UTC",
        "Pacific/Kiritimati",
        "Etc/GMT+12",
        "Asia/Kathmandu",
        "America/Havana",
        "Pacific/Apia",
    ];

    proptest! {
        #[test]
        fn each_instant_is_of_one_day_and_stays_in_it(
            usage in prop::collection::vec((0_i64..96 * 12, 0_usize..ZONES.len()), 1..60),
            together in any::<bool>(),
        ) {
            // Apia has no 30 December 2011.
            let at = |quarter: i64| datetime!(2011-12-25 00:00 UTC) + Duration::minutes(15 * quarter);
            let batch: Vec<Touched> =
                usage.iter().map(|(quarter, zone)| touched(at(*quarter), ZONES[*zone])).collect();
            let mut days: Vec<UsageDay> = Vec::new();
            for touched in batch.chunks(if together { 20 } else { 1 }) {
                let before = days.clone();
                for day in days_for(before.clone(), touched) {
                    days.retain(|old| old.day != day.day);
                    days.push(day);
                }
                days.sort_by_key(|day| day.starts_at);
                for pair in days.windows(2) {
                    prop_assert!(pair[0].ends_at <= pair[1].starts_at, "{pair:?}");
                    prop_assert!(pair[0].day < pair[1].day, "{pair:?}");
                }
                for old in before {
                    let holds = |day: &&UsageDay| day.day == old.day && day.starts_at <= old.starts_at && day.ends_at >= old.ends_at;
                    prop_assert!(days.iter().any(|day| holds(&day)), "{old:?} lost something");
                }
                for Touched { bucket, .. } in touched {
                    let of = days.iter().filter(|day| day.starts_at <= *bucket && day.ends_at > *bucket);
                    prop_assert_eq!(of.count(), 1);
                }
            }
        }
    }
}
