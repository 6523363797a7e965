//! Proration: what a part of a period costs. The denominator is the whole anchored period, never a clamped one.

use kernel::Money;
use serde::Serialize;
use time::OffsetDateTime;

use crate::{Period, PlanChange, PlanRef};

/// What a change of plan in the middle of a period comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Proration {
    /// What the old plan no longer costs: its share of the rest of the period.
    pub credit: Money,
    /// What the new plan costs instead.
    pub charge: Money,
}

impl Proration {
    /// Prorates a change from `old` to `new` at `at`, both being base prices of `whole`.
    #[must_use]
    pub fn of(old: Money, new: Money, at: OffsetDateTime, whole: Period) -> Self {
        let rest = whole.clip(at, whole.end);
        Self {
            credit: share(old, rest, whole),
            charge: share(new, rest, whole),
        }
    }

    /// The difference in minor units: more than nought makes the period dearer.
    #[must_use]
    pub const fn net(&self) -> i64 {
        self.charge.amount.saturating_sub(self.credit.amount)
    }
}

/// The part of a base price that falls on `part` of `whole`, rounded half away from zero.
#[must_use]
pub fn share(price: Money, part: Period, whole: Period) -> Money {
    price.share(part.length(), whole.length())
}

/// A stretch of a period under one plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The plan in force.
    pub plan: PlanRef,
    /// From when to when.
    pub part: Period,
}

/// Cuts a period at its changes of plan. `changes` are in order of time, and the first lies at or before the period or starts it.
/// Empty stretches are left out, and neighbours under one plan are one stretch.
#[must_use]
pub fn stretches(changes: &[PlanChange], whole: Period) -> Vec<Stretch> {
    let ends = changes
        .iter()
        .skip(1)
        .map(|change| change.effective_at)
        .chain([whole.end]);
    let mut cut: Vec<Stretch> = Vec::new();
    for (change, end) in changes.iter().zip(ends) {
        let part = whole.clip(change.effective_at, end);
        match cut.last_mut() {
            _ if part.length() == 0 => {}
            Some(last) if last.plan == change.plan => last.part.end = part.end,
            _ => cut.push(Stretch {
                plan: change.plan.clone(),
                part,
            }),
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use kernel::Currency;
    use time::macros::datetime;

    use super::*;

    const JANUARY: Period = Period {
        start: datetime!(2026-01-01 0:00 UTC),
        end: datetime!(2026-02-01 0:00 UTC),
    };

    fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    fn change(code: &str, effective_at: OffsetDateTime) -> PlanChange {
        PlanChange {
            plan: PlanRef {
                code: code.to_owned(),
                version: 1,
            },
            effective_at,
        }
    }

    fn codes(changes: &[PlanChange]) -> Vec<(String, i64)> {
        let day = 86_400_000_000;
        stretches(changes, JANUARY)
            .into_iter()
            .map(|stretch| (stretch.plan.code, stretch.part.length() / day))
            .collect()
    }

    #[test]
    fn an_upgrade_on_day_15_of_31() {
        let at = datetime!(2026-01-15 0:00 UTC);
        let (before, after) = (
            JANUARY.clip(JANUARY.start, at),
            JANUARY.clip(at, JANUARY.end),
        );
        assert_eq!(share(usd(10_000), before, JANUARY).amount, 4516);
        assert_eq!(share(usd(20_000), after, JANUARY).amount, 10_968);
        let up = Proration::of(usd(10_000), usd(20_000), at, JANUARY);
        assert_eq!(
            (up.credit.amount, up.charge.amount, up.net()),
            (5484, 10_968, 5484)
        );
        let down = Proration::of(usd(20_000), usd(10_000), at, JANUARY);
        assert_eq!(down.net(), -5484);
    }

    #[test]
    fn a_change_at_the_very_start_or_end_is_all_or_nothing() {
        let all = Proration::of(usd(2900), usd(9900), JANUARY.start, JANUARY);
        assert_eq!((all.credit.amount, all.charge.amount), (2900, 9900));
        let nothing = Proration::of(usd(2900), usd(9900), JANUARY.end, JANUARY);
        assert_eq!((nothing.credit.amount, nothing.charge.amount), (0, 0));
    }

    #[test]
    fn a_period_is_cut_at_its_changes() {
        let there_and_back = [
            change("free", datetime!(2025-12-20 0:00 UTC)),
            change("pro", datetime!(2026-01-11 0:00 UTC)),
            change("free", datetime!(2026-01-21 0:00 UTC)),
        ];
        let expected = [("free".into(), 10), ("pro".into(), 10), ("free".into(), 11)];
        assert_eq!(codes(&there_and_back), expected);
    }

    #[test]
    fn changes_outside_the_period_and_changes_that_change_nothing_do_not_cut() {
        let changes = [
            change("free", datetime!(2025-10-01 0:00 UTC)),
            change("pro", datetime!(2025-11-01 0:00 UTC)),
            change("pro", datetime!(2026-01-10 0:00 UTC)),
            change("free", datetime!(2026-02-01 0:00 UTC)),
        ];
        assert_eq!(codes(&changes), [("pro".into(), 31)]);
        assert_eq!(codes(&[]), []);
    }
}
