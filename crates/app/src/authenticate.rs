//! Who makes a request, and in which tenant.
//!
//! Two steps, so that the edge can keep the result of the one that asks the database for a moment: [`Authenticate::user`] and
//! [`Authenticate::key`] load, [`user_principal`] and [`key_principal`] decide. A token or a key proves identity only; the tenant is chosen
//! here, and what may be done in it was read from the store.

use std::sync::Arc;

use identity::{
    AccessError, AccessQuery, Digest256, Identity, KeyRecord, KeyState, KeyText, RegisterError,
    TokenError, TokenVerifier, UserAccess, VerifiedIdentity,
};
use kernel::{
    Clock, Grant, Permission, PermissionSet, Principal, PrincipalKind, RequestInfo, StoreError,
    TenantId,
};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{App, sign_up::SignUpError};

/// The tenants that a request names by itself, besides what its credential says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Named {
    /// In its path.
    pub path: Option<TenantId>,
    /// In a header.
    pub header: Option<TenantId>,
}

impl Named {
    /// The one tenant that the request names.
    ///
    /// # Errors
    /// [`AuthenticateError::AmbiguousTenant`] when path and header differ.
    pub fn tenant(self) -> Result<Option<TenantId>, AuthenticateError> {
        match (self.path, self.header) {
            (Some(path), Some(header)) if path != header => Err(AuthenticateError::AmbiguousTenant),
            (path, header) => Ok(path.or(header)),
        }
    }
}

/// Why a request has no principal.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The credential is forged, expired, revoked or unknown. Clients are never told which.
    #[error("the credential is not valid")]
    Unauthenticated,
    /// The keys of the token's issuer cannot be had right now.
    #[error("the issuer of the token cannot be reached")]
    KeysUnavailable,
    /// The request names two different tenants.
    #[error("the request names two different tenants")]
    AmbiguousTenant,
    /// The principal does not belong to the tenant that the request names, or there is none such.
    #[error("there is no such tenant")]
    NotAMember,
    /// The user waits to be let in, or was switched off.
    #[error("the user is not active")]
    NotActive,
    /// Somebody came for the first time and could not be signed up.
    #[error(transparent)]
    SignUp(#[from] SignUpError),
    /// An imported key could not be hashed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TokenError> for AuthenticateError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid => Self::Unauthenticated,
            TokenError::KeysUnavailable => Self::KeysUnavailable,
        }
    }
}

/// Finds out who makes a request.
#[derive(Clone)]
pub struct Authenticate {
    app: App,
    identity: Identity,
    verifier: Arc<dyn TokenVerifier>,
    operator_key: Option<Digest256>,
    clock: Arc<dyn Clock>,
}

impl Authenticate {
    /// Tokens are checked by `verifier`. Whoever shows `operator_key` operates the deployment; with none nobody does.
    #[must_use]
    pub fn new(
        app: App,
        verifier: Arc<dyn TokenVerifier>,
        operator_key: Option<&SecretString>,
    ) -> Self {
        let operator_key = operator_key.map(|key| Digest256::of(key.expose_secret().as_bytes()));
        let (identity, clock) = (app.identity.clone(), Arc::clone(&app.clock));
        Self {
            app,
            identity,
            verifier,
            operator_key,
            clock,
        }
    }

    /// Checks a token. Asks no database.
    ///
    /// # Errors
    /// [`AuthenticateError::Unauthenticated`], [`AuthenticateError::KeysUnavailable`].
    pub async fn token(&self, token: &SecretString) -> Result<VerifiedIdentity, AuthenticateError> {
        Ok(self.verifier.verify(token, self.clock.now()).await?)
    }

