//! For operators: what a tenant gets besides its plan, or instead of it. Needs `entitlement.override` over the deployment, or the platform
//! key; what somebody may do in the tenant, its owner included, is not asked.

use ::billing::{
    Cycle, Enforcement, NewOverride, Override, entitlement::Kind,
    entitlement_override::OverrideError,
};
use actix_web::{
    HttpResponse, delete, get, put,
    web::{Data, Json, Path},
};
use kernel::{FieldError, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::wire_limit;
use crate::{
    Caller, Problem, Services,
    body::{self, Body, PathId},
    openapi::texts::ShortText,
    page::ListBody,
    tenancy::tenants::no_such_tenant,
};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(overrides)
        .service(put_override)
        .service(remove_override);
}

impl From<OverrideError> for Problem {
    fn from(error: OverrideError) -> Self {
        match error {
            OverrideError::Denied(error) => error.into(),
            OverrideError::Invalid(error) => error.into(),
            OverrideError::NoTenant => no_such_tenant(),
            OverrideError::NotFound => Self::not_found("billing.override_not_found", "override"),
            OverrideError::Store(error) => error.into(),
        }
    }
}

/// An override. What is left out is as the tenant's plan has it, or as usual where the plan does not name the key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOverrideBody {
    /// The most that is allowed: −1 is unlimited, 1 and 0 are a boolean.
    #[serde(deserialize_with = "body::whole")]
    #[schema(minimum = -1, maximum = 1_000_000_000_000_000_i64)]
    limit: i64,
    /// `limit`, `quota`, `boolean` or `static`. What begins with `max_` is a limit.
    #[schema(pattern = "^(limit|quota|boolean|static)$")]
    kind: Option<String>,
    /// The meter that a quota counts.
    #[schema(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    metric: Option<String>,
    /// The value of a static entitlement.
    #[schema(value_type = Option<Object>)]
    value: Option<Value>,
    /// What a quota starts anew with: `billing_month`, `calendar_month` or `calendar_day`.
    #[schema(pattern = "^(billing_month|calendar_month|calendar_day)$")]
    period: Option<String>,
    /// `hard`, `soft` or `grace`.
    #[schema(pattern = "^(hard|soft|grace)$")]
    enforcement: Option<String>,
    /// Of a grace: percent of the limit that may be used on top of it.
    #[schema(minimum = 1, maximum = 1000)]
    grace_percent: Option<u16>,
    /// Of a grace: how long, from when the limit was first crossed.
    #[schema(minimum = 1, maximum = 31_622_400)]
    grace_seconds: Option<u32>,
    /// For operators, and for the tenant's audit trail; at most 1,000 characters.
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
    /// From this instant on the plan counts again.
    #[serde(default, deserialize_with = "crate::body::instant")]
    expires_at: Option<OffsetDateTime>,
}

