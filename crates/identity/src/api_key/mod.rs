//! API keys: what a tenant's programs sign in with.
//!
//! A key belongs to one tenant, and to one of its projects when it says so. It may do what its scopes say **and** its creator may do at
//! this moment: a key never exceeds its creator, neither when it is made nor later. Nor does it outlive the key that makes it: it ends with
//! it when it names no end of its own, and may not name a later one.

mod create;
mod read;
mod revoke;
mod rotate;
mod verify;

use kernel::{
    ApiKeyId, EnvironmentId, FieldError, Name, Permission, PermissionSet, ProjectId, TenantId,
    TenantStatus, UserId,
};
use time::OffsetDateTime;

pub use self::{
    create::{CreateKeyError, EnvironmentRef, NewKey, create},
    read::{ReadKeyError, get, is_visible, list},
    revoke::{RevokeKeyError, revoke, revoke_of_leaver},
    rotate::{MAX_OVERLAP, RotateKeyError, rotate},
    verify::{Verification, VerifyCode, VerifyKeyError, judge},
};
use crate::{KeyHash, KeyMode, key_text, permissions};

/// Most scopes of one key.
const MAX_SCOPES: usize = 100;

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What people call it; no two usable keys of a tenant share a name.
    pub name: Name,
    /// Its public name: what it is looked up by.
    pub key_id: String,
    /// What it is for.
    pub mode: KeyMode,
    /// The most it may do. Nothing, when empty.
    pub scopes: PermissionSet,
    /// The only project it may touch.
    pub project_id: Option<ProjectId>,
    /// The environment it is for.
    pub environment_id: Option<EnvironmentId>,
    /// Who made it; `None` for Plinth itself.
    pub created_by: Option<UserId>,
    /// When it ends by itself.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was ended.
    pub revoked_at: Option<OffsetDateTime>,
    /// Why.
    pub revoked_reason: Option<String>,
    /// Set when another key has taken its place: until then it still works.
    pub overlap_until: Option<OffsetDateTime>,
    /// The key whose place it took.
    pub rotated_from: Option<ApiKeyId>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It works.
    Live,
    /// Somebody ended it, or another key took its place for good.
    Revoked,
    /// Its time is over.
    Expired,
}

impl ApiKey {
    /// Whether it works at `now`.
    #[must_use]
    pub fn state(&self, now: OffsetDateTime) -> KeyState {
        let past = |instant: Option<OffsetDateTime>| instant.is_some_and(|instant| instant <= now);
        if self.revoked_at.is_some() || past(self.overlap_until) {
            KeyState::Revoked
        } else if past(self.expires_at) {
            KeyState::Expired
        } else {
            KeyState::Live
        }
    }

    /// When it ends if nobody ends it before; `None` when it goes on for good.
    #[must_use]
    pub fn ends_at(&self) -> Option<OffsetDateTime> {
        [self.expires_at, self.overlap_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// The part of its text that is no secret.
    #[must_use]
    pub fn prefix(&self) -> String {
        key_text::prefix(self.mode, &self.key_id)
    }
}

/// The creator of a key, as they stand now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creator {
    /// Whether they may sign in and are still a member.
    pub is_active: bool,
    /// What they may do in the key's tenant.
    pub permissions: PermissionSet,
}

/// Everything that is needed to sign a key in: found by one question to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key.
    pub key: ApiKey,
    /// What is kept of its text.
    pub hash: KeyHash,
    /// Where its tenant stands.
    pub tenant_status: TenantStatus,
    /// Who made it; `None` for Plinth itself.
    pub creator: Option<Creator>,
}

impl KeyRecord {
    /// Whether it works at `now`. A key whose creator left is as good as revoked.
    #[must_use]
    pub fn state(&self, now: OffsetDateTime) -> KeyState {
        match &self.creator {
            Some(creator) if !creator.is_active => KeyState::Revoked,
            _ => self.key.state(now),
        }
    }

