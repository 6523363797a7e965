//! `/v1/me`: who the API takes you for.

use actix_web::{
    get,
    web::{Data, Json},
};
use identity::ReadMeError;
use kernel::{PrincipalKind, principal::allowed};
use serde::Serialize;
use tenancy::Membership;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::auth::UserBody;
use crate::{Caller, Problem, Services, tenancy::tenants::TenantBody};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(me);
}

/// Who makes the request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Principal)]
struct PrincipalBody {
    /// `user`, `api_key`, `service_account` or `support`.
    r#type: &'static str,
    id: Uuid,
    name: String,
}

/// A person's place in a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Membership)]
struct MembershipBody {
    tenant_id: Uuid,
    slug: String,
    name: String,
    /// Keys of the roles.
    roles: Vec<String>,
    /// What the roles allow.
    permissions: Vec<String>,
}

/// The principal, its user, the tenant of this request, and all of its tenants.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me)]
struct MeBody {
    principal: PrincipalBody,
    /// The person; for a key, the one who made it.
    user: Option<UserBody>,
    /// The tenant of this request.
    tenant: Option<TenantBody>,
    memberships: Vec<MembershipBody>,
}

impl From<&Membership> for MembershipBody {
    fn from(membership: &Membership) -> Self {
        Self {
            tenant_id: membership.tenant.id.into(),
            slug: membership.tenant.slug.to_string(),
            name: membership.tenant.name.to_string(),
            roles: membership.roles.clone(),
            permissions: membership
                .permissions
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}

impl From<ReadMeError> for Problem {
    fn from(error: ReadMeError) -> Self {
        match error {
            ReadMeError::Denied(error) => error.into(),
            ReadMeError::Store(error) => error.into(),
        }
    }
}

/// Who the API takes the caller for. A key sees its own tenant alone, with what the key may do there.
#[utoipa::path(tag = "identity", responses((status = 200, description = "The caller", body = MeBody)))]
#[get("/v1/me")]
async fn me(services: Data<Services>, caller: Caller) -> Result<Json<MeBody>, Problem> {
    let mut memberships = Vec::new();
    let mut user = None;
    if let Some(user_id) = caller.user_id {
        user = Some(services.identity.me(&caller).await?.into());
        memberships = services.tenancy.memberships_of(user_id).await?;
    }
    if let (PrincipalKind::ApiKey, Some(grant)) = (caller.kind, &caller.grant) {
        memberships.retain(|membership| membership.tenant.id == grant.tenant_id);
        for membership in &mut memberships {
            membership.roles.clear();
            membership.permissions = allowed(grant.permissions.clone(), grant.project_id);
        }
    }
    let shown = memberships.iter().map(MembershipBody::from).collect();
    let here = caller.tenant_id().ok();
    let tenant = memberships
        .into_iter()
        .find(|membership| Some(membership.tenant.id) == here);
    Ok(Json(MeBody {
        principal: PrincipalBody {
            r#type: caller.kind.as_str(),
            id: caller.id,
            name: caller.name.clone(),
        },
        user,
        tenant: tenant.map(|membership| membership.tenant.into()),
        memberships: shown,
    }))
}
