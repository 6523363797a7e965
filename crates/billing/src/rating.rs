//! Rating: a quantity and a price become an amount. Pure, exact until the one rounding at the end.

use bigdecimal::{BigDecimal, RoundingMode, Zero};
use kernel::{Money, Quantity, money::Overflow};
use serde::{Deserialize, Serialize};

use crate::{Price, PriceModel, price, price::Tier};

/// Digits behind the point of an average price.
const AVERAGE_SCALE: i64 = 12;

/// How much of one step was used, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierUse {
    /// Where the step starts, exclusive.
    #[serde(serialize_with = "price::plain")]
    pub from: BigDecimal,
    /// Where it ends, inclusive; `None` has no end.
    #[serde(serialize_with = "price::plain_option")]
    pub to: Option<BigDecimal>,
    /// Units rated in it; packages, when packages are sold.
    #[serde(serialize_with = "price::plain")]
    pub quantity: BigDecimal,
    /// Price of one of them, in major units.
    #[serde(serialize_with = "price::plain")]
    pub unit_amount: BigDecimal,
    /// What entering the step cost, in major units.
    #[serde(serialize_with = "price::plain")]
    pub flat_amount: BigDecimal,
    /// `quantity × unit_amount + flat_amount`, exact, in major units.
    #[serde(serialize_with = "price::plain")]
    pub amount: BigDecimal,
}

/// What a quantity costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The amount, rounded once, within the price's bounds.
    pub amount: Money,
    /// The sum of the steps, in major units: before rounding and before the bounds.
    pub exact: BigDecimal,
    /// The steps used, in order.
    pub tiers: Vec<TierUse>,
    /// Price of one unit in major units; where a model has no such price, the average over the quantity, to 12 digits.
    pub unit_price: BigDecimal,
}

/// Rates a quantity. A quantity below nought costs what nought costs: usage never turns a bill into a credit.
///
/// # Errors
/// [`Overflow`] when the amount does not fit into 64 bits of minor units.
pub fn rate(price: &Price, quantity: &Quantity) -> Result<Charge, Overflow> {
    let used = quantity.as_decimal().clone().max(BigDecimal::zero());
    let billable = (&used - price.free_units.as_decimal()).max(BigDecimal::zero());
    let tiers = match &price.model {
        PriceModel::Flat { amount } => vec![flat(&billable, amount)],
        PriceModel::PerUnit { unit_amount } => vec![whole(&billable, unit_amount)],
        PriceModel::Percentage { percent } => vec![whole(&billable, &hundredth(percent))],
        PriceModel::Package { size, amount } => vec![whole(&started(&billable, size), amount)],
        PriceModel::Graduated { tiers } => graduated(tiers, &billable),
        PriceModel::Volume { tiers } => volume(tiers, &billable).into_iter().collect(),
    };
    let exact: BigDecimal = tiers.iter().map(|tier| &tier.amount).sum();
    let mut amount = Money::from_decimal(&exact, price.currency)?;
    amount.amount = amount.amount.max(price.minimum.unwrap_or(i64::MIN));
    amount.amount = amount.amount.min(price.maximum.unwrap_or(i64::MAX));
    let unit_price = unit_price(&price.model, &exact, &used);
    Ok(Charge {
        amount,
        exact,
        tiers,
        unit_price,
    })
}

fn step(from: BigDecimal, tier: &Tier, quantity: BigDecimal) -> TierUse {
    TierUse {
        from,
        to: tier.up_to.clone(),
        amount: &quantity * &tier.unit_amount + &tier.flat_amount,
        quantity,
        unit_amount: tier.unit_amount.clone(),
        flat_amount: tier.flat_amount.clone(),
    }
}

fn whole(quantity: &BigDecimal, unit_amount: &BigDecimal) -> TierUse {
    let tier = Tier {
        up_to: None,
        unit_amount: unit_amount.clone(),
        flat_amount: BigDecimal::zero(),
    };
    step(BigDecimal::zero(), &tier, quantity.clone())
}

fn flat(quantity: &BigDecimal, amount: &BigDecimal) -> TierUse {
    let tier = Tier {
        up_to: None,
        unit_amount: BigDecimal::zero(),
        flat_amount: amount.clone(),
    };
    step(BigDecimal::zero(), &tier, quantity.clone())
}

fn graduated(tiers: &[Tier], quantity: &BigDecimal) -> Vec<TierUse> {
    let mut from = BigDecimal::zero();
    let mut used = Vec::new();
    for tier in tiers {
        // The first step is entered even by nought units: its flat amount is what having the price costs.
        if !used.is_empty() && *quantity <= from {
            break;
        }
        let top = tier
            .up_to
            .as_ref()
            .map_or(quantity, |up_to| up_to.min(quantity))
            .clone();
        used.push(step(from.clone(), tier, &top - &from));
        from = tier.up_to.clone().unwrap_or(top);
    }
    used
}

fn volume(tiers: &[Tier], quantity: &BigDecimal) -> Option<TierUse> {
    let reached = |tier: &Tier| tier.up_to.as_ref().is_none_or(|up_to| quantity <= up_to);
    let mut from = BigDecimal::zero();
    for tier in tiers {
        if reached(tier) {
            return Some(step(from, tier, quantity.clone()));
        }
        from = tier.up_to.clone().unwrap_or(from);
    }
    None
}

fn started(quantity: &BigDecimal, size: &BigDecimal) -> BigDecimal {
    // Whole packages by remainder, not by quotient: a quotient of decimals may be cut off, a remainder is exact.
    let rest = quantity % size;
    let full = (quantity - &rest) / size;
    let full = full.with_scale_round(0, RoundingMode::HalfUp);
    if rest.is_zero() {
        full
    } else {
        full + BigDecimal::from(1)
    }
}

fn hundredth(percent: &BigDecimal) -> BigDecimal {
    percent * BigDecimal::new(1.into(), 2)
}

fn unit_price(model: &PriceModel, exact: &BigDecimal, quantity: &BigDecimal) -> BigDecimal {
    match model {
        PriceModel::PerUnit { unit_amount } => unit_amount.clone(),
        PriceModel::Percentage { percent } => hundredth(percent),
        _ if quantity.is_zero() => BigDecimal::zero(),
        _ => (exact / quantity).with_scale_round(AVERAGE_SCALE, RoundingMode::HalfUp),
    }
}
