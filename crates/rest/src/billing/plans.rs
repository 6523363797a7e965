//! What is on sale.

use std::collections::BTreeMap;

use ::billing::{Grant, Kind, Plan, Price, PriceModel, Tier};
use actix_web::{
    get,
    web::{Data, Json},
};
use bigdecimal::BigDecimal;
use kernel::Quantity;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::wire_limit;
use crate::{Caller, Problem, Services, page::ListBody};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(list);
}

/// A base price.
#[derive(Debug, Serialize, ToSchema)]
struct BasePriceBody {
    /// Minor units, such as cents.
    amount: i64,
    /// ISO 4217.
    currency: String,
    /// `month` or `year`.
    interval: &'static str,
}

/// A step of a price.
#[derive(Debug, Serialize, ToSchema)]
struct TierBody {
    /// The last unit of the step; null has no end.
    up_to: Option<String>,
    /// Price of a unit, in major units.
    unit_amount: String,
    /// What entering the step costs, in major units.
    flat_amount: String,
}

/// What a metric costs.
#[derive(Debug, Serialize, ToSchema)]
struct PriceBody {
    metric: String,
    /// `flat`, `per_unit`, `graduated`, `volume`, `package` or `percentage`.
    model: &'static str,
    currency: String,
    /// Of one unit, one package, or the whole, in major units; a percentage; null where tiers say it.
    unit_amount: Option<String>,
    /// Units in a package.
    package_size: Option<String>,
    tiers: Vec<TierBody>,
    /// Units that cost nothing.
    free_units: String,
    /// The least that a period costs, in minor units.
    minimum: Option<i64>,
    /// The most that a period costs, in minor units.
    maximum: Option<i64>,
}

/// A plan on sale.
#[derive(Debug, Serialize, ToSchema)]
struct PlanBody {
    code: String,
    version: i32,
    name: String,
    price: BasePriceBody,
    /// Limits and quotas by key, −1 is unlimited; booleans and static values as they are.
    #[schema(value_type = Object)]
    limits: BTreeMap<String, Value>,
    prices: Vec<PriceBody>,
}

fn decimal(value: &BigDecimal) -> String {
    Quantity::from(value.clone()).to_string()
}

fn limit(grant: Grant) -> (String, Value) {
    let value = match grant.kind {
        Kind::Limit | Kind::Quota => wire_limit(grant.maximum).into(),
        Kind::Boolean => (grant.maximum != Some(0)).into(),
        Kind::Static => grant.value.unwrap_or_default(),
    };
    (grant.key, value)
}

impl From<&Tier> for TierBody {
    fn from(tier: &Tier) -> Self {
        Self {
            up_to: tier.up_to.as_ref().map(decimal),
            unit_amount: decimal(&tier.unit_amount),
            flat_amount: decimal(&tier.flat_amount),
        }
    }
}

impl From<Price> for PriceBody {
    fn from(price: Price) -> Self {
        let (unit_amount, package_size, tiers) = match &price.model {
            PriceModel::Flat { amount } => (Some(amount), None, &[][..]),
            PriceModel::PerUnit { unit_amount } => (Some(unit_amount), None, &[][..]),
            PriceModel::Percentage { percent } => (Some(percent), None, &[][..]),
            PriceModel::Package { size, amount } => (Some(amount), Some(size), &[][..]),
            PriceModel::Graduated { tiers } | PriceModel::Volume { tiers } => {
                (None, None, tiers.as_slice())
            }
        };
        Self {
            model: price.model.as_str(),
            currency: price.currency.to_string(),
            unit_amount: unit_amount.map(decimal),
            package_size: package_size.map(decimal),
            tiers: tiers.iter().map(TierBody::from).collect(),
            free_units: price.free_units.to_string(),
            minimum: price.minimum,
            maximum: price.maximum,
            metric: price.metric,
        }
    }
}

impl From<Plan> for PlanBody {
    fn from(plan: Plan) -> Self {
        Self {
            code: plan.code,
            version: plan.version,
            name: plan.name,
            price: BasePriceBody {
                amount: plan.price.amount,
                currency: plan.price.currency.to_string(),
                interval: plan.interval.as_str(),
            },
            limits: plan.grants.into_iter().map(limit).collect(),
            prices: plan.prices.into_iter().map(PriceBody::from).collect(),
        }
    }
}

/// The plans on sale. For every caller.
#[utoipa::path(
    tag = "billing",
    responses((status = 200, description = "Every plan on sale", body = ListBody<PlanBody>))
)]
#[get("/v1/plans")]
async fn list(
    services: Data<Services>,
    _caller: Caller,
) -> Result<Json<ListBody<PlanBody>>, Problem> {
    let plans = services.billing.plans().await?;
    Ok(Json(ListBody::whole(
        plans.into_iter().map(PlanBody::from).collect(),
    )))
}