fn known<T>(
    field: &'static str,
    text: Option<&str>,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, FieldError> {
    let unknown = || FieldError::new(field, "unknown_value", "must be one of those listed");
    text.map(|text| parse(text).ok_or_else(unknown)).transpose()
}

impl NewOverrideBody {
    fn read(self, key: String) -> Result<NewOverride, FieldError> {
        let enforcement = self.enforcement()?;
        if self.limit < -1 {
            let message = "must be -1, or from 0 to 1000000000000000";
            return Err(FieldError::new("limit", "out_of_range", message));
        }
        Ok(NewOverride {
            key,
            maximum: (self.limit >= 0).then_some(self.limit),
            kind: known("kind", self.kind.as_deref(), Kind::parse)?,
            cycle: known("period", self.period.as_deref(), Cycle::parse)?,
            metric: self.metric,
            value: self.value,
            enforcement,
            reason: self.reason,
            expires_at: self.expires_at,
        })
    }

    fn enforcement(&self) -> Result<Option<Enforcement>, FieldError> {
        let lasts = self
            .grace_seconds
            .map(|seconds| Duration::seconds(seconds.into()));
        let text = match &self.enforcement {
            Some(text) => text,
            // Terms of a grace say that it is one.
            None if self.grace_percent.is_some() || lasts.is_some() => "grace",
            None => return Ok(None),
        };
        let message = "must be hard or soft, or grace with grace_percent or grace_seconds";
        let wrong = || FieldError::new("enforcement", "unknown_value", message);
        let enforcement = Enforcement::parse(text, self.grace_percent, lasts).ok_or_else(wrong)?;
        Ok(Some(enforcement))
    }
}

/// What a tenant gets besides its plan.
#[derive(Debug, Serialize, ToSchema)]
struct OverrideBody {
    key: String,
    /// `limit`, `quota`, `boolean` or `static`.
    kind: &'static str,
    /// −1 is unlimited; 1 and 0 are a boolean.
    limit: i64,
    metric: Option<String>,
    #[schema(value_type = Option<Object>)]
    value: Option<Value>,
    /// `billing_month`, `calendar_month` or `calendar_day`.
    period: &'static str,
    /// `hard`, `soft` or `grace`.
    enforcement: &'static str,
    grace_percent: Option<u16>,
    grace_seconds: Option<i64>,
    reason: Option<String>,
    /// From this instant on the plan counts again.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

impl From<Override> for OverrideBody {
    fn from(given: Override) -> Self {
        let grant = given.grant;
        let grace = grant.enforcement.grace();
        Self {
            key: grant.key,
            kind: grant.kind.as_str(),
            limit: wire_limit(grant.maximum),
            metric: grant.metric,
            value: grant.value,
            period: grant.cycle.as_str(),
            enforcement: grant.enforcement.as_str(),
            grace_percent: grace.and_then(|grace| grace.percent),
            grace_seconds: grace
                .and_then(|grace| grace.lasts)
                .map(Duration::whole_seconds),
            reason: given.reason,
            expires_at: given.expires_at,
        }
    }
}

/// The overrides of a tenant by key, also those that have expired.
#[utoipa::path(
    tag = "operators",
    params(("id" = uuid::Uuid, Path, description = "The tenant")),
    responses(
        (status = 200, description = "All of them", body = ListBody<OverrideBody>),
        (status = 404, description = "`tenancy.not_found`"),
    )
)]
#[get("/v1/admin/tenants/{id}/overrides")]
async fn overrides(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
) -> Result<Json<ListBody<OverrideBody>>, Problem> {
    let all = services.billing.overrides(&caller, id).await?;
    let all = all.into_iter().map(OverrideBody::from).collect();
    Ok(Json(ListBody::whole(all)))
}

/// Gives a tenant an override, in place of the one it has of this entitlement. It counts at once, and until it expires.
#[utoipa::path(
    tag = "operators",
    params(
        ("id" = uuid::Uuid, Path, description = "The tenant"),
        ("key" = ShortText, Path, description = "The entitlement, such as `max_agents`"),
    ),
    request_body = NewOverrideBody,
    responses(
        (status = 200, description = "It is in force", body = OverrideBody),
        (status = 404, description = "`tenancy.not_found`"),
    )
)]
#[put("/v1/admin/tenants/{id}/overrides/{key}")]
async fn put_override(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
    path: Path<(String, String)>,
    Body(body): Body<NewOverrideBody>,
) -> Result<Json<OverrideBody>, Problem> {
    let new = body.read(path.into_inner().1)?;
    let given = services.billing.put_override(&caller, id, new).await?;
    Ok(Json(given.into()))
}

/// Takes an override away: the plan counts again, at once.
#[utoipa::path(
    tag = "operators",
    params(
        ("id" = uuid::Uuid, Path, description = "The tenant"),
        ("key" = ShortText, Path, description = "The entitlement"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "`tenancy.not_found` or `billing.override_not_found`"),
    )
)]
#[delete("/v1/admin/tenants/{id}/overrides/{key}")]
async fn remove_override(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let key = path.into_inner().1;
    services.billing.remove_override(&caller, id, key).await?;
    Ok(HttpResponse::NoContent().finish())
}
