//! Ending a key.

use audit::{Crud, NewEvent, Target};
use kernel::{ApiKeyId, Denied, FieldError, Principal, StoreError, TenantId, UserId, text};
use time::OffsetDateTime;

use super::{ApiKey, read};
use crate::{KeyStore, permissions};

/// Why a key was not ended.
#[derive(Debug, thiserror::Error)]
pub enum RevokeKeyError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The reason breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// There is no such key in this tenant.
    #[error("there is no such key")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Ends a key for good. Ending it again changes nothing and is no error.
///
/// # Errors
/// See [`RevokeKeyError`].
pub fn revoke(
    store: &mut dyn KeyStore,
    id: ApiKeyId,
    reason: Option<String>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<ApiKey, RevokeKeyError> {
    let tenant_id = by.may(&permissions::API_KEY_DELETE)?;
    text::check("reason", reason.as_deref().unwrap_or_default(), 255)?;
    let mut key = read::locked(store, tenant_id, id, by)?.ok_or(RevokeKeyError::NotFound)?;
    if key.revoked_at.is_some() {
        return Ok(key);
    }
    key.revoked_reason = reason.filter(|reason| !reason.trim().is_empty());
    end(store, &mut key, by, now)?;
    Ok(key)
}

/// Ends every usable key that a person made in a tenant which they leave. The caller has settled that they leave.
///
/// # Errors
/// [`StoreError`].
pub fn revoke_of_leaver(
    store: &mut dyn KeyStore,
    tenant_id: TenantId,
    leaver: UserId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    for mut key in store.lock_keys_of(tenant_id, leaver)? {
        key.revoked_reason = Some("its creator left the tenant".to_owned());
        end(store, &mut key, by, now)?;
    }
    Ok(())
}

fn end(
    store: &mut dyn KeyStore,
    key: &mut ApiKey,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    key.revoked_at = Some(now);
    store.update_key(key)?;
    let target = Target::new("api_key", key.id, key.name.as_str());
    let mut event = NewEvent::new(
        key.tenant_id,
        "api_key.revoked",
        Crud::Delete,
        target,
        by,
        now,
    )
    .field("prefix", key.prefix());
    event.description.clone_from(&key.revoked_reason);
    store.record(event)
}
