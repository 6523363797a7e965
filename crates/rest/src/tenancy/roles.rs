//! Roles and the permission catalogue.

use actix_web::{
    get,
    web::{Data, Json},
};
use serde::Serialize;
use tenancy::{PermissionInfo, Role};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{Caller, Problem, Services, page::ListBody};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(roles).service(permissions);
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
struct RoleBody {
    key: String,
    name: String,
    /// `tenant` or `project`.
    scope: String,
    /// What it allows; `*` stands for everything.
    permissions: Vec<String>,
    /// Whether every tenant has it.
    is_system: bool,
}

impl From<Role> for RoleBody {
    fn from(role: Role) -> Self {
        Self {
            key: role.key,
            name: role.name,
            scope: role.scope,
            permissions: role.permissions.iter().map(ToString::to_string).collect(),
            is_system: role.is_system,
        }
    }
}

/// A permission.
#[derive(Debug, Serialize, ToSchema)]
struct PermissionBody {
    code: String,
    description: String,
}

impl From<PermissionInfo> for PermissionBody {
    fn from(info: PermissionInfo) -> Self {
        Self {
            code: info.code,
            description: info.description,
        }
    }
}

/// The roles that can be given in the tenant, by key. Needs `role.read`.
#[utoipa::path(
    tag = "roles",
    responses((status = 200, description = "The roles", body = ListBody<RoleBody>))
)]
#[get("/v1/roles")]
async fn roles(
    services: Data<Services>,
    caller: Caller,
) -> Result<Json<ListBody<RoleBody>>, Problem> {
    let roles = services.tenancy.roles(&caller).await?;
    Ok(Json(ListBody::whole(
        roles.into_iter().map(Into::into).collect(),
    )))
}

/// Every permission code, by code.
#[utoipa::path(
    tag = "roles",
    responses((status = 200, description = "The permissions", body = ListBody<PermissionBody>))
)]
#[get("/v1/permissions")]
async fn permissions(
    services: Data<Services>,
    caller: Caller,
) -> Result<Json<ListBody<PermissionBody>>, Problem> {
    let codes = services.tenancy.permission_catalogue(&caller).await?;
    Ok(Json(ListBody::whole(
        codes.into_iter().map(Into::into).collect(),
    )))
}
