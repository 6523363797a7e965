//! Members of the tenant in context.

use actix_web::{
    HttpResponse, delete, get, patch,
    web::{Data, Json},
};
use kernel::UserId;
use serde::{Deserialize, Serialize};
use tenancy::{Member, membership::ChangeMemberError};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::{
    Caller, Problem, Services,
    body::{Body, Params, PathId},
    page::{ListBody, PageQuery},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(list).service(set_roles).service(remove);
}

impl From<ChangeMemberError> for Problem {
    fn from(error: ChangeMemberError) -> Self {
        match error {
            ChangeMemberError::NotFound => Self::not_found("tenancy.member_not_found", "member"),
            ChangeMemberError::LastOwner => Self::conflict(
                "tenancy.last_owner",
                "The tenant would be left without an owner: make somebody else owner first.",
            ),
            ChangeMemberError::Invalid(error) => error.into(),
            ChangeMemberError::Denied(error) => error.into(),
            ChangeMemberError::Store(error) => error.into(),
        }
    }
}

/// A member.
#[derive(Debug, Serialize, ToSchema)]
struct MemberBody {
    user_id: Uuid,
    email: String,
    name: Option<String>,
    /// `active` or `suspended`.
    status: String,
    /// Keys of their roles.
    roles: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    joined_at: OffsetDateTime,
}

impl From<Member> for MemberBody {
    fn from(member: Member) -> Self {
        Self {
            user_id: member.user_id.into(),
            email: member.email,
            name: member.name,
            status: member.status,
            roles: member.roles,
            joined_at: member.joined_at,
        }
    }
}

/// Other roles for a member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RolesBody {
    /// Keys of roles; at least one.
    #[schema(min_items = 1)]
    roles: Vec<String>,
}

/// The tenant's members. Needs `member.read`.
#[utoipa::path(
    tag = "members",
    params(PageQuery),
    responses((status = 200, description = "A page of members", body = ListBody<MemberBody>))
)]
#[get("/v1/members")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<PageQuery>,
) -> Result<Json<ListBody<MemberBody>>, Problem> {
    let members = services.tenancy.members(&caller, query.parse()?).await?;
    Ok(Json(ListBody::of(members, MemberBody::from)))
}

/// Gives a member other roles. Needs `member.write`, and all that the roles allow.
#[utoipa::path(
    tag = "members",
    params(("user_id" = Uuid, Path)),
    request_body = RolesBody,
    responses(
        (status = 200, description = "The member", body = MemberBody),
        (status = 404, description = "`tenancy.member_not_found`"),
        (status = 409, description = "`tenancy.last_owner`")
    )
)]
#[patch("/v1/members/{user_id}")]
async fn set_roles(
    services: Data<Services>,
    caller: Caller,
    PathId(user): PathId<UserId>,
    Body(body): Body<RolesBody>,
) -> Result<Json<MemberBody>, Problem> {
    let member = services
        .tenancy
        .set_roles(&caller, user, body.roles)
        .await?;
    Ok(Json(member.into()))
}

/// Removes a member and revokes the keys they made. Needs `user.remove`; anybody may remove themselves.
#[utoipa::path(
    tag = "members",
    params(("user_id" = Uuid, Path)),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "`tenancy.member_not_found`"),
        (status = 409, description = "`tenancy.last_owner`")
    )
)]
#[delete("/v1/members/{user_id}")]
async fn remove(
    services: Data<Services>,
    caller: Caller,
    PathId(user): PathId<UserId>,
) -> Result<HttpResponse, Problem> {
    services.app.remove_member(&caller, user).await?;
    Ok(HttpResponse::NoContent().finish())
}
