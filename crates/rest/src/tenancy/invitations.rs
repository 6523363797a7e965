//! Invitations.

use actix_web::{
    HttpResponse, get,
    http::StatusCode,
    post,
    web::{Data, Json},
};
use kernel::{Email, InvitationId};
use serde::{Deserialize, Serialize};
use tenancy::{
    Invitation,
    invitation::{AcceptError, InviteError},
};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::tenants::TenantBody;
use crate::{
    Caller, Problem, Services,
    body::{Body, Params, PathId},
    idempotency::ShownOnce,
    openapi::texts::EmailAddress,
    page::{ListBody, PageQuery},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    // `accept` stands before `{id}`, which would take its place.
    config
        .service(accept)
        .service(create)
        .service(list)
        .service(resend)
        .service(revoke);
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        let detail = format!("{error}.");
        match error {
            InviteError::AlreadyMember { .. } => Self::conflict("tenancy.already_member", detail),
            InviteError::AlreadyInvited { .. } => Self::conflict("tenancy.already_invited", detail),
            InviteError::NotFound => Self::not_found("tenancy.invitation_not_found", "invitation"),
            InviteError::NotPending(status) => {
                Self::conflict("tenancy.invitation_not_pending", detail)
                    .with("invitation_status", status.as_str())
            }
            InviteError::Limit(error) => error.into(),
            InviteError::Invalid(error) => error.into(),
            InviteError::Denied(error) => error.into(),
            InviteError::Store(error) => error.into(),
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        let detail = format!("{error}.");
        let gone = |code| Self::new(StatusCode::GONE, code, detail.clone());
        match error {
            AcceptError::NotFound => Self::not_found("tenancy.invitation_not_found", "invitation"),
            AcceptError::Expired => gone("tenancy.invitation_expired"),
            AcceptError::Revoked => gone("tenancy.invitation_revoked"),
            AcceptError::Superseded => gone("tenancy.invitation_superseded"),
            AcceptError::Used => gone("tenancy.invitation_used"),
            AcceptError::ForAnother => Self::new(
                StatusCode::FORBIDDEN,
                "tenancy.invitation_for_another",
                detail,
            ),
            AcceptError::Denied(error) => error.into(),
            AcceptError::Store(error) => error.into(),
        }
    }
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
struct InvitationBody {
    id: Uuid,
    email: String,
    /// Key of the role they will have.
    role: String,
    /// `pending`, `accepted`, `declined`, `revoked` or `expired`.
    status: &'static str,
    invited_by: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// The token, in development only: elsewhere it leaves by mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl From<Invitation> for InvitationBody {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id.into(),
            email: invitation.email,
            role: invitation.role_key,
            status: invitation.status.as_str(),
            invited_by: invitation.invited_by.map(Into::into),
            expires_at: invitation.expires_at,
            created_at: invitation.created_at,
            token: None,
        }
    }
}

/// Somebody to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInvitationBody {
    #[schema(value_type = EmailAddress)]
    email: String,
    /// Key of a role whose permissions the caller has.
    role: String,
}

/// The token from the mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptBody {
    token: String,
}

/// The tenant that the caller joined.
#[derive(Debug, Serialize, ToSchema)]
struct AcceptedBody {
    tenant: TenantBody,
}

fn sent(services: &Services, invitation: Invitation, status: StatusCode) -> HttpResponse {
    let token = services
        .settings
        .expose_invitation_tokens
        .then(|| services.tenancy.token_of(&invitation));
    let body = InvitationBody {
        token,
        ..invitation.into()
    };
    let mut response = HttpResponse::build(status).json(&body);
    if body.token.is_some() {
        response.extensions_mut().insert(ShownOnce(&["token"]));
    }
    response
}

/// Invites somebody. Needs `user.invite`. A pending invitation holds a seat of the plan.
#[utoipa::path(
    tag = "invitations",
    request_body = NewInvitationBody,
    responses(
        (status = 201, description = "The invitation", body = InvitationBody),
        (status = 402, description = "`billing.limit_reached`"),
        (status = 409, description = "`tenancy.already_member`, `tenancy.already_invited`")
    )
)]
#[post("/v1/invitations")]
async fn create(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<NewInvitationBody>,
) -> Result<HttpResponse, Problem> {
    let email = Email::parse("email", &body.email)?;
    let invitation = services.tenancy.invite(&caller, email, body.role).await?;
    Ok(sent(&services, invitation, StatusCode::CREATED))
}

/// The tenant's invitations, newest first. Needs `member.read`.
#[utoipa::path(
    tag = "invitations",
    params(PageQuery),
    responses((status = 200, description = "A page of invitations", body = ListBody<InvitationBody>))
)]
#[get("/v1/invitations")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<PageQuery>,
) -> Result<Json<ListBody<InvitationBody>>, Problem> {
    let invitations = services
        .tenancy
        .invitations(&caller, query.parse()?)
        .await?;
    Ok(Json(ListBody::of(invitations, InvitationBody::from)))
}

/// Sends a pending or expired invitation again, with a new token and a new deadline. Needs `user.invite`.
#[utoipa::path(
    tag = "invitations",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The invitation", body = InvitationBody),
        (status = 402, description = "`billing.limit_reached`"),
        (status = 404, description = "`tenancy.invitation_not_found`"),
        (status = 409, description = "`tenancy.invitation_not_pending`, `tenancy.already_member`, `tenancy.already_invited`")
    )
)]
#[post("/v1/invitations/{id}/resend")]
async fn resend(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<InvitationId>,
) -> Result<HttpResponse, Problem> {
    let invitation = services.tenancy.resend(&caller, id).await?;
    Ok(sent(&services, invitation, StatusCode::OK))
}

/// Takes a pending invitation back. Needs `user.invite`.
#[utoipa::path(
    tag = "invitations",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The invitation", body = InvitationBody),
        (status = 404, description = "`tenancy.invitation_not_found`"),
        (status = 409, description = "`tenancy.invitation_not_pending`")
    )
)]
#[post("/v1/invitations/{id}/revoke")]
async fn revoke(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<InvitationId>,
) -> Result<Json<InvitationBody>, Problem> {
    Ok(Json(services.tenancy.revoke(&caller, id).await?.into()))
}

/// Joins the tenant that the token is for. The caller's e-mail address must be the invited one. Joining twice is the same as once.
#[utoipa::path(
    tag = "invitations",
    request_body = AcceptBody,
    responses(
        (status = 200, description = "The tenant", body = AcceptedBody),
        (status = 403, description = "`tenancy.invitation_for_another`, `tenancy.read_only`"),
        (status = 404, description = "`tenancy.invitation_not_found`"),
        (status = 410, description = "`tenancy.invitation_expired`, `_revoked`, `_superseded` or `_used`")
    )
)]
#[post("/v1/invitations/accept")]
async fn accept(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<AcceptBody>,
) -> Result<Json<AcceptedBody>, Problem> {
    let tenant = services.app.accept_invitation(&caller, &body.token).await?;
    Ok(Json(AcceptedBody {
        tenant: tenant.into(),
    }))
}
