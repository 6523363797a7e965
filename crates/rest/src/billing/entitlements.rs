//! What the tenant may have, and what it uses.

use ::billing::{
    Check, Entitlement,
    entitlement::{Kind, ReadEntitlementsError},
};
use actix_web::{
    get, post,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{is_false, wire_limit};
use crate::{
    Caller, Problem, Services,
    body::{self, Body},
    openapi::texts::ShortText,
};

/// Adds the routes, but for `check`.
pub fn routes(config: &mut ServiceConfig) {
    config.service(list);
}

impl From<ReadEntitlementsError> for Problem {
    fn from(error: ReadEntitlementsError) -> Self {
        match error {
            ReadEntitlementsError::Denied(error) => error.into(),
            ReadEntitlementsError::Invalid(error) => error.into(),
            ReadEntitlementsError::Store(error) => error.into(),
        }
    }
}

/// One entitlement.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntitlementBody {
    key: String,
    /// `limit`, `quota`, `boolean` or `static`.
    kind: &'static str,
    /// −1 is unlimited; 1 and 0 are a boolean.
    limit: i64,
    used: i64,
    /// −1 is unlimited.
    remaining: i64,
    /// When a quota starts anew.
    #[serde(with = "time::serde::rfc3339::option")]
    resets_at: Option<OffsetDateTime>,
    /// What a quota starts anew with: `billing_month`, `calendar_month` or `calendar_day`.
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<&'static str>,
    /// What happens at the limit: `hard`, `soft` or `grace`.
    enforcement: &'static str,
    /// Stands here when more is used than the limit allows: after a change to a smaller plan, or beyond a limit that lets more through. What
    /// is there stays.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    over_limit: bool,
    /// Of a grace: the most that is let through; −1 has no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_limit: Option<i64>,
    /// Of a grace that has begun: when it ends, or has ended.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    grace_ends_at: Option<OffsetDateTime>,
    /// The value of a static entitlement.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    value: Option<Value>,
}

impl From<Entitlement> for EntitlementBody {
    fn from(entitlement: Entitlement) -> Self {
        Self {
            kind: entitlement.grant.kind.as_str(),
            limit: wire_limit(entitlement.grant.maximum),
            used: entitlement.used,
            remaining: wire_limit(entitlement.remaining()),
            resets_at: entitlement.resets_at(),
            period: (entitlement.grant.kind == Kind::Quota)
                .then_some(entitlement.grant.cycle.as_str()),
            enforcement: entitlement.grant.enforcement.as_str(),
            over_limit: entitlement.is_over(),
            grace_limit: entitlement
                .grant
                .enforcement
                .grace()
                .map(|_| wire_limit(entitlement.ceiling)),
            grace_ends_at: entitlement.grace_ends_at,
            key: entitlement.grant.key,
            value: entitlement.grant.value,
        }
    }
}

/// Everything the tenant may have.
#[derive(Debug, Serialize, ToSchema)]
struct EntitlementsBody {
    /// Code of the plan in force.
    plan: String,
    data: Vec<EntitlementBody>,
}

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckBody {
    #[schema(value_type = ShortText)]
    key: String,
    /// How much more is wanted; 1 when not given.
    #[serde(default = "one", deserialize_with = "body::whole")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    quantity: i64,
}

const fn one() -> i64 {
    1
}

/// The answer to "may I?".
#[derive(Debug, Serialize, ToSchema)]
struct CheckedBody {
    allowed: bool,
    /// −1 is unlimited; 0 for an unknown key.
    limit: i64,
    used: i64,
    /// −1 is unlimited.
    remaining: i64,
    /// Stands here when it would be allowed beyond the limit, which is only told, or grants a grace.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    over: bool,
    /// Why not: `billing.limit_reached`, or `billing.unknown_entitlement` when neither plan nor override names the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl From<Check> for CheckedBody {
    fn from(answer: Check) -> Self {
        let Some(entitlement) = answer.entitlement else {
            let code = Some("billing.unknown_entitlement");
            return Self {
                allowed: false,
                limit: 0,
                used: 0,
                remaining: 0,
                over: false,
                code,
            };
        };
        Self {
            allowed: answer.allowed,
            limit: wire_limit(entitlement.grant.maximum),
            used: entitlement.used,
            remaining: wire_limit(entitlement.remaining()),
            over: answer.is_over,
            code: (!answer.allowed).then_some("billing.limit_reached"),
        }
    }
}

/// What the tenant may have, and what it uses. Needs `entitlement.read`.
#[utoipa::path(
    tag = "billing",
    responses((status = 200, description = "Plan, overrides and use", body = EntitlementsBody))
)]
#[get("/v1/entitlements")]
async fn list(services: Data<Services>, caller: Caller) -> Result<Json<EntitlementsBody>, Problem> {
    let all = services.billing.entitlements(&caller).await?;
    let data = all
        .entitlements
        .into_iter()
        .map(EntitlementBody::from)
        .collect();
    Ok(Json(EntitlementsBody {
        plan: all.plan,
        data,
    }))
}

/// Whether more of something would be allowed. Takes nothing: what must hold is reserved, or put. Needs `entitlement.read`.
#[utoipa::path(
    tag = "billing",
    request_body = CheckBody,
    responses((status = 200, description = "The answer", body = CheckedBody))
)]
#[post("/v1/entitlements/check")]
pub(crate) async fn check(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<CheckBody>,
) -> Result<Json<CheckedBody>, Problem> {
    Ok(Json(
        services
            .billing
            .check(&caller, body.key, body.quantity)
            .await?
            .into(),
    ))
}
