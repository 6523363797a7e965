use bigdecimal::BigDecimal;
use kernel::{Currency, Quantity};
use plinth_billing::{Charge, Price, PriceModel, Tier, rating::rate};
use proptest::prelude::*;

fn decimal(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

fn tier(up_to: Option<i64>, unit_amount: &str, flat_amount: &str) -> Tier {
    Tier {
        up_to: up_to.map(Into::into),
        unit_amount: decimal(unit_amount),
        flat_amount: decimal(flat_amount),
    }
}

fn price(model: PriceModel) -> Price {
    Price::new("units", Currency::USD, model).unwrap()
}

fn charge(price: &Price, quantity: &str) -> Charge {
    rate(price, &Quantity::from(decimal(quantity))).unwrap()
}

fn cents(price: &Price, quantity: &str) -> i64 {
    charge(price, quantity).amount.amount
}

fn whole_units(price: &Price, units: &[i64]) -> Vec<i64> {
    units
        .iter()
        .map(|units| cents(price, &units.to_string()) / 100)
        .collect()
}

#[test]
fn graduated_charges_each_step_at_its_price_and_the_flat_amount_on_entering() {
    let tiers = vec![
        tier(Some(10), "10", "2"),
        tier(Some(20), "5", "3"),
        tier(None, "5", "3"),
    ];
    let price = price(PriceModel::Graduated { tiers });
    let amounts = whole_units(&price, &[0, 1, 10, 11, 12, 21]);
    assert_eq!(amounts, [2, 12, 102, 110, 115, 163]);
    let steps: Vec<(String, String)> = charge(&price, "11.5")
        .tiers
        .iter()
        .map(|step| (step.quantity.to_string(), step.amount.to_string()))
        .collect();
    assert_eq!(
        steps,
        [("10".into(), "102".into()), ("1.5".into(), "10.5".into())]
    );
}

#[test]
fn volume_charges_everything_at_the_step_that_is_reached() {
    let tiers = vec![
        tier(Some(100), "2", "10"),
        tier(Some(200), "1", "0"),
        tier(None, "0.5", "50"),
    ];
    let price = price(PriceModel::Volume { tiers });
    let amounts = whole_units(&price, &[0, 1, 100, 101, 200, 210]);
    assert_eq!(amounts, [10, 12, 210, 101, 200, 155]);
}

#[test]
fn packages_are_charged_when_they_are_started() {
    let mut hundreds = price(PriceModel::Package {
        size: 100.into(),
        amount: 5.into(),
    });
    hundreds.free_units = 100.into();
    assert_eq!(
        whole_units(&hundreds, &[0, 100, 101, 200, 201]),
        [0, 0, 5, 5, 10]
    );
    assert_eq!(cents(&hundreds, "100.000000000001"), 500);

    let amount = decimal("0.50");
    let millions = price(PriceModel::Package {
        size: 1_000_000.into(),
        amount,
    });
    let amounts: Vec<i64> = ["0", "1", "1000000", "1000001", "2500000"]
        .map(|tokens| cents(&millions, tokens))
        .into();
    assert_eq!(amounts, [0, 50, 50, 100, 150]);
}

#[test]
fn per_unit_flat_and_percentage() {
    let minutes = price(PriceModel::PerUnit {
        unit_amount: decimal("0.01"),
    });
    assert_eq!(cents(&minutes, "61.5"), 62);
    assert_eq!(charge(&minutes, "61.5").unit_price, decimal("0.01"));
    let seat = price(PriceModel::Flat {
        amount: decimal("9.99"),
    });
    assert_eq!((cents(&seat, "0"), cents(&seat, "1000")), (999, 999));
    let fee = price(PriceModel::Percentage {
        percent: decimal("2.9"),
    });
    assert_eq!(cents(&fee, "100"), 290);
}

#[test]
fn the_first_thousand_tool_calls_are_free() {
    let tiers = vec![tier(Some(1000), "0", "0"), tier(None, "0.001", "0")];
    let price = price(PriceModel::Graduated { tiers });
    let amounts = ["0", "1000", "1005", "2000", "11000"].map(|calls| cents(&price, calls));
    assert_eq!(amounts, [0, 0, 1, 100, 1000]);
}

#[test]
fn bounds_hold_and_usage_below_nought_is_no_credit() {
    let mut price = price(PriceModel::PerUnit {
        unit_amount: 1.into(),
    });
    assert_eq!(cents(&price, "-5"), 0);
    (price.minimum, price.maximum) = (Some(250), Some(1000));
    assert_eq!(
        (cents(&price, "0"), cents(&price, "3"), cents(&price, "11")),
        (250, 300, 1000)
    );
}

#[test]
fn an_amount_that_does_not_fit_is_an_error() {
    let price = price(PriceModel::PerUnit {
        unit_amount: decimal("100000000000000"),
    });
    assert!(rate(&price, &Quantity::from(decimal("99999999999999999999"))).is_err());
}

fn quantities() -> impl Strategy<Value = BigDecimal> {
    (0_i64..1_000_000_000, 0_i64..6)
        .prop_map(|(digits, scale)| BigDecimal::new(digits.into(), scale))
}

/// Tiers whose unit prices do not fall, and fall or not as the strategy draws them.
fn tiers() -> impl Strategy<Value = Vec<Tier>> {
    let step = (1_i64..5000, 0_i64..100_000, 0_i64..1000);
    prop::collection::vec(step, 1..6).prop_map(|steps| {
        let last = steps.len() - 1;
        let mut end = 0;
        let tier = |(at, (width, unit, flat)): (usize, (i64, i64, i64))| {
            end += width;
            Tier {
                up_to: (at < last).then(|| end.into()),
                unit_amount: BigDecimal::new(unit.into(), 4),
                flat_amount: BigDecimal::new(flat.into(), 2),
            }
        };
        steps.into_iter().enumerate().map(tier).collect()
    })
}

proptest! {
    #[test]
    fn graduated_never_falls(tiers in tiers(), a in quantities(), b in quantities()) {
        let price = price(PriceModel::Graduated { tiers });
        let (less, more) = if a <= b { (a, b) } else { (b, a) };
        let less = rate(&price, &less.into()).unwrap();
        prop_assert!(less.amount.amount <= rate(&price, &more.into()).unwrap().amount.amount);
    }

    #[test]
    fn volume_never_falls_within_a_step(tiers in tiers(), a in quantities(), b in quantities()) {
        let price = price(PriceModel::Volume { tiers });
        let (less, more) = if a <= b { (a, b) } else { (b, a) };
        let (less, more) = (rate(&price, &less.into()).unwrap(), rate(&price, &more.into()).unwrap());
        prop_assert_eq!(less.tiers.len(), 1);
        if less.tiers[0].from == more.tiers[0].from {
            prop_assert!(less.amount.amount <= more.amount.amount);
        }
    }

    #[test]
    fn the_steps_are_the_charge(tiers in tiers(), quantity in quantities(), by_volume: bool) {
        let model = if by_volume { PriceModel::Volume { tiers } } else { PriceModel::Graduated { tiers } };
        let charge = rate(&price(model), &quantity.clone().into()).unwrap();
        let sum: BigDecimal = charge.tiers.iter().map(|step| &step.amount).sum();
        let units: BigDecimal = charge.tiers.iter().map(|step| &step.quantity).sum();
        prop_assert_eq!(&sum, &charge.exact);
        prop_assert_eq!(units, quantity);
        let off = (charge.amount.to_decimal() - charge.exact).abs();
        prop_assert!(off <= decimal("0.005"));
    }

    #[test]
    fn graduated_steps_are_contiguous(tiers in tiers(), quantity in quantities()) {
        let steps = rate(&price(PriceModel::Graduated { tiers }), &quantity.into()).unwrap().tiers;
        for (step, next) in steps.iter().zip(steps.iter().skip(1)) {
            prop_assert_eq!(step.to.as_ref(), Some(&next.from));
        }
    }

    #[test]
    fn splitting_changes_a_per_unit_charge_by_no_more_than_rounding(
        a in quantities(), b in quantities(), unit in 0_i64..1_000_000,
    ) {
        let unit_amount = BigDecimal::new(unit.into(), 6);
        let price = price(PriceModel::PerUnit { unit_amount });
        let of = |quantity: &BigDecimal| rate(&price, &quantity.clone().into()).unwrap().amount.amount;
        prop_assert!((of(&(&a + &b)) - of(&a) - of(&b)).abs() <= 1);
    }

    #[test]
    fn packages_cover_the_quantity_and_not_one_more(quantity in quantities(), size in 1_i64..10_000) {
        let price = price(PriceModel::Package { size: size.into(), amount: 1.into() });
        let packages = rate(&price, &quantity.clone().into()).unwrap().exact;
        let size = BigDecimal::from(size);
        prop_assert!(&packages * &size >= quantity);
        prop_assert!((packages - BigDecimal::from(1)) * size < quantity);
    }
}
