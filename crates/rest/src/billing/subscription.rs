//! The tenant's subscription.

use ::billing::{
    Current, Order, Outlook, When, plan_change::ChangePlanError,
    subscription::ReadSubscriptionError,
};
use actix_web::{
    get, post,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::entitlements::EntitlementBody;
use crate::{Caller, Problem, Services, body::Body};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(read).service(change).service(preview);
}

impl From<ReadSubscriptionError> for Problem {
    fn from(error: ReadSubscriptionError) -> Self {
        match error {
            ReadSubscriptionError::Denied(error) => error.into(),
            ReadSubscriptionError::NotSubscribed => not_subscribed(),
            ReadSubscriptionError::Store(error) => error.into(),
        }
    }
}

impl From<ChangePlanError> for Problem {
    fn from(error: ChangePlanError) -> Self {
        match error {
            ChangePlanError::Denied(error) => error.into(),
            ChangePlanError::Invalid(error) => error.into(),
            ChangePlanError::NotSubscribed => not_subscribed(),
            ChangePlanError::Store(error) => error.into(),
        }
    }
}

fn not_subscribed() -> Problem {
    Problem::not_found("billing.not_subscribed", "subscription")
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WhenBody {
    /// At once, prorated both ways.
    #[default]
    Now,
    /// With the next period.
    PeriodEnd,
}

/// An order for another plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// Code or alias of the plan.
    plan: String,
    /// `now` when not given.
    #[serde(default)]
    when: WhenBody,
}

impl From<ChangeBody> for Order {
    fn from(body: ChangeBody) -> Self {
        let when = match body.when {
            WhenBody::Now => When::Now,
            WhenBody::PeriodEnd => When::PeriodEnd,
        };
        Self {
            plan: body.plan,
            when,
        }
    }
}

/// A change that was ordered for later.
#[derive(Debug, Serialize, ToSchema)]
struct PendingBody {
    plan: String,
    #[serde(with = "time::serde::rfc3339")]
    effective_at: OffsetDateTime,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionBody {
    id: Uuid,
    /// Code of the plan in force.
    plan: String,
    plan_version: i32,
    /// `trialing`, `active`, `past_due`, `paused`, `canceled` or `incomplete`.
    status: &'static str,
    /// Inclusive.
    #[serde(with = "time::serde::rfc3339")]
    current_period_start: OffsetDateTime,
    /// Exclusive.
    #[serde(with = "time::serde::rfc3339")]
    current_period_end: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    cancel_at: Option<OffsetDateTime>,
    pending_change: Option<PendingBody>,
}

impl From<Current> for SubscriptionBody {
    fn from(current: Current) -> Self {
        let Current {
            subscription,
            plan,
            period,
        } = current;
        // An order that is due is the plan, and no longer an order.
        let pending = subscription
            .pending
            .filter(|pending| pending.plan != plan.reference());
        Self {
            id: subscription.id.into(),
            plan: plan.code,
            plan_version: plan.version,
            status: subscription.status.as_str(),
            current_period_start: period.start,
            current_period_end: period.end,
            cancel_at: subscription.cancel_at,
            pending_change: pending.map(|pending| PendingBody {
                plan: pending.plan.code,
                effective_at: pending.effective_at,
            }),
        }
    }
}

/// What the rest of a period comes to, in minor units.
#[derive(Debug, Serialize, ToSchema)]
struct ProrationBody {
    /// What the old plan no longer costs.
    credit: i64,
    /// What the new plan costs instead.
    charge: i64,
    /// `charge` − `credit`.
    net: i64,
    currency: String,
}

/// What an order does, or would do.
#[derive(Debug, Serialize, ToSchema)]
struct OutlookBody {
    #[serde(flatten)]
    subscription: SubscriptionBody,
    /// The plan that was ordered.
    ordered_plan: String,
    /// When it takes effect.
    #[serde(with = "time::serde::rfc3339")]
    effective_at: OffsetDateTime,
    proration: ProrationBody,
    /// What the tenant has more of than the ordered plan allows. It keeps it, and may add no more.
    over_limit: Vec<EntitlementBody>,
}

impl From<Outlook> for OutlookBody {
    fn from(outlook: Outlook) -> Self {
        let proration = outlook.proration;
        Self {
            ordered_plan: outlook.ordered.code,
            effective_at: outlook.effective_at,
            proration: ProrationBody {
                credit: proration.credit.amount,
                charge: proration.charge.amount,
                net: proration.net(),
                currency: proration.charge.currency.to_string(),
            },
            over_limit: outlook
                .over_limit
                .into_iter()
                .map(EntitlementBody::from)
                .collect(),
            subscription: outlook.current.into(),
        }
    }
}

/// The tenant's subscription. Needs `billing.read`.
#[utoipa::path(
    tag = "billing",
    responses(
        (status = 200, description = "The subscription", body = SubscriptionBody),
        (status = 404, description = "`billing.not_subscribed`"),
    )
)]
#[get("/v1/subscription")]
async fn read(services: Data<Services>, caller: Caller) -> Result<Json<SubscriptionBody>, Problem> {
    Ok(Json(services.billing.subscription(&caller).await?.into()))
}

/// Changes the plan. Use beyond the new plan's limits stays, and is named in `over_limit`. Needs `billing.write`.
#[utoipa::path(
    tag = "billing",
    request_body = ChangeBody,
    responses(
        (status = 200, description = "The subscription as it is now", body = OutlookBody),
        (status = 404, description = "`billing.not_subscribed`"),
    )
)]
#[post("/v1/subscription/change")]
async fn change(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<ChangeBody>,
) -> Result<Json<OutlookBody>, Problem> {
    Ok(Json(
        services.billing.change(&caller, body.into()).await?.into(),
    ))
}

/// What a change would do. Changes nothing. Needs `billing.read`.
#[utoipa::path(
    tag = "billing",
    request_body = ChangeBody,
    responses(
        (status = 200, description = "The subscription as it is, and what the change would do", body = OutlookBody),
        (status = 404, description = "`billing.not_subscribed`"),
    )
)]
#[post("/v1/subscription/change/preview")]
async fn preview(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<ChangeBody>,
) -> Result<Json<OutlookBody>, Problem> {
    Ok(Json(
        services.billing.preview(&caller, body.into()).await?.into(),
    ))
}
