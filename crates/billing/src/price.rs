//! Prices of usage. Unit prices are exact decimals in major units (dollars, not cents).

use bigdecimal::{BigDecimal, RoundingMode, Zero};
use kernel::{Currency, FieldError, Money, Quantity};
use serde::{Deserialize, Serialize, Serializer};

/// Digits that a unit price may have behind the point.
pub const MAX_SCALE: i64 = 18;
/// Most tiers that one price may have.
pub const MAX_TIERS: usize = 100;

/// One step of a graduated or volume price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// The last unit of the step, inclusive; `None` on the last step, which has no end.
    pub up_to: Option<BigDecimal>,
    /// Price of one unit.
    pub unit_amount: BigDecimal,
    /// What entering the step costs. The first step is entered by not using anything.
    #[serde(default = "BigDecimal::zero")]
    pub flat_amount: BigDecimal,
}

/// How a quantity becomes an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceModel {
    /// One amount, whatever the quantity.
    Flat {
        /// The amount.
        amount: BigDecimal,
    },
    /// So much for each unit.
    PerUnit {
        /// Price of one unit.
        unit_amount: BigDecimal,
    },
    /// Each step's units at that step's price.
    Graduated {
        /// The steps, in order.
        tiers: Vec<Tier>,
    },
    /// All units at the price of the step that the quantity reaches.
    Volume {
        /// The steps, in order.
        tiers: Vec<Tier>,
    },
    /// So much for each *started* package.
    Package {
        /// Units in a package.
        size: BigDecimal,
        /// Price of a package.
        amount: BigDecimal,
    },
    /// A percentage of the quantity, which is then an amount in major units.
    Percentage {
        /// 2.9 is 2.9 %.
        percent: BigDecimal,
    },
}

impl PriceModel {
    /// The model as stores and the wire write it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Flat { .. } => "flat",
            Self::PerUnit { .. } => "per_unit",
            Self::Graduated { .. } => "graduated",
            Self::Volume { .. } => "volume",
            Self::Package { .. } => "package",
            Self::Percentage { .. } => "percentage",
        }
    }

    /// How it is priced, for the description of a line.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Flat { .. } => "flat".to_owned(),
            Self::PerUnit { .. } => "per unit".to_owned(),
            Self::Graduated { .. } => "graduated".to_owned(),
            Self::Volume { .. } => "by volume".to_owned(),
            Self::Package { size, .. } => {
                format!("in packages of {}", Quantity::from(size.clone()))
            }
            Self::Percentage { percent } => format!("{} %", Quantity::from(percent.clone())),
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        match self {
            Self::Flat { amount } => amount_of("amount", amount),
            Self::PerUnit { unit_amount } => amount_of("unit_amount", unit_amount),
            Self::Percentage { percent } => amount_of("percent", percent),
            Self::Package { size, amount } => {
                if *size <= BigDecimal::zero() {
                    return Err(FieldError::new(
                        "package_size",
                        "out_of_range",
                        "must be more than 0",
                    ));
                }
                amount_of("amount", amount)
            }
            Self::Graduated { tiers } | Self::Volume { tiers } => check_tiers(tiers),
        }
    }
}

/// What one metric costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Key of the meter.
    pub metric: String,
    /// Currency of every amount in it.
    pub currency: Currency,
    /// How a quantity becomes an amount.
    pub model: PriceModel,
    /// Units that cost nothing, taken off before the model sees the quantity.
    pub free_units: Quantity,
    /// The least that a period costs, in minor units, even without usage.
    pub minimum: Option<i64>,
    /// The most that a period costs, in minor units.
    pub maximum: Option<i64>,
}

impl Price {
    /// A price without free units and bounds.
    ///
    /// # Errors
    /// As [`Price::check`].
    pub fn new(metric: &str, currency: Currency, model: PriceModel) -> Result<Self, FieldError> {
        let price = Self {
            metric: metric.to_owned(),
            currency,
            model,
            free_units: Quantity::zero(),
            minimum: None,
            maximum: None,
        };
        price.check().map(|()| price)
    }

    /// The price of a part of a period: what does not depend on usage shrinks with it, rounded half away from zero.
    #[must_use]
    pub fn prorated(&self, part: i64, whole: i64) -> Self {
        let mut price = self.clone();
        if part >= whole {
            return price;
        }
        let share = |amount| Money::new(amount, self.currency).share(part, whole).amount;
        price.minimum = self.minimum.map(share);
        price.maximum = self.maximum.map(share);
        if let PriceModel::Flat { amount } = &mut price.model {
            let exact = &*amount * BigDecimal::from(part) / BigDecimal::from(whole);
            *amount = exact.with_scale_round(MAX_SCALE, RoundingMode::HalfUp);
        }
        price
    }

