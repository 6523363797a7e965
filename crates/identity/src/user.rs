//! People: global, one row per human. What an identity provider calls them stands beside them, never in their key.

use audit::{Crud, NewEvent, Target};
use kernel::{Name, Principal, StoreError, TenantId, UserId};
use time::OffsetDateTime;

use crate::{Email, PasswordHash, Store};

/// Where a person stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserStatus {
    /// Asked to come, has not come yet.
    Invited,
    /// Asked to come in, has not been let in yet.
    Waitlist,
    /// In use.
    Active,
    /// Switched off, by themselves or an operator; may come back.
    Inactive,
    /// Kept out.
    Banned,
    /// Gone for good; the row remains for the audit trail.
    Archived,
}

impl UserStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Invited,
        Self::Waitlist,
        Self::Active,
        Self::Inactive,
        Self::Banned,
        Self::Archived,
    ];

    /// The status as the database and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Waitlist => "waitlist",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Banned => "banned",
            Self::Archived => "archived",
        }
    }

    /// Reads the text of [`UserStatus::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether such a person may sign in, and whether their keys work.
    #[must_use]
    pub const fn may_sign_in(self) -> bool {
        matches!(self, Self::Active)
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their address; nobody else has it.
    pub email: Email,
    /// Whether they have shown that the address is theirs.
    pub email_verified: bool,
    /// What they are called.
    pub name: Option<Name>,
    /// Where they stand.
    pub status: UserStatus,
    /// The tenant of their last request that named one.
    pub last_tenant_id: Option<TenantId>,
    /// When they came.
    pub created_at: OffsetDateTime,
}

impl User {
    /// What the audit trail calls them.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.email.as_str()
    }
}

/// A person's name at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExternalIdentity {
    /// The token's `iss`, to the byte.
    pub issuer: String,
    /// The token's `sub`.
    pub subject: String,
}

/// Somebody who comes for the first time.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their id, made by the caller: the scope of the transaction must name it already, or row-level security refuses the row.
    pub id: UserId,
    /// Their address.
    pub email: Email,
    /// Whether somebody we trust vouches for it.
    pub email_verified: bool,
    /// What they are called.
    pub name: Option<Name>,
    /// Where they start: `Active`, `Invited` or `Waitlist`.
    pub status: UserStatus,
    /// For the built-in log-in.
    pub password_hash: Option<PasswordHash>,
    /// For those who come from an identity provider.
    pub identity: Option<ExternalIdentity>,
}

/// Why somebody was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Somebody has this address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The identity came in twice at once; the other one won. Asking again finds the user.
    #[error("the identity is linked already")]
    IdentityTaken,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for RegisterError {
    fn from(error: StoreError) -> Self {
        if error.conflicts_with("users_email_key") {
            Self::EmailTaken
        } else if error.conflicts_with("user_identities_pkey") {
            Self::IdentityTaken
        } else {
            Self::Store(error)
        }
    }
}

/// Makes a user with what they sign in by. Their first tenant, its membership and the audit event are for the surrounding use case, which
/// knows the tenant that the trail belongs to: see [`registered`].
///
/// # Errors
/// See [`RegisterError`].
pub fn register(
    store: &mut dyn Store,
    new: NewUser,
    now: OffsetDateTime,
) -> Result<User, RegisterError> {
    let user = User {
        id: new.id,
        email: new.email,
        email_verified: new.email_verified,
        name: new.name,
        status: new.status,
        last_tenant_id: None,
        created_at: now,
    };
    store.insert_user(&user)?;
    if let Some(hash) = &new.password_hash {
        store.set_password(user.id, hash, now)?;
    }
    if let Some(identity) = &new.identity {
        store.link_identity(user.id, identity, now)?;
    }
    Ok(user)
}

/// The audit event of [`register`], in the trail of the user's first tenant.
#[must_use]
pub fn registered(
    user: &User,
    tenant_id: TenantId,
    by: &Principal,
    now: OffsetDateTime,
) -> NewEvent {
    let target = Target::new("user", user.id, user.display_name());
    NewEvent::new(tenant_id, "user.registered", Crud::Create, target, by, now)
}

/// Whether a new external identity belongs to `existing`, who has the same address. Both sides must have proved the address: else whoever
/// registers a stranger's address first would share the stranger's account.
#[must_use]
pub fn may_link(existing: &User, verified_by_issuer: bool) -> bool {
    verified_by_issuer && existing.email_verified
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_round_trip() {
        for status in UserStatus::ALL {
            assert_eq!(UserStatus::parse(status.as_str()), Some(status));
        }
    }

    #[test]
    fn only_the_active_sign_in() {
        let may: Vec<_> = UserStatus::ALL
            .into_iter()
            .filter(|status| status.may_sign_in())
            .collect();
        assert_eq!(may, [UserStatus::Active]);
    }
}
