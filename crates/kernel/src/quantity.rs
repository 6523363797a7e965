//! Exact decimal quantities: what is measured, reserved and rated. No float ever touches one.

use std::{fmt, str::FromStr};

use bigdecimal::{BigDecimal, Zero};
use serde::{Deserialize, Serialize};

/// Digits that a quantity from outside may have behind the point.
pub const MAX_SCALE: i64 = 12;
/// Digits that a quantity from outside may have before the point: it is less than 10^20.
pub const MAX_INTEGER_DIGITS: usize = 20;

/// A decimal number, exact. On the wire it is a decimal string.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(BigDecimal);

/// Why text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a decimal number.
    #[error("must be a decimal number")]
    NotANumber,
    /// More than [`MAX_SCALE`] digits behind the point.
    #[error("must have at most 12 digits behind the point")]
    TooPrecise,
    /// 10^20 or more.
    #[error("must be less than 10^20")]
    TooLarge,
}

impl Quantity {
    /// Nothing.
    #[must_use]
    pub fn zero() -> Self {
        Self(BigDecimal::zero())
    }

    /// Parses a decimal as a client writes it: digits, perhaps a point, perhaps an exponent of at most two digits.
    ///
    /// # Errors
    /// See [`QuantityError`]. The check looks at the text first, so that `1e999999999` costs nothing.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        // What nearly every quantity is: a few digits, which always fit.
        if text.len() <= 18
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(whole) = text.parse::<i64>()
        {
            return Ok(Self::from(whole));
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let plain = !digits.is_empty()
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
            && digits.bytes().filter(|byte| *byte == b'.').count() <= 1
            && digits.bytes().any(|byte| byte.is_ascii_digit());
        let exponent: i64 = exponent.parse().map_err(|_| QuantityError::NotANumber)?;
        if !plain {
            return Err(QuantityError::NotANumber);
        }
        if text.len() > 64 || !(-64..=64).contains(&exponent) {
            return Err(QuantityError::TooLarge);
        }
        let value = BigDecimal::from_str(text)
            .map_err(|_| QuantityError::NotANumber)?
            .normalized();
        if value.fractional_digit_count() > MAX_SCALE {
            return Err(QuantityError::TooPrecise);
        }
        if value.abs() >= BigDecimal::new(1.into(), -20) {
            return Err(QuantityError::TooLarge);
        }
        Ok(Self(value))
    }

    /// The number itself.
    #[must_use]
    pub const fn as_decimal(&self) -> &BigDecimal {
        &self.0
    }

    /// Whether it is less than zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.0 < BigDecimal::zero()
    }
}

impl From<BigDecimal> for Quantity {
    fn from(value: BigDecimal) -> Self {
        Self(value)
    }
}

impl From<i64> for Quantity {
    fn from(value: i64) -> Self {
        Self(value.into())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_bigint_and_scale() {
            (whole, 0) => write!(f, "{whole}"),
            _ => f.write_str(&self.0.normalized().to_plain_string()),
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        BigDecimal::from_str(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact_and_bounded() {
        assert_eq!(Quantity::parse("0.1").unwrap().to_string(), "0.1");
        assert_eq!(Quantity::parse("1e3").unwrap().to_string(), "1000");
        assert_eq!(Quantity::parse("1.500").unwrap().to_string(), "1.5");
        assert_eq!(
            Quantity::parse("0.000000000001").unwrap().to_string(),
            "0.000000000001"
        );
        assert_eq!(
            Quantity::parse("99999999999999999999.999999999999")
                .unwrap()
                .to_string()
                .len(),
            33
        );
        assert_eq!(
            Quantity::parse("0.0000000000001"),
            Err(QuantityError::TooPrecise)
        );
        assert_eq!(
            Quantity::parse("100000000000000000000"),
            Err(QuantityError::TooLarge)
        );
        for text in ["1e999999999", "1e-9223372036854775808"] {
            assert_eq!(
                Quantity::parse(text),
                Err(QuantityError::TooLarge),
                "{text}"
            );
        }
        for text in [
            "", "-", "NaN", "inf", "1.2.3", "0x10", "1_000", "+", ".", "1e", "١",
        ] {
            assert_eq!(
                Quantity::parse(text),
                Err(QuantityError::NotANumber),
                "{text}"
            );
        }
    }
}
