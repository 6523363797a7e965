//! Putting a new key in the place of another.

use audit::{Crud, NewEvent, Target};
use kernel::{ApiKeyId, Denied, FieldError, Permission, Principal, StoreError};
use time::{Duration, OffsetDateTime};

use super::{
    ApiKey, KeyState,
    create::{end_of_maker, exceeding},
    read,
};
use crate::{KeyHash, KeyStore, KeyText, permissions};

/// How long the old key may go on at most.
pub const MAX_OVERLAP: Duration = Duration::days(30);

/// Why a key was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateKeyError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The overlap breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// There is no such key in this tenant.
    #[error("there is no such key")]
    NotFound,
    /// It has ended, or another key has its place already.
    #[error("the key has ended or was rotated before")]
    NotLive,
    /// The principal would get a key that may do more than they.
    #[error("the scope {0} exceeds what its creator may do")]
    ExceedsCreator(Permission),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a key like `id` out of `text`. The old one works on for `overlap_seconds`, 0 to 2,592,000. A key that rotates another gives the new
/// one no more time than it has itself.
///
/// # Errors
/// See [`RotateKeyError`].
pub fn rotate(
    store: &mut dyn KeyStore,
    id: ApiKeyId,
    overlap_seconds: i64,
    text: impl FnOnce(&ApiKey) -> (KeyText, KeyHash),
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(ApiKey, KeyText), RotateKeyError> {
    let tenant_id = by.may(&permissions::API_KEY_WRITE)?;
    if !(0..=MAX_OVERLAP.whole_seconds()).contains(&overlap_seconds) {
        let message = "must be between 0 and 2592000";
        return Err(FieldError::new("overlap_seconds", "out_of_range", message).into());
    }
    let old = read::locked(store, tenant_id, id, by)?.ok_or(RotateKeyError::NotFound)?;
    if old.state(now) != KeyState::Live || old.overlap_until.is_some() {
        return Err(RotateKeyError::NotLive);
    }
    if let Some(code) = exceeding(by, &old.scopes) {
        return Err(RotateKeyError::ExceedsCreator(code));
    }
    let ends = [old.expires_at, end_of_maker(store, by)?];
    let (text, hash) = text(&old);
    let new = ApiKey {
        id: ApiKeyId::new(now),
        key_id: text.key_id().to_owned(),
        created_by: by.user_id,
        expires_at: ends.into_iter().flatten().min(),
        rotated_from: Some(old.id),
        last_used_at: None,
        created_at: now,
        ..old.clone()
    };
    // The old key gives up its name before the new one takes it.
    store.update_key(&retired(old, overlap_seconds, now))?;
    store.insert_key(&new, &hash)?;
    let target = Target::new("api_key", id, new.name.as_str());
    let event = NewEvent::new(tenant_id, "api_key.rotated", Crud::Update, target, by, now)
        .field("replaced_by", new.id)
        .field("prefix", new.prefix())
        .field("overlap_seconds", overlap_seconds);
    store.record(event)?;
    Ok((new, text))
}

fn retired(mut old: ApiKey, overlap_seconds: i64, now: OffsetDateTime) -> ApiKey {
    if overlap_seconds == 0 {
        old.revoked_at = Some(now);
        old.revoked_reason = Some("rotated".to_owned());
    } else {
        old.overlap_until = Some(now + Duration::seconds(overlap_seconds));
    }
    old
}
