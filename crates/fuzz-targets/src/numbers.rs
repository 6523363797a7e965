//! Quantities and money, against plain integers.

use bigdecimal::BigDecimal;
use kernel::{
    Currency, Money, Quantity,
    money::split,
    quantity::{MAX_SCALE, QuantityError},
};

use crate::{take, utf8};

/// A quantity is taken exactly when it fits, is the number that was written, and survives being printed.
pub fn quantity(data: &[u8]) {
    let text = utf8(data);
    match (Quantity::parse(text), units(text)) {
        (Ok(quantity), Some(units)) => {
            let read = quantity.as_decimal() * BigDecimal::from(10_i64.pow(12));
            assert_eq!(read, BigDecimal::from(units), "{text:?}");
            let printed = quantity.to_string();
            assert!(printed.len() <= 34, "{text:?} is printed as {printed}");
            assert_eq!(Quantity::parse(&printed).as_ref(), Ok(&quantity));
            assert_eq!(quantity.is_negative(), units < 0);
        }
        (Err(QuantityError::TooLarge), _) if text.len() > 64 => {}
        (Err(_), None) => {}
        (read, units) => panic_over(text, &read, units),
    }
}

#[expect(clippy::panic, reason = "an assertion")]
fn panic_over(text: &str, read: &Result<Quantity, QuantityError>, units: Option<i128>) {
    panic!("{text:?} was read as {read:?}, and is {units:?} units of 10^-12");
}

/// The number in units of 10^-12, by shifting digits; `None` when it is none, or does not fit.
fn units(text: &str) -> Option<i128> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if exponent.unsigned_abs() > 64 {
        return None;
    }
    if significant.is_empty() {
        return Some(0);
    }
    let trailing = i64::try_from(digits.len() - digits.trim_end_matches('0').len()).ok()?;
    let shift = MAX_SCALE + exponent + trailing - i64::try_from(fraction.len()).ok()?;
    let zeros = usize::try_from(shift).ok()?;
    if significant.len() + zeros > 32 {
        return None;
    }
    let units: i128 = format!("{significant}{}", "0".repeat(zeros)).parse().ok()?;
    Some(if mantissa.starts_with('-') {
        -units
    } else {
        units
    })
}

/// Splits add up with no part off by a unit or more, shares are the nearest, and amounts survive as decimals.
pub fn money(mut data: &[u8]) {
    let total = i64::from_be_bytes(take(&mut data));
    let (part, whole) = (
        i64::from_be_bytes(take(&mut data)),
        i64::from_be_bytes(take(&mut data)),
    );
    let currency = Currency::parse(utf8(&take::<3>(&mut data))).unwrap_or(Currency::USD);
    assert_eq!(Currency::parse(currency.as_str()), Ok(currency));
    let money = Money::new(total, currency);
    assert_eq!(
        Money::from_decimal(&money.to_decimal(), currency),
        Ok(money)
    );
    a_share_is_the_nearest(money, part, whole);
    let weights: Vec<u64> = data
        .chunks(8)
        .take(64)
        .map(|mut chunk| u64::from_be_bytes(take(&mut chunk)))
        .collect();
    a_split_adds_up(total, &weights);
}

fn a_share_is_the_nearest(money: Money, part: i64, whole: i64) {
    let share = money.share(part, whole).amount;
    if whole <= 0 {
        assert_eq!(share, 0);
        return;
    }
    let exact = i128::from(money.amount) * i128::from(part);
    let (off, whole) = (
        exact - i128::from(share) * i128::from(whole),
        i128::from(whole),
    );
    if i64::try_from(exact / whole).is_ok() && share != i64::MAX && share != i64::MIN {
        assert!(2 * off.abs() <= whole, "{money:?} by {part}/{whole}");
        // A half belongs to the side away from nought, so what is left points back to it.
        assert!(
            2 * off.abs() != whole || (off < 0) == (exact > 0),
            "{money:?} by {part}/{whole}"
        );
    } else {
        assert_eq!(share < 0, exact < 0, "{money:?} by {part}/{whole}");
    }
}

fn a_split_adds_up(total: i64, weights: &[u64]) {
    let parts = split(total, weights);
    assert_eq!(parts.len(), weights.len());
    let sum: i128 = parts.iter().map(|part| i128::from(*part)).sum();
    assert!(
        weights.is_empty() || sum == i128::from(total),
        "{weights:?}"
    );
    let all: BigDecimal = weights.iter().map(|weight| BigDecimal::from(*weight)).sum();
    for (part, weight) in parts.iter().zip(weights) {
        let exact = BigDecimal::from(total) * BigDecimal::from(*weight);
        let off = (BigDecimal::from(*part) * &all - exact).abs();
        assert!(
            off < all || weights.iter().all(|weight| *weight == 0),
            "{total} by {weights:?}"
        );
    }
}
