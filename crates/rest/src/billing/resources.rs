//! The host product's own counted things.

use ::billing::{
    ExternalId, Put, Resource, ResourceKind,
    resource::{ListResourcesError, PutResourceError, RemoveResourceError},
};
use actix_web::{
    HttpResponse, delete, get, put,
    web::{Data, Json, Path},
};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::is_false;
use crate::{
    Caller, Problem, Services,
    body::Params,
    page::{ListBody, PageQuery},
};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(put).service(remove).service(list);
}

impl From<PutResourceError> for Problem {
    fn from(error: PutResourceError) -> Self {
        match error {
            PutResourceError::Denied(error) => error.into(),
            PutResourceError::Limit(error) => error.into(),
            PutResourceError::Store(error) => error.into(),
        }
    }
}

impl From<RemoveResourceError> for Problem {
    fn from(error: RemoveResourceError) -> Self {
        match error {
            RemoveResourceError::Denied(error) => error.into(),
            RemoveResourceError::NotFound => {
                Self::not_found("billing.resource_not_found", "resource")
            }
            RemoveResourceError::Store(error) => error.into(),
        }
    }
}

impl From<ListResourcesError> for Problem {
    fn from(error: ListResourcesError) -> Self {
        match error {
            ListResourcesError::Denied(error) => error.into(),
            ListResourcesError::Invalid(error) => error.into(),
            ListResourcesError::Store(error) => error.into(),
        }
    }
}

/// A counted thing.
#[derive(Debug, Serialize, ToSchema)]
struct ResourceBody {
    kind: String,
    external_id: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Stands in the answer that registered it, when there are more now than the limit allows, which is only told, or grants a grace.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    over: bool,
}

impl From<Resource> for ResourceBody {
    fn from(resource: Resource) -> Self {
        Self {
            kind: resource.kind,
            external_id: resource.external_id,
            created_at: resource.created_at,
            over: false,
        }
    }
}

/// Registers a thing, within the limit `max_{kind}` of the plan. Needs `resource.write`.
#[utoipa::path(
    tag = "billing",
    params(
        ("kind" = String, Path, description = "What it is, such as `agents`", pattern = "^[a-z][a-z0-9_]{0,62}$"),
        ("external_id" = String, Path, description = "Your name for it", min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"),
    ),
    responses(
        (status = 201, description = "It is new", body = ResourceBody),
        (status = 200, description = "It was there already", body = ResourceBody),
        (status = 402, description = "`billing.limit_reached`"),
    )
)]
#[put("/v1/resources/{kind}/{external_id}")]
async fn put(
    services: Data<Services>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (kind, external_id) = (ResourceKind::parse(&path.0)?, ExternalId::parse(&path.1)?);
    Ok(
        match services
            .billing
            .put_resource(&caller, kind, external_id)
            .await?
        {
            Put::Created { resource, is_over } => HttpResponse::Created().json(ResourceBody {
                over: is_over,
                ..resource.into()
            }),
            Put::Unchanged(one) => HttpResponse::Ok().json(ResourceBody::from(one)),
        },
    )
}

/// Removes a thing, and gives its place free. Needs `resource.write`.
#[utoipa::path(
    tag = "billing",
    params(
        ("kind" = String, Path, description = "What it is, such as `agents`", pattern = "^[a-z][a-z0-9_]{0,62}$"),
        ("external_id" = String, Path, description = "Your name for it", min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "`billing.resource_not_found`"),
    )
)]
#[delete("/v1/resources/{kind}/{external_id}")]
async fn remove(
    services: Data<Services>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (kind, external_id) = (ResourceKind::parse(&path.0)?, ExternalId::parse(&path.1)?);
    services
        .billing
        .remove_resource(&caller, kind, external_id)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The things of one kind, by name. Needs `resource.read`.
#[utoipa::path(
    tag = "billing",
    params(("kind" = String, Path, description = "What they are, such as `agents`", pattern = "^[a-z][a-z0-9_]{0,62}$"), PageQuery),
    responses((status = 200, description = "A page of things", body = ListBody<ResourceBody>))
)]
#[get("/v1/resources/{kind}")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    path: Path<String>,
    Params(query): Params<PageQuery>,
) -> Result<Json<ListBody<ResourceBody>>, Problem> {
    let kind = ResourceKind::parse(&path)?;
    let page = services
        .billing
        .resources(&caller, kind, query.parse()?)
        .await?;
    Ok(Json(ListBody::of(page, ResourceBody::from)))
}
