//! Tenants.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::StatusCode,
    patch, post,
    web::{Data, Json},
};
use kernel::{Name, TenantId, Zone};
use serde::{Deserialize, Serialize};
use tenancy::{
    Slug, Tenant,
    membership::ListError,
    tenant::{ChangeTenantError, CreateTenantError, TenantChange},
};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::{
    Caller, Problem, Services,
    body::{Body, PathId, etag, if_match},
    openapi::texts::{self, TenantSlug},
    page::ListBody,
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(list)
        .service(create)
        .service(read)
        .service(change)
        .service(archive);
}

/// The answer for a tenant that is not there, or not the caller's: one text for both.
pub(crate) fn no_such_tenant() -> Problem {
    Problem::not_found("tenancy.not_found", "tenant")
}

impl From<CreateTenantError> for Problem {
    fn from(error: CreateTenantError) -> Self {
        match error {
            CreateTenantError::SlugTaken { ref slug } => {
                Self::conflict("tenancy.slug_taken", format!("{error}."))
                    .with("slug", slug.as_str())
            }
            CreateTenantError::Invalid(error) => error.into(),
            CreateTenantError::Denied(error) => error.into(),
            CreateTenantError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeTenantError> for Problem {
    fn from(error: ChangeTenantError) -> Self {
        match error {
            ChangeTenantError::Stale => Self::stale(),
            ChangeTenantError::NotFound => no_such_tenant(),
            ChangeTenantError::Create(error) => error.into(),
            ChangeTenantError::WrongState { status, .. } => {
                Self::conflict("tenancy.wrong_state", format!("{error}."))
                    .with("tenant_status", status.as_str())
            }
            ChangeTenantError::Denied(error) => error.into(),
            ChangeTenantError::Store(error) => error.into(),
        }
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Denied(error) => error.into(),
            ListError::Invalid(error) => error.into(),
            ListError::Store(error) => error.into(),
        }
    }
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantBody {
    id: Uuid,
    /// Its name in URLs.
    slug: String,
    name: String,
    /// `provisioning`, `demo`, `trial`, `active`, `past_due`, `frozen`, `suspended`, `archived` or `deleted`.
    status: &'static str,
    /// Why it has that status, when somebody said so.
    status_reason: Option<String>,
    /// `customer` or `demo`.
    kind: &'static str,
    /// Code of its plan.
    plan: String,
    /// Whether it was made for one person at sign-up.
    is_personal: bool,
    /// Its IANA time zone.
    timezone: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Tenant> for TenantBody {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.into(),
            slug: tenant.slug.to_string(),
            name: tenant.name.to_string(),
            status: tenant.status.as_str(),
            status_reason: tenant.status_reason,
            kind: tenant.kind.as_str(),
            plan: tenant.plan_code,
            is_personal: tenant.is_personal,
            timezone: tenant.timezone.name().to_owned(),
            created_at: tenant.created_at,
        }
    }
}

fn shown(tenant: Tenant, status: StatusCode) -> HttpResponse {
    let version = etag(tenant.version);
    HttpResponse::build(status)
        .insert_header(version)
        .json(TenantBody::from(tenant))
}

/// A tenant to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTenantBody {
    /// 1 to 255 characters.
    #[schema(value_type = texts::Name)]
    name: String,
    /// 3 to 40 lower-case letters, digits and single dashes; made of the name when not given.
    #[schema(value_type = Option<TenantSlug>)]
    slug: Option<String>,
}

/// What may change about a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantChangeBody {
    /// 1 to 255 characters.
    #[schema(value_type = Option<texts::Name>)]
    name: Option<String>,
    /// 3 to 40 lower-case letters, digits and single dashes.
    #[schema(value_type = Option<TenantSlug>)]
    slug: Option<String>,
    /// An IANA time zone.
    timezone: Option<String>,
}

fn parse_slug(slug: Option<&str>) -> Result<Option<Slug>, Problem> {
    slug.map(Slug::parse).transpose().map_err(|error| {
        Problem::invalid(vec![error]).coded(
            "tenancy.slug_invalid",
            "The slug breaks a rule; see errors.",
        )
    })
}

