//! Money: integer minor units with an ISO 4217 currency.
//!
//! Rounding is half away from zero, once per line, and happens in [`Money::from_decimal`] and [`Money::share`] only.
//! Splits give the last minor units to the largest remainders, so that the parts always add up: [`split`].

use std::fmt;

use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};
use serde::{Deserialize, Serialize};

use crate::FieldError;

/// An ISO 4217 alphabetic code in upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// US dollar, the currency of the default catalogue.
    pub const USD: Self = Self(*b"USD");

    /// Parses a code: three letters, in either case.
    ///
    /// # Errors
    /// `invalid_currency` on the field `currency`.
    pub fn parse(code: &str) -> Result<Self, FieldError> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_alphabetic) => {
                Ok(Self(bytes.map(|byte| byte.to_ascii_uppercase())))
            }
            _ => Err(FieldError::new(
                "currency",
                "invalid_currency",
                "must be an ISO 4217 code",
            )),
        }
    }

    /// Digits behind the decimal point, from ISO 4217's table of minor units.
    #[must_use]
    pub const fn exponent(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&code).map_err(serde::de::Error::custom)
    }
}

/// An amount does not fit into 64 bits of minor units: over 92 quadrillion dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount does not fit into 64 bits of minor units")]
pub struct Overflow;

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units, such as cents.
    pub amount: i64,
    /// The currency that gives the units their meaning.
    pub currency: Currency,
}

impl Money {
    /// `amount` minor units of `currency`.
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Rounds an exact amount in major units (dollars, not cents), half away from zero.
    ///
    /// # Errors
    /// [`Overflow`] when the result does not fit.
    pub fn from_decimal(major: &BigDecimal, currency: Currency) -> Result<Self, Overflow> {
        let scale = i64::from(currency.exponent());
        let rounded = major.with_scale_round(scale, RoundingMode::HalfUp);
        let (digits, _) = rounded.into_bigint_and_exponent();
        digits
            .to_i64()
            .map(|amount| Self { amount, currency })
            .ok_or(Overflow)
    }

    /// The exact amount in major units.
    #[must_use]
    pub fn to_decimal(self) -> BigDecimal {
        BigDecimal::new(self.amount.into(), i64::from(self.currency.exponent()))
    }

    /// `part / whole` of the amount, rounded half away from zero; nothing when `whole` is not positive.
    ///
    /// Proration calls this with seconds: the part used, and the whole of the *anchored* period. A part that exceeds the whole may
    /// exceed 64 bits too, and stops at their end.
    #[must_use]
    pub fn share(self, part: i64, whole: i64) -> Self {
        if whole <= 0 {
            return Self { amount: 0, ..self };
        }
        let product = i128::from(self.amount) * i128::from(part);
        let whole = i128::from(whole);
        let away = if product < 0 { -(whole / 2) } else { whole / 2 };
        Self {
            amount: saturated((product + away) / whole),
            ..self
        }
    }
}

/// Splits `total` minor units in proportion to `weights` by largest remainder: the parts add up to `total` exactly.
/// Ties go to the earlier part. Weights that are all zero give everything to the first.
#[must_use]
pub fn split(total: i64, weights: &[u64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if sum == 0 {
        return weights
            .iter()
            .enumerate()
            .map(|(at, _)| if at == 0 { total } else { 0 })
            .collect();
    }
    let sign = if total < 0 { -1 } else { 1 };
    let magnitude = i128::from(total).abs();
    let mut parts: Vec<(usize, i128, i128)> = weights
        .iter()
        .enumerate()
        .map(|(at, weight)| {
            let exact = magnitude * i128::from(*weight);
            (at, exact / sum, exact % sum)
        })
        .collect();
    let left = magnitude - parts.iter().map(|(_, part, _)| part).sum::<i128>();
    parts.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
    for part in parts.iter_mut().take(usize::try_from(left).unwrap_or(0)) {
        part.1 += 1;
    }
    parts.sort_by_key(|part| part.0);
    parts
        .into_iter()
        .map(|(_, part, _)| saturated(sign * part))
        .collect()
}

fn saturated(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cents(text: &str) -> i64 {
        Money::from_decimal(&text.parse().unwrap(), Currency::USD)
            .unwrap()
            .amount
    }

    #[test]
    fn halves_round_away_from_zero() {
        assert_eq!(cents("0.005"), 1);
        assert_eq!(cents("0.015"), 2);
        assert_eq!(cents("0.025"), 3);
        assert_eq!(cents("-0.025"), -3);
        assert_eq!(cents("0.0049999999999"), 0);
    }

    #[test]
    fn the_currency_says_where_the_point_is() {
        let yen = Currency::parse("jpy").unwrap();
        assert_eq!(
            Money::from_decimal(&"10.5".parse().unwrap(), yen)
                .unwrap()
                .amount,
            11
        );
        let dinar = Currency::parse("KWD").unwrap();
        assert_eq!(
            Money::from_decimal(&"1.0005".parse().unwrap(), dinar)
                .unwrap()
                .amount,
            1001
        );
        assert!(Currency::parse("US").is_err());
        assert!(Currency::parse("U$D").is_err());
    }

    #[test]
    fn too_much_money_is_an_error_and_not_a_wrong_number() {
        let much = "1e30".parse().unwrap();
        assert_eq!(Money::from_decimal(&much, Currency::USD), Err(Overflow));
    }

    #[test]
    fn shares_round_half_away_from_zero() {
        let money = Money::new(10_000, Currency::USD);
        assert_eq!(money.share(14, 31).amount, 4516);
        assert_eq!(Money::new(-5, Currency::USD).share(1, 2).amount, -3);
        assert_eq!(Money::new(5, Currency::USD).share(1, 2).amount, 3);
    }

    #[test]
    fn splits_add_up() {
        assert_eq!(split(1000, &[100, 50, 30, 20]), [500, 250, 150, 100]);
        assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(split(-100, &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(split(5, &[0, 0]), [5, 0]);
        assert_eq!(split(i64::MIN, &[1]), [i64::MIN]);
    }
}
