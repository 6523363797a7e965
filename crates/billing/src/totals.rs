//! How the lines of an invoice add up: Σ lines = subtotal, and subtotal − discounts + tax = total.

use bigdecimal::BigDecimal;
use kernel::{
    Currency, Money,
    money::{Overflow, split},
};
use serde::Serialize;

/// The sums of an invoice, in minor units of its currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// The sum of the lines.
    pub subtotal: i64,
    /// What discounts take off, never more than the subtotal.
    pub discount_total: i64,
    /// The tax on what is left, each line's rounded once.
    pub tax_total: i64,
    /// What is to be paid.
    pub total: i64,
}

impl Totals {
    /// Adds lines up. `discount` is an amount off the whole, spread over the lines in proportion to them; `tax_percent` is one rate
    /// for all of them, taken after the discount.
    ///
    /// # Errors
    /// [`Overflow`] when a sum does not fit into 64 bits of minor units.
    pub fn of(
        lines: &[i64],
        discount: i64,
        tax_percent: &BigDecimal,
        currency: Currency,
    ) -> Result<Self, Overflow> {
        let subtotal = sum(lines)?;
        let discount_total = discount.clamp(0, subtotal.max(0));
        let rate = tax_percent * BigDecimal::new(1.into(), 2);
        let taxes: Vec<i64> = lines
            .iter()
            .zip(allocate(discount_total, lines))
            .map(|(line, off)| {
                let base = Money::new(line.saturating_sub(off), currency).to_decimal();
                Money::from_decimal(&(base * &rate), currency).map(|tax| tax.amount)
            })
            .collect::<Result<_, _>>()?;
        let tax_total = sum(&taxes)?;
        let total = (subtotal - discount_total)
            .checked_add(tax_total)
            .ok_or(Overflow)?;
        Ok(Self {
            subtotal,
            discount_total,
            tax_total,
            total,
        })
    }
}

/// Spreads a discount over lines in proportion to their amounts. Lines below nought take no part.
#[must_use]
pub fn allocate(discount: i64, lines: &[i64]) -> Vec<i64> {
    let weights: Vec<u64> = lines
        .iter()
        .map(|line| u64::try_from(*line).unwrap_or(0))
        .collect();
    split(discount, &weights)
}

fn sum(amounts: &[i64]) -> Result<i64, Overflow> {
    amounts
        .iter()
        .try_fold(0_i64, |sum, amount| sum.checked_add(*amount))
        .ok_or(Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEES: [i64; 4] = [10_000, 5_000, 3_000, 2_000];

    #[test]
    fn a_coupon_is_spread_over_the_lines() {
        assert_eq!(allocate(1_000, &FEES), [500, 250, 150, 100]);
        let totals = Totals::of(&FEES, 1_000, &20.into(), Currency::USD).unwrap();
        let expected = Totals {
            subtotal: 20_000,
            discount_total: 1_000,
            tax_total: 3_800,
            total: 22_800,
        };
        assert_eq!(totals, expected);
    }

    #[test]
    fn a_coupon_never_turns_an_invoice_into_a_credit() {
        let totals = Totals::of(&[500], 1_000, &20.into(), Currency::USD).unwrap();
        assert_eq!(
            (totals.discount_total, totals.tax_total, totals.total),
            (500, 0, 0)
        );
    }

    #[test]
    fn sums_that_do_not_fit_are_an_error() {
        let result = Totals::of(&[i64::MAX, 1], 0, &0.into(), Currency::USD);
        assert_eq!(result, Err(Overflow));
    }
}