    /// What is known of the person behind a token, in the tenant that the request names or else in theirs. Signs them up at first sight.
    ///
    /// # Errors
    /// See [`AuthenticateError`].
    pub async fn user(
        &self,
        seen: &VerifiedIdentity,
        named: Option<TenantId>,
        request: &RequestInfo,
    ) -> Result<UserAccess, AuthenticateError> {
        let query = AccessQuery {
            identity: seen.identity.clone(),
            user_id: seen.user_id,
            session_id: seen.session_id,
            tenant_id: named,
            org: seen.org.clone(),
            now: self.clock.now(),
        };
        let access = match self.identity.access(query.clone()).await? {
            Some(access) => access,
            // Our own tokens speak of users that exist.
            None if seen.user_id.is_some() => return Err(AuthenticateError::Unauthenticated),
            None => {
                self.meet(seen, request).await?;
                let access = self.identity.access(query).await?;
                access.ok_or(AuthenticateError::Unauthenticated)?
            }
        };
        self.remember_tenant(&access, named).await;
        Ok(access)
    }

    /// What is known of a key, in one question to the database.
    ///
    /// # Errors
    /// [`AuthenticateError::Unauthenticated`] when it is not good.
    pub async fn key(&self, text: &KeyText) -> Result<KeyRecord, AuthenticateError> {
        self.identity
            .key_access(text)
            .await?
            .ok_or(AuthenticateError::Unauthenticated)
    }

    /// Notes that a key was used; written later, by [`Identity::flush_key_uses`].
    pub fn note_key_use(&self, record: &KeyRecord) {
        self.identity.note_key_use(&record.key);
    }

    /// The principal of whoever shows the operators' key.
    ///
    /// # Errors
    /// [`AuthenticateError::Unauthenticated`] when it is not that key.
    pub fn operator(
        &self,
        shown: &str,
        request: RequestInfo,
    ) -> Result<Principal, AuthenticateError> {
        let shown = Digest256::of(shown.as_bytes());
        let Some(key) = self.operator_key.filter(|key| *key == shown) else {
            return Err(AuthenticateError::Unauthenticated);
        };
        Ok(Principal {
            kind: PrincipalKind::Support,
            // The same for as long as the key is, so that its `Idempotency-Key`s belong together.
            id: Uuid::from_slice(key.as_bytes().get(..16).unwrap_or_default()).unwrap_or_default(),
            name: "operator".to_owned(),
            global: everything(),
            ..Principal::anonymous(request)
        })
    }

