//! What the store knows of somebody who signs in: the read model of authentication.

use kernel::{PermissionSet, SessionId, TenantId, TenantStatus, UserId};
use time::OffsetDateTime;

use crate::{Email, ExternalIdentity, User};

/// An organisation that a token names. It can only choose among the tenants that the user belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrgClaim {
    /// Whose organisation: `clerk` or `keycloak`, as in `tenant_external_refs`.
    pub kind: &'static str,
    /// Its id there.
    pub id: Option<String>,
    /// Its slug or alias there.
    pub slug: Option<String>,
}

/// What a token proves once its signature, issuer and times have been checked. Nothing about permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedIdentity {
    /// Who vouches for it, and whom they mean.
    pub identity: ExternalIdentity,
    /// Set by the built-in issuer alone, whose subjects are our own users.
    pub user_id: Option<UserId>,
    /// The session that the token came from, when the built-in issuer made it.
    pub session_id: Option<SessionId>,
    /// The address, when the token carries one.
    pub email: Option<Email>,
    /// Whether the issuer has verified that address.
    pub email_verified: bool,
    /// A name for people.
    pub name: Option<String>,
    /// The organisation that the token was made for.
    pub org: Option<OrgClaim>,
    /// When the token ends.
    pub expires_at: OffsetDateTime,
}

/// What to look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessQuery {
    /// Who signs in.
    pub identity: ExternalIdentity,
    /// Our own id of them, when the token says it.
    pub user_id: Option<UserId>,
    /// The session that must be live.
    pub session_id: Option<SessionId>,
    /// The tenant that the request names.
    pub tenant_id: Option<TenantId>,
    /// The organisation that the token names.
    pub org: Option<OrgClaim>,
    /// The instant at which the session must be live.
    pub now: OffsetDateTime,
}

/// A user in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAccess {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Where it stands.
    pub tenant_status: TenantStatus,
    /// Keys of the user's roles.
    pub roles: Vec<String>,
    /// What those roles allow.
    pub permissions: PermissionSet,
}

/// What the store knows of a user at the moment of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAccess {
    /// Who it is.
    pub user: User,
    /// Whether the session is live; true when none was named.
    pub session_is_live: bool,
    /// Permissions over the whole deployment.
    pub global: PermissionSet,
    /// The tenant of theirs that the organisation in the token stands for.
    pub claimed_tenant_id: Option<TenantId>,
    /// Their place in the tenant of the request: the one it names, else the claimed, the last used, the personal or the oldest one.
    /// `None` when they are no member of the named one, or of any.
    pub membership: Option<MemberAccess>,
}