    /// Checks what a catalogue says.
    ///
    /// # Errors
    /// `out_of_range` on the field that is negative, too precise or too large; `tiers_invalid` on `tiers`.
    pub fn check(&self) -> Result<(), FieldError> {
        if self.free_units.is_negative() {
            return Err(FieldError::new(
                "free_units",
                "out_of_range",
                "must not be negative",
            ));
        }
        if self.minimum.is_some_and(|least| least < 0) {
            return Err(FieldError::new(
                "minimum",
                "out_of_range",
                "must not be negative",
            ));
        }
        if self
            .maximum
            .is_some_and(|most| most < self.minimum.unwrap_or(0))
        {
            return Err(FieldError::new(
                "maximum",
                "out_of_range",
                "must not be less than the minimum",
            ));
        }
        self.model.check()
    }
}

fn amount_of(field: &'static str, amount: &BigDecimal) -> Result<(), FieldError> {
    let ok = *amount >= BigDecimal::zero()
        && amount.normalized().fractional_digit_count() <= MAX_SCALE
        && *amount < BigDecimal::new(1.into(), -15);
    if ok {
        Ok(())
    } else {
        Err(FieldError::new(
            field,
            "out_of_range",
            "must be from 0 to less than 10^15, with at most 18 digits behind the point",
        ))
    }
}

fn check_tiers(tiers: &[Tier]) -> Result<(), FieldError> {
    let broken = |message: &'static str| Err(FieldError::new("tiers", "tiers_invalid", message));
    let Some((last, steps)) = tiers.split_last() else {
        return broken("must have at least one tier");
    };
    if tiers.len() > MAX_TIERS {
        return broken("must have at most 100 tiers");
    }
    if last.up_to.is_some() {
        return broken("the last tier must have no end");
    }
    let mut below = BigDecimal::zero();
    for step in steps {
        match &step.up_to {
            Some(up_to) if *up_to > below => below = up_to.clone(),
            Some(_) => return broken("each tier must end behind the one before"),
            None => return broken("only the last tier may have no end"),
        }
    }
    for tier in tiers {
        amount_of("tiers", &tier.unit_amount)?;
        amount_of("tiers", &tier.flat_amount)?;
    }
    Ok(())
}

/// Writes a decimal in the one canonical form, so that equal amounts have equal bytes: `0.5`, never `5e-1` or `0.50`.
///
/// # Errors
/// The serializer's.
pub fn plain<S: Serializer>(value: &BigDecimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Quantity::from(value.clone()))
}

/// As [`plain`], for a decimal that may be absent.
///
/// # Errors
/// The serializer's.
pub fn plain_option<S: Serializer>(
    value: &Option<BigDecimal>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => plain(value, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(up_to: Option<i64>, unit: i64) -> Tier {
        Tier {
            up_to: up_to.map(Into::into),
            unit_amount: unit.into(),
            flat_amount: 0.into(),
        }
    }

    fn graduated(tiers: Vec<Tier>) -> Result<Price, FieldError> {
        Price::new("tool_call", Currency::USD, PriceModel::Graduated { tiers })
    }

    #[test]
    fn tiers_are_contiguous_and_the_last_has_no_end() {
        assert!(graduated(vec![tier(Some(10), 1), tier(None, 2)]).is_ok());
        assert!(graduated(vec![tier(None, 2)]).is_ok());
        for tiers in [
            vec![],
            vec![tier(Some(10), 1)],
            vec![tier(Some(10), 1), tier(Some(10), 1), tier(None, 1)],
            vec![tier(Some(0), 1), tier(None, 1)],
            vec![tier(None, 1), tier(None, 1)],
            vec![tier(Some(10), -1), tier(None, 1)],
        ] {
            assert!(graduated(tiers.clone()).is_err(), "{tiers:?}");
        }
    }

    #[test]
    fn amounts_are_bounded_and_packages_hold_something() {
        let per_unit = |text: &str| {
            let unit_amount = text.parse().unwrap();
            Price::new("chat", Currency::USD, PriceModel::PerUnit { unit_amount })
        };
        assert!(per_unit("0.000000000001").is_ok());
        assert!(per_unit("1e-19").is_err());
        assert!(per_unit("1e15").is_err());
        let package = PriceModel::Package {
            size: 0.into(),
            amount: 1.into(),
        };
        assert_eq!(
            Price::new("chat", Currency::USD, package)
                .unwrap_err()
                .field,
            "package_size"
        );
    }

    #[test]
    fn a_maximum_is_not_below_the_minimum() {
        let mut price = Price::new(
            "chat",
            Currency::USD,
            PriceModel::PerUnit {
                unit_amount: 1.into(),
            },
        )
        .unwrap();
        (price.minimum, price.maximum) = (Some(500), Some(499));
        assert_eq!(price.check().unwrap_err().field, "maximum");
        price.maximum = Some(500);
        assert!(price.check().is_ok());
    }
}
