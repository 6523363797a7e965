use std::hash::{BuildHasher, RandomState};

use bigdecimal::BigDecimal;
use plinth_kernel::{Quantity, quantity::QuantityError};
use proptest::prelude::*;

use crate::matching;

const ONE: i128 = 1_000_000_000_000;
/// The first quantity that is too large, in units of 10^-12.
const LIMIT: i128 = 100_000_000_000_000_000_000 * ONE;

/// Units of 10^-12: few digits, many, round ones, and those next to the limit.
fn units() -> impl Strategy<Value = i128> {
    prop_oneof![
        -1000_i128..1000,
        (1 - LIMIT)..LIMIT,
        (-1_000_000_i128..1_000_000).prop_map(|whole| whole * ONE),
        prop_oneof![Just(LIMIT - 1), Just(1 - LIMIT), Just(0)],
    ]
}

/// Units of 10^-12 as text with every digit, by hand.
fn in_full(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    let one = ONE.unsigned_abs();
    format!("{sign}{}.{:012}", units / one, units % one)
}

fn parsed(units: i128) -> Quantity {
    Quantity::parse(&in_full(units)).unwrap()
}

proptest! {
    #[test]
    fn a_quantity_is_the_number_that_is_written(units in units(), power in -30_i32..30, capital in any::<bool>()) {
        let exact = BigDecimal::new(units.into(), 12);
        prop_assert_eq!(parsed(units).as_decimal().clone(), exact);
        // The same number with its point elsewhere, said by an exponent.
        let e = if capital { 'E' } else { 'e' };
        let shifted = format!("{units}{e}{power}");
        let fits = |scaled: Option<i128>| scaled.filter(|units| units.abs() < LIMIT);
        let expected = match u32::try_from(power + 12) {
            _ if units == 0 => Some(0),
            Ok(up) => fits(10_i128.checked_pow(up).and_then(|ten| units.checked_mul(ten))),
            Err(_) => {
                let ten = 10_i128.pow((-12 - power).unsigned_abs());
                fits(Some(units / ten).filter(|_| units % ten == 0))
            }
        };
        let read = Quantity::parse(&shifted).ok();
        prop_assert_eq!(read, expected.map(parsed), "{}", shifted);
    }

    #[test]
    fn a_quantity_survives_being_printed(units in units()) {
        let quantity = parsed(units);
        let printed = quantity.to_string();
        prop_assert_eq!(&Quantity::parse(&printed).unwrap(), &quantity);
        let expected = in_full(units);
        let expected = expected.trim_end_matches('0').trim_end_matches('.');
        prop_assert_eq!(&printed, if units == 0 { "0" } else { expected });
        let json = serde_json::to_string(&quantity).unwrap();
        prop_assert_eq!(json.clone(), format!("\"{printed}\""));
        prop_assert_eq!(serde_json::from_str::<Quantity>(&json).unwrap(), quantity);
    }

    #[test]
    fn sums_are_exact_in_any_order(units in prop::collection::vec(units(), 0..8)) {
        let sum = |parts: &mut dyn Iterator<Item = &i128>| -> BigDecimal {
            parts.map(|units| parsed(*units).as_decimal().clone()).sum()
        };
        let exact = BigDecimal::new(units.iter().sum::<i128>().into(), 12);
        prop_assert_eq!(sum(&mut units.iter()), exact.clone());
        prop_assert_eq!(sum(&mut units.iter().rev()), exact);
    }

    #[test]
    fn order_and_hash_are_those_of_the_number(a in units(), b in units(), zeros in 0_usize..12) {
        prop_assert_eq!(parsed(a).cmp(&parsed(b)), a.cmp(&b));
        prop_assert_eq!(parsed(a).is_negative(), a < 0);
        let longer = Quantity::from(BigDecimal::new(a.into(), 12).with_scale(12 + i64::try_from(zeros).unwrap()));
        prop_assert_eq!(&longer, &parsed(a));
        let state = RandomState::new();
        prop_assert_eq!(state.hash_one(longer), state.hash_one(parsed(a)));
    }

    #[test]
    fn a_thirteenth_digit_and_a_twenty_first_are_refused(units in units(), digit in 1_u8..=9, more in 0_i128..LIMIT) {
        let precise = format!("{}{digit}", in_full(units));
        prop_assert_eq!(Quantity::parse(&precise), Err(QuantityError::TooPrecise));
        prop_assert_eq!(Quantity::parse(&in_full(LIMIT + more)), Err(QuantityError::TooLarge));
        prop_assert_eq!(Quantity::parse(&in_full(-LIMIT - more)), Err(QuantityError::TooLarge));
    }

    #[test]
    fn what_a_float_prints_is_read_digit_by_digit(float in any::<f64>()) {
        for text in [format!("{float}"), format!("{float:e}")] {
            match Quantity::parse(&text) {
                Ok(quantity) => prop_assert_eq!(quantity.to_string().parse::<f64>().unwrap(), float),
                Err(error) => prop_assert!(
                    float.is_finite() || error == QuantityError::NotANumber, "{} is {:?}", text, error
                ),
            }
        }
    }

    #[test]
    fn no_text_does_harm(text in matching("[-+]?[0-9]{0,40}\\.?[0-9]{0,40}([eE][-+]?[0-9]{0,20})?|\\PC{0,80}")) {
        if let Ok(quantity) = Quantity::parse(&text) {
            prop_assert!(quantity.to_string().len() <= 34);
        }
    }
}
