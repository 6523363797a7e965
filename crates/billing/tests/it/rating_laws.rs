//! Rating against counting: every model again in whole numbers, a tenth of a unit at a time.

use bigdecimal::BigDecimal;
use kernel::{Currency, Quantity};
use plinth_billing::{Price, PriceModel, Tier, rating::rate};
use proptest::prelude::*;

/// Money is counted in 10^-8 dollars: prices have six digits, and a tenth of a unit or a percent needs two more at most.
const CENT: i128 = 1_000_000;
const PER_MICRO: i128 = 100;

/// Units up to which the step reaches; its unit price and its flat amount, in 10^-6 dollars.
type Step = (Option<i64>, i64, i64);

/// A price in small whole numbers.
#[derive(Debug, Clone)]
enum Plain {
    Flat(i64),
    PerUnit(i64),
    Graduated(Vec<Step>),
    Volume(Vec<Step>),
    Package(i64, i64),
    Percentage(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (1_i64..40, 0_i64..3_000_000, 0_i64..3_000_000);
    prop::collection::vec(step, 1..5).prop_map(|steps| {
        let (mut end, last) = (0, steps.len() - 1);
        let step = |(at, (width, unit, flat))| {
            end += width;
            ((at < last).then_some(end), unit, flat)
        };
        steps.into_iter().enumerate().map(step).collect()
    })
}

fn plains() -> impl Strategy<Value = Plain> {
    let micros = 0_i64..3_000_000;
    prop_oneof![
        micros.clone().prop_map(Plain::Flat),
        micros.clone().prop_map(Plain::PerUnit),
        steps().prop_map(Plain::Graduated),
        steps().prop_map(Plain::Volume),
        (1_i64..50, micros).prop_map(|(size, amount)| Plain::Package(size, amount)),
        (0_i64..100).prop_map(Plain::Percentage),
    ]
}

impl Plain {
    fn model(&self) -> PriceModel {
        let dollars = |micros: i64| BigDecimal::new(micros.into(), 6);
        let tiers = |steps: &[Step]| {
            let tier = |(up_to, unit, flat): &Step| Tier {
                up_to: up_to.map(Into::into),
                unit_amount: dollars(*unit),
                flat_amount: dollars(*flat),
            };
            steps.iter().map(tier).collect()
        };
        match self {
            Self::Flat(amount) => PriceModel::Flat {
                amount: dollars(*amount),
            },
            Self::PerUnit(unit) => PriceModel::PerUnit {
                unit_amount: dollars(*unit),
            },
            Self::Graduated(steps) => PriceModel::Graduated {
                tiers: tiers(steps),
            },
            Self::Volume(steps) => PriceModel::Volume {
                tiers: tiers(steps),
            },
            Self::Package(size, amount) => PriceModel::Package {
                size: (*size).into(),
                amount: dollars(*amount),
            },
            Self::Percentage(percent) => PriceModel::Percentage {
                percent: (*percent).into(),
            },
        }
    }

    fn price(&self) -> Price {
        Price::new("units", Currency::USD, self.model()).unwrap()
    }

