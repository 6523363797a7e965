//! For operators: every tenant of the deployment. Needs a role over the deployment, or the platform key.

use actix_web::{
    get, post,
    web::{Data, Json, Path},
};
use kernel::TenantId;
use serde::Deserialize;
use tenancy::tenant::Transition;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::tenants::{TenantBody, no_such_tenant};
use crate::{
    Caller, Problem, Services,
    body::{OptionalBody, Params, PathId},
    page::{ListBody, PageQuery},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(list).service(transition);
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReasonBody {
    /// Goes into the tenant's audit trail; at most 1,000 characters.
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
}

/// Every tenant, by id.
#[utoipa::path(
    tag = "operators",
    params(PageQuery),
    responses((status = 200, description = "A page of tenants", body = ListBody<TenantBody>))
)]
#[get("/v1/admin/tenants")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<PageQuery>,
) -> Result<Json<ListBody<TenantBody>>, Problem> {
    let tenants = services
        .tenancy
        .all_tenants(&caller, query.parse()?)
        .await?;
    Ok(Json(ListBody::of(tenants, TenantBody::from)))
}

/// Moves a tenant to another state: `freeze`, `unfreeze`, `suspend`, `resume`, `archive` or `restore`.
#[utoipa::path(
    tag = "operators",
    params(
        ("id" = uuid::Uuid, Path),
        ("verb" = String, Path, pattern = "^(freeze|unfreeze|suspend|resume|archive|restore)$"),
    ),
    request_body = Option<ReasonBody>,
    responses(
        (status = 200, description = "The tenant", body = TenantBody),
        (status = 404, description = "`tenancy.not_found`"),
        (status = 409, description = "`tenancy.wrong_state`")
    )
)]
#[post("/v1/admin/tenants/{id}/{verb}")]
async fn transition(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
    path: Path<(String, String)>,
    OptionalBody(body): OptionalBody<ReasonBody>,
) -> Result<Json<TenantBody>, Problem> {
    let verb = Transition::parse(&path.1).ok_or_else(no_such_tenant)?;
    let reason = body.reason;
    if let Some(reason) = &reason {
        kernel::text::check("reason", reason, 1000)?;
    }
    Ok(Json(
        services
            .tenancy
            .administer(&caller, id, verb, reason)
            .await?
            .into(),
    ))
}
