//! Telling another service whether a key is good, and for what.

use kernel::{
    ApiKeyId, Denied, FieldError, PermissionSet, StoreError, TenantId, principal::allowed,
};
use time::OffsetDateTime;

use super::{KeyRecord, KeyState};
use crate::{HasherError, PermissionQuery};

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyCode {
    /// The key is good for this.
    Valid,
    /// No key of the caller's tenant has this text.
    NotFound,
    /// The key was ended.
    Revoked,
    /// The key's time is over.
    Expired,
    /// The key is good, but not for this.
    InsufficientPermissions,
}

impl VerifyCode {
    /// The code as the wire writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::NotFound => "NOT_FOUND",
            Self::Revoked => "REVOKED",
            Self::Expired => "EXPIRED",
            Self::InsufficientPermissions => "INSUFFICIENT_PERMISSIONS",
        }
    }
}

/// The whole answer. What is known of the key is said only when it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The answer in one word.
    pub code: VerifyCode,
    /// The key's tenant, its id, and what it may do now.
    pub key: Option<(TenantId, ApiKeyId, PermissionSet)>,
}

impl Verification {
    /// Nothing is known of such a key.
    pub const NOT_FOUND: Self = Self {
        code: VerifyCode::NotFound,
        key: None,
    };
}

/// Why no answer was given.
#[derive(Debug, thiserror::Error)]
pub enum VerifyKeyError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The expression breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// An imported key could not be hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Judges a key whose text has been found right.
#[must_use]
pub fn judge(
    record: &KeyRecord,
    wanted: Option<&PermissionQuery>,
    now: OffsetDateTime,
) -> Verification {
    let permissions = allowed(record.permissions(), record.key.project_id);
    let code = match record.state(now) {
        KeyState::Revoked => VerifyCode::Revoked,
        KeyState::Expired => VerifyCode::Expired,
        KeyState::Live if wanted.is_some_and(|wanted| !wanted.allows(&permissions)) => {
            VerifyCode::InsufficientPermissions
        }
        KeyState::Live => VerifyCode::Valid,
    };
    Verification {
        code,
        key: Some((record.key.tenant_id, record.key.id, permissions)),
    }
}