/// The caller's tenants, oldest membership first.
#[utoipa::path(
    tag = "tenants",
    responses((status = 200, description = "The tenants", body = ListBody<TenantBody>))
)]
#[get("/v1/tenants")]
async fn list(
    services: Data<Services>,
    caller: Caller,
) -> Result<Json<ListBody<TenantBody>>, Problem> {
    let tenants = match (caller.kind, caller.user_id) {
        (kernel::PrincipalKind::User, Some(user)) => {
            let memberships = services.tenancy.memberships_of(user).await?;
            memberships
                .into_iter()
                .map(|membership| membership.tenant.into())
                .collect()
        }
        _ => vec![services.tenancy.tenant(&caller).await?.into()],
    };
    Ok(Json(ListBody::whole(tenants)))
}

/// Makes a tenant with the caller as its owner, on the free plan.
#[utoipa::path(
    tag = "tenants",
    request_body = NewTenantBody,
    responses(
        (status = 201, description = "The tenant", body = TenantBody),
        (status = 409, description = "`tenancy.slug_taken`"),
        (status = 422, description = "`tenancy.slug_invalid`, `request.invalid`")
    )
)]
#[post("/v1/tenants")]
async fn create(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<NewTenantBody>,
) -> Result<HttpResponse, Problem> {
    let name = Name::parse("name", &body.name)?;
    let slug = parse_slug(body.slug.as_deref())?;
    let tenant = services.app.create_tenant(&caller, name, slug).await?;
    Ok(shown(tenant, StatusCode::CREATED))
}

/// Reads a tenant. Needs `tenant.read`.
#[utoipa::path(
    tag = "tenants",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The tenant, with its ETag", body = TenantBody),
        (status = 404, description = "`tenancy.not_found`")
    )
)]
#[get("/v1/tenants/{id}")]
async fn read(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
) -> Result<HttpResponse, Problem> {
    in_tenant(&caller, id)?;
    Ok(shown(
        services.tenancy.tenant(&caller).await?,
        StatusCode::OK,
    ))
}

/// The caller was resolved for the tenant of the path; anything else is a tenant they have no part in.
fn in_tenant(caller: &Caller, id: TenantId) -> Result<(), Problem> {
    if caller.tenant_id().ok() == Some(id) {
        Ok(())
    } else {
        Err(no_such_tenant())
    }
}

/// Changes a tenant. Needs `tenant.write`; honours `If-Match`.
#[utoipa::path(
    tag = "tenants",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body = TenantChangeBody,
    responses(
        (status = 200, description = "The tenant, with its new ETag", body = TenantBody),
        (status = 409, description = "`tenancy.slug_taken`"),
        (status = 412, description = "`request.stale`"),
        (status = 422, description = "`tenancy.slug_invalid`, `request.invalid`")
    )
)]
#[patch("/v1/tenants/{id}")]
async fn change(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
    request: HttpRequest,
    Body(body): Body<TenantChangeBody>,
) -> Result<HttpResponse, Problem> {
    in_tenant(&caller, id)?;
    let change = TenantChange {
        name: body
            .name
            .as_deref()
            .map(|name| Name::parse("name", name))
            .transpose()?,
        slug: parse_slug(body.slug.as_deref())?,
        timezone: body
            .timezone
            .as_deref()
            .map(|zone| Zone::parse("timezone", zone))
            .transpose()?,
    };
    let tenant = services
        .tenancy
        .change_tenant(&caller, change, if_match(&request)?)
        .await?;
    Ok(shown(tenant, StatusCode::OK))
}

/// Archives a tenant: only its owner's export and its audit trail remain. Needs `tenant.delete`.
#[utoipa::path(
    tag = "tenants",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The tenant, archived", body = TenantBody),
        (status = 409, description = "`tenancy.wrong_state`")
    )
)]
#[delete("/v1/tenants/{id}")]
async fn archive(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
) -> Result<HttpResponse, Problem> {
    in_tenant(&caller, id)?;
    Ok(shown(
        services.tenancy.archive_tenant(&caller).await?,
        StatusCode::OK,
    ))
}