    /// The instant to decide at.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    async fn meet(
        &self,
        seen: &VerifiedIdentity,
        request: &RequestInfo,
    ) -> Result<(), AuthenticateError> {
        // The sign-up is no part of the request's own command: an `Idempotency-Key` must not be marked as carried out by it.
        let request = RequestInfo {
            command: None,
            ..request.clone()
        };
        match self.app.first_sight(seen, request).await {
            // Two first requests at once: the other one has made the user.
            Ok(_) | Err(SignUpError::User(RegisterError::IdentityTaken)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// For the next request that names no tenant. That this fails is no reason to refuse a request.
    async fn remember_tenant(&self, access: &UserAccess, named: Option<TenantId>) {
        let Some(membership) = access.membership.as_ref().filter(|_| named.is_some()) else {
            return;
        };
        if access.user.last_tenant_id == Some(membership.tenant_id) {
            return;
        }
        let remembered = self
            .identity
            .remember_tenant(access.user.id, membership.tenant_id)
            .await;
        if let Err(error) = remembered {
            tracing::warn!(%error, "the last used tenant was not written");
        }
    }
}

/// Decides about a user.
///
/// # Errors
/// See [`AuthenticateError`].
pub fn user_principal(
    access: &UserAccess,
    named: Named,
    request: RequestInfo,
) -> Result<Principal, AuthenticateError> {
    if !access.session_is_live {
        return Err(AuthenticateError::Unauthenticated);
    }
    if !access.user.status.may_sign_in() {
        return Err(AuthenticateError::NotActive);
    }
    let named = named.tenant()?;
    if let (Some(named), Some(claimed)) = (named, access.claimed_tenant_id)
        && named != claimed
    {
        return Err(AuthenticateError::AmbiguousTenant);
    }
    if named.is_some() && access.membership.is_none() {
        return Err(AuthenticateError::NotAMember);
    }
    Ok(Principal {
        kind: PrincipalKind::User,
        id: access.user.id.into(),
        name: access.user.display_name().to_owned(),
        user_id: Some(access.user.id),
        grant: access.membership.as_ref().map(|membership| Grant {
            tenant_id: membership.tenant_id,
            status: membership.tenant_status,
            roles: membership.roles.clone(),
            permissions: membership.permissions.clone(),
            project_id: None,
        }),
        global: access.global.clone(),
        request,
    })
}

/// Decides about a key. It works in its own tenant alone: another one in a header contradicts it, another one in the path does not exist.
///
/// # Errors
/// See [`AuthenticateError`].
pub fn key_principal(
    record: &KeyRecord,
    named: Named,
    request: RequestInfo,
    now: OffsetDateTime,
) -> Result<Principal, AuthenticateError> {
    if record.state(now) != KeyState::Live {
        return Err(AuthenticateError::Unauthenticated);
    }
    let key = &record.key;
    if named.header.is_some_and(|header| header != key.tenant_id) {
        return Err(AuthenticateError::AmbiguousTenant);
    }
    if named.path.is_some_and(|path| path != key.tenant_id) {
        return Err(AuthenticateError::NotAMember);
    }
    Ok(Principal {
        kind: PrincipalKind::ApiKey,
        id: key.id.into(),
        name: key.name.as_str().to_owned(),
        user_id: key.created_by,
        grant: Some(Grant {
            tenant_id: key.tenant_id,
            status: record.tenant_status,
            roles: Vec::new(),
            permissions: record.permissions(),
            project_id: key.project_id,
        }),
        global: PermissionSet::default(),
        request,
    })
}

fn everything() -> PermissionSet {
    [Permission::of("*")].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use identity::{Email, MemberAccess, User, UserStatus};
    use kernel::{TenantStatus, UserId};
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

    fn access(member_of: Option<TenantId>, claimed: Option<TenantId>) -> UserAccess {
        UserAccess {
            user: User {
                id: UserId::new(NOW),
                email: Email::parse("email", "ada@example.com").unwrap(),
                email_verified: true,
                name: None,
                status: UserStatus::Active,
                last_tenant_id: None,
                created_at: NOW,
            },
            session_is_live: true,
            global: PermissionSet::default(),
            claimed_tenant_id: claimed,
            membership: member_of.map(|tenant_id| MemberAccess {
                tenant_id,
                tenant_status: TenantStatus::Active,
                roles: vec!["member".into()],
                permissions: PermissionSet::default(),
            }),
        }
    }

    fn decide(
        access: &UserAccess,
        path: Option<TenantId>,
        header: Option<TenantId>,
    ) -> Result<Principal, AuthenticateError> {
        user_principal(access, Named { path, header }, RequestInfo::default())
    }

    #[test]
    fn two_different_answers_are_ambiguous() {
        let (a, b) = (TenantId::new(NOW), TenantId::new(NOW));
        let ambiguous = |result| matches!(result, Err(AuthenticateError::AmbiguousTenant));
        assert!(ambiguous(decide(&access(Some(a), None), Some(a), Some(b))));
        assert!(ambiguous(decide(&access(Some(a), Some(b)), None, Some(a))));
        assert!(decide(&access(Some(a), Some(a)), Some(a), Some(a)).is_ok());
    }

    #[test]
    fn a_named_tenant_that_is_not_theirs_does_not_exist() {
        let a = TenantId::new(NOW);
        assert!(matches!(
            decide(&access(None, None), None, Some(a)),
            Err(AuthenticateError::NotAMember)
        ));
        assert!(
            decide(&access(None, None), None, None)
                .unwrap()
                .grant
                .is_none()
        );
    }

    #[test]
    fn a_closed_session_and_a_banned_user_are_told_apart() {
        let mut closed = access(None, None);
        closed.session_is_live = false;
        assert!(matches!(
            decide(&closed, None, None),
            Err(AuthenticateError::Unauthenticated)
        ));
        let mut banned = access(None, None);
        banned.user.status = UserStatus::Banned;
        assert!(matches!(
            decide(&banned, None, None),
            Err(AuthenticateError::NotActive)
        ));
    }
}
