use kernel::{Currency, Money, Zone};
use plinth_billing::{Grid, Interval, Period, PlanChange, PlanRef, Proration, proration};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

/// Zones with whole, half and quarter hours, with and without clock changes, and one that skipped a whole day.
const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/Sao_Paulo",
];

fn instants() -> impl Strategy<Value = OffsetDateTime> {
    (946_684_800_i64..2_524_608_000, 0_i64..1_000_000).prop_map(|(second, micro)| {
        OffsetDateTime::from_unix_timestamp(second).unwrap() + Duration::microseconds(micro)
    })
}

fn grids() -> impl Strategy<Value = (OffsetDateTime, Grid)> {
    let interval = prop_oneof![Just(Interval::Month), Just(Interval::Year)];
    (instants(), prop::sample::select(&ZONES[..]), interval).prop_map(|(anchor, zone, interval)| {
        let zone = Zone::parse("timezone", zone).unwrap();
        (anchor, Grid::new(anchor, &zone, interval))
    })
}

fn usd(amount: i64) -> Money {
    Money::new(amount, Currency::USD)
}

proptest! {
    #[test]
    fn periods_tile_time((anchor, grid) in grids(), number in -300_i32..300) {
        let (this, next) = (grid.period(number), grid.period(number + 1));
        prop_assert_eq!(this.end, next.start);
        prop_assert!(this.length() > 0);
        prop_assert_eq!(grid.period(0).start, anchor);
        prop_assert_eq!(grid.period_at(this.start), this);
        prop_assert_eq!(grid.period_at(this.end), next);
        prop_assert_eq!(grid.period_at(this.end - Duration::microseconds(1)), this);
    }

    #[test]
    fn every_instant_is_in_its_period((_, grid) in grids(), at in instants()) {
        prop_assert!(grid.period_at(at).contains(at));
    }

    #[test]
    fn shares_of_a_period_add_up_but_for_rounding(
        (_, grid) in grids(), cuts in prop::collection::vec(0_i64..31_000_000, 0..6), price in 0_i64..10_000_000,
    ) {
        let whole = grid.period(3);
        let mut at: Vec<_> = cuts.iter().map(|second| whole.start + Duration::seconds(*second)).collect();
        at.sort();
        let changes: Vec<PlanChange> = [whole.start]
            .into_iter()
            .chain(at)
            .enumerate()
            .map(|(n, effective_at)| PlanChange {
                plan: PlanRef { code: format!("plan{}", n % 3), version: 1 },
                effective_at,
            })
            .collect();
        let parts = proration::stretches(&changes, whole);
        let length: i64 = parts.iter().map(|stretch| stretch.part.length()).sum();
        prop_assert_eq!(length, whole.length());
        let shares: i64 =
            parts.iter().map(|stretch| proration::share(usd(price), stretch.part, whole).amount).sum();
        prop_assert!((shares - price).abs() <= i64::try_from(parts.len()).unwrap());
    }

    #[test]
    fn an_upgrade_taken_back_costs_nothing_but_rounding(
        (_, grid) in grids(), second in 0_i64..2_000_000, old in 0_i64..100_000, new in 0_i64..100_000,
    ) {
        let whole: Period = grid.period(0);
        let at = whole.start + Duration::seconds(second);
        let there = Proration::of(usd(old), usd(new), at, whole);
        let back = Proration::of(usd(new), usd(old), at, whole);
        prop_assert_eq!(there.net() + back.net(), 0);
        prop_assert!(there.credit.amount <= old && there.charge.amount <= new);
    }
}
