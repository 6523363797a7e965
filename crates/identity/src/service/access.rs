//! What the store knows of those who sign in.

use audit::{Crud, NewEvent, Target};
use kernel::{Denied, Principal, PrincipalKind, RequestInfo, Scope, StoreError, TenantId, UserId};
use time::OffsetDateTime;

use super::Identity;
use crate::{AccessQuery, ExternalIdentity, HasherError, User, UserAccess, VerifiedIdentity, user};

/// Why it could not be found out what somebody may do.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// An imported key could not be hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Identity {
    /// What the store knows of a user, in the tenant of the request.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn access(&self, query: AccessQuery) -> Result<Option<UserAccess>, StoreError> {
        self.db
            .run(Scope::global(), move |store| store.access(&query))
            .await
    }

    /// Remembers which tenant a user's request named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remember_tenant(
        &self,
        user_id: UserId,
        tenant_id: TenantId,
    ) -> Result<(), StoreError> {
        self.db
            .run(Scope::user(user_id), move |store| {
                store.set_last_tenant(user_id, tenant_id)
            })
            .await
    }

    /// Links a verified identity, seen for the first time, to the user who has proved the same address. `None` when there is nobody to
    /// link it to: then a user must be made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn link(&self, seen: &VerifiedIdentity) -> Result<Option<User>, StoreError> {
        let Some(email) = seen.email.clone() else {
            return Ok(None);
        };
        let found: Result<_, StoreError> = self
            .db
            .run(Scope::global(), move |store| store.credential(&email))
            .await;
        let found = found?.map(|(user, _)| user);
        let Some(user) = found.filter(|user| user::may_link(user, seen.email_verified)) else {
            return Ok(None);
        };
        let (linked_user, identity, now) = (user.clone(), seen.identity.clone(), self.clock.now());
        let trail = user.last_tenant_id;
        let scope = Scope {
            tenant_id: trail,
            ..Scope::user(user.id)
        };
        let linked: Result<(), StoreError> = self
            .db
            .run(scope, move |store| {
                store.link_identity(linked_user.id, &identity, now)?;
                match trail {
                    Some(tenant_id) => {
                        store.record(linked_event(&linked_user, &identity, tenant_id, now))
                    }
                    None => Ok(()),
                }
            })
            .await;
        match linked {
            Err(error) if !error.conflicts_with("user_identities_pkey") => Err(error),
            _ => Ok(Some(user)),
        }
    }

    /// The person behind a principal.
    ///
    /// # Errors
    /// See [`ReadMeError`].
    pub async fn me(&self, by: &Principal) -> Result<User, ReadMeError> {
        let user_id = by.user()?;
        let found: Result<_, StoreError> = self
            .db
            .run(Scope::of(by), move |store| store.user(user_id))
            .await;
        found?.ok_or(ReadMeError::Denied(Denied::NotAUser))
    }
}

/// Why somebody was not told about themselves.
#[derive(Debug, thiserror::Error)]
pub enum ReadMeError {
    /// There is no person behind the principal.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn linked_event(
    user: &User,
    identity: &ExternalIdentity,
    tenant_id: TenantId,
    now: OffsetDateTime,
) -> NewEvent {
    let by = Principal {
        kind: PrincipalKind::User,
        id: user.id.as_uuid(),
        name: user.display_name().to_owned(),
        user_id: Some(user.id),
        ..Principal::anonymous(RequestInfo::default())
    };
    let target = Target::new("user", user.id, user.display_name());
    NewEvent::new(
        tenant_id,
        "user.identity_linked",
        Crud::Update,
        target,
        &by,
        now,
    )
    .field("issuer", &identity.issuer)
}