    /// What so many tenths of a unit cost, in 10^-8 dollars, a tenth at a time.
    fn counted(&self, tenths: i64) -> i128 {
        // The step that a tenth falls into; nought falls into the first.
        let step_of = |steps: &[Step], tenth: i64| {
            let holds = |step: &Step| step.0.is_none_or(|end| tenth <= 10 * end);
            steps.iter().position(holds).unwrap()
        };
        let a_tenth = |unit: i64| i128::from(unit) * PER_MICRO / 10;
        match self {
            Self::Flat(amount) => i128::from(*amount) * PER_MICRO,
            Self::PerUnit(unit) => (0..tenths).map(|_| a_tenth(*unit)).sum(),
            Self::Percentage(percent) => {
                (0..tenths).map(|_| i128::from(*percent) * CENT / 10).sum()
            }
            Self::Package(size, amount) => {
                let started = (0..tenths).filter(|tenth| tenth % (10 * size) == 0).count();
                i128::try_from(started).unwrap() * i128::from(*amount) * PER_MICRO
            }
            Self::Volume(steps) => {
                let (_, unit, flat) = steps[step_of(steps, tenths)];
                i128::from(flat) * PER_MICRO + (0..tenths).map(|_| a_tenth(unit)).sum::<i128>()
            }
            Self::Graduated(steps) => {
                let entered = &steps[..=step_of(steps, tenths)];
                let flat: i128 = entered
                    .iter()
                    .map(|step| i128::from(step.2) * PER_MICRO)
                    .sum();
                let unit = |tenth| a_tenth(steps[step_of(steps, tenth)].1);
                flat + (1..=tenths).map(unit).sum::<i128>()
            }
        }
    }
}

fn tenths(tenths: i64) -> Quantity {
    BigDecimal::new(tenths.into(), 1).into()
}

fn cents(price: &Price, quantity: &Quantity) -> i64 {
    rate(price, quantity).unwrap().amount.amount
}

proptest! {
    #[test]
    fn every_model_costs_what_counting_says(
        plain in plains(), used in 0_i64..2000, free in 0_i64..100,
        minimum in prop::option::of(0_i64..5000), above in prop::option::of(0_i64..5000),
    ) {
        let mut price = plain.price();
        price.free_units = free.into();
        price.minimum = minimum;
        price.maximum = above.map(|above| minimum.unwrap_or(0) + above);
        price.check().unwrap();
        let exact = plain.counted((used - 10 * free).max(0));
        // Nothing is below nought, so half a cent more and the rest cut off is half away from zero.
        let rounded = i64::try_from((exact + CENT / 2) / CENT).unwrap();
        let expected = rounded.max(minimum.unwrap_or(0)).min(price.maximum.unwrap_or(i64::MAX));
        let charge = rate(&price, &tenths(used)).unwrap();
        prop_assert_eq!(charge.exact, BigDecimal::new(exact.into(), 8));
        prop_assert_eq!(charge.amount.amount, expected);
    }

    #[test]
    fn more_never_costs_less_but_by_volume(plain in plains(), used in 0_i64..1000, more in 0_i64..1000, free in 0_i64..50) {
        prop_assume!(!matches!(plain, Plain::Volume(_)));
        let mut price = plain.price();
        price.free_units = free.into();
        prop_assert!(cents(&price, &tenths(used)) <= cents(&price, &tenths(used + more)));
    }

    #[test]
    fn quantities_rated_apart_cost_no_less_than_together(plain in plains(), a in 0_i64..1000, b in 0_i64..1000) {
        let exact = |used| rate(&plain.price(), &tenths(used)).unwrap().exact;
        let (together, apart) = (exact(a + b), exact(a) + exact(b));
        match plain {
            Plain::PerUnit(_) | Plain::Percentage(_) => prop_assert_eq!(together, apart),
            Plain::Flat(_) | Plain::Package(..) => prop_assert!(together <= apart),
            Plain::Graduated(_) | Plain::Volume(_) => {}
        }
    }

    #[test]
    fn free_units_are_taken_off_before_anything_else(plain in plains(), used in 0_i64..1000, free in 0_i64..100) {
        let mut price = plain.price();
        price.free_units = free.into();
        prop_assert_eq!(cents(&price, &tenths(used + 10 * free)), cents(&plain.price(), &tenths(used)));
        prop_assert_eq!(cents(&price, &tenths(used.min(10 * free))), cents(&plain.price(), &tenths(0)));
    }

    #[test]
    fn what_shrinks_with_a_stretch_adds_up_over_the_stretches(
        amount in 0_i64..1_000_000_000, minimum in 0_i64..1_000_000, cuts in prop::collection::btree_set(1_i64..1_000_000, 0..6),
    ) {
        let whole = 1_000_000;
        let mut price = Plain::Flat(amount).price();
        (price.minimum, price.maximum) = (Some(minimum), Some(2 * minimum));
        let ends = cuts.iter().copied().chain([whole]);
        let parts: Vec<i64> = std::iter::once(0).chain(cuts.iter().copied()).zip(ends).map(|(from, to)| to - from).collect();
        let shares: Vec<Price> = parts.iter().map(|part| price.prorated(*part, whole)).collect();
        let off = i64::try_from(parts.len()).unwrap();
        let sum = |bound: fn(&Price) -> Option<i64>| shares.iter().filter_map(bound).sum::<i64>();
        prop_assert!((sum(|share| share.minimum) - minimum).abs() <= off);
        prop_assert!((sum(|share| share.maximum) - 2 * minimum).abs() <= off);
        let exact: BigDecimal = shares
            .iter()
            .map(|share| match &share.model {
                PriceModel::Flat { amount } => amount.clone(),
                _ => BigDecimal::from(0),
            })
            .sum();
        prop_assert!((exact - BigDecimal::new(amount.into(), 6)).abs() <= BigDecimal::new(off.into(), 18));
    }
}