    /// What its scopes and its creator allow now. A key of one project may do less: see [`kernel::Grant::allows`].
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        match &self.creator {
            Some(creator) => self.key.scopes.intersection(&creator.permissions),
            None => self.key.scopes.clone(),
        }
    }
}

/// Reads the `scopes` of a new key: codes, wildcards, and the aliases of older systems.
///
/// # Errors
/// `unknown_scope` or `too_many` on `scopes` or one of its items.
pub fn parse_scopes(scopes: &[String]) -> Result<PermissionSet, FieldError> {
    if scopes.len() > MAX_SCOPES {
        return Err(FieldError::new(
            "scopes",
            "too_many",
            "must be at most 100 scopes",
        ));
    }
    let parse = |text: &String| {
        Permission::parse(text)
            .filter(permissions::is_known)
            .ok_or_else(|| {
                FieldError::new(
                    "scopes",
                    "unknown_scope",
                    "must be permission codes, such as project.read: see GET /v1/permissions",
                )
            })
    };
    scopes.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

    fn set(codes: &[&str]) -> PermissionSet {
        codes
            .iter()
            .map(|code| Permission::parse(code).unwrap())
            .collect()
    }

    fn key() -> ApiKey {
        ApiKey {
            id: ApiKeyId::new(NOW),
            tenant_id: TenantId::new(NOW),
            name: Name::stored("ci".into()),
            key_id: "0123456789abcdef".into(),
            mode: KeyMode::Live,
            scopes: set(&["project.*"]),
            project_id: None,
            environment_id: None,
            created_by: Some(UserId::new(NOW)),
            expires_at: Some(NOW + Duration::days(2)),
            revoked_at: None,
            revoked_reason: None,
            overlap_until: None,
            rotated_from: None,
            last_used_at: None,
            created_at: NOW,
        }
    }

    #[test]
    fn a_key_ends_by_time_by_revocation_and_by_rotation() {
        let mut key = key();
        assert_eq!(key.state(NOW), KeyState::Live);
        assert_eq!(key.state(NOW + Duration::days(2)), KeyState::Expired);
        assert_eq!(key.ends_at(), Some(NOW + Duration::days(2)));
        key.overlap_until = Some(NOW + Duration::days(1));
        assert_eq!(key.ends_at(), Some(NOW + Duration::days(1)));
        assert_eq!(key.state(NOW), KeyState::Live);
        assert_eq!(key.state(NOW + Duration::days(1)), KeyState::Revoked);
        key.revoked_at = Some(NOW);
        assert_eq!(key.state(NOW), KeyState::Revoked);
    }

    #[test]
    fn a_key_never_exceeds_what_its_creator_may_do_now() {
        let record = |creator| KeyRecord {
            key: key(),
            hash: KeyHash::Argon2id(crate::PasswordHash::stored(String::new())),
            tenant_status: TenantStatus::Active,
            creator,
        };
        let reader = record(Some(Creator {
            is_active: true,
            permissions: set(&["*.read"]),
        }));
        let create = Permission::of("project.create");
        assert!(!reader.permissions().allows(&create));
        assert!(record(None).permissions().allows(&create));
        let gone = record(Some(Creator {
            is_active: false,
            permissions: set(&["*"]),
        }));
        assert_eq!(gone.state(NOW), KeyState::Revoked);
    }

    #[test]
    fn scopes_are_codes_of_the_catalogue() {
        let scopes = |texts: &[&str]| {
            parse_scopes(
                &texts
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            scopes(&["org:*", "read"]).unwrap(),
            set(&["tenant.*", "*.read"])
        );
        assert!(scopes(&[]).unwrap().is_empty());
        for bad in ["rocket.fly", "nonsense", "", "project.read; drop"] {
            let error = scopes(&["project.read", bad]).unwrap_err();
            assert_eq!((&*error.field, error.code), ("scopes", "unknown_scope"));
        }
        assert_eq!(scopes(&["read"; 101]).unwrap_err().code, "too_many");
    }
}
