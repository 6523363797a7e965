//! Looking at keys. The secret is nowhere to be read.

use kernel::{
    ApiKeyId, Denied, FieldError, Page, PageRequest, Principal, ProjectId, StoreError, TenantId,
    page,
};

use super::ApiKey;
use crate::{KeyStore, permissions};

/// Why keys were not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeyError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A parameter breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// There is no such key in this tenant.
    #[error("there is no such key")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page of the tenant's keys, newest first, ended ones included.
///
/// # Errors
/// See [`ReadKeyError`].
pub fn list(
    store: &mut dyn KeyStore,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<ApiKey>, ReadKeyError> {
    let tenant_id = by.may(&permissions::API_KEY_READ)?;
    let after: Option<(i128, ApiKeyId)> = page.key()?;
    let after = after
        .map(|(nanos, id)| page::instant(nanos).map(|at| (at, id)))
        .transpose()?;
    let rows = store.keys(tenant_id, held_to(by), page, after)?;
    Ok(Page::from_rows(rows, page.limit, |key| {
        (key.created_at.unix_timestamp_nanos(), key.id)
    }))
}

/// One key.
///
/// # Errors
/// See [`ReadKeyError`].
pub fn get(store: &mut dyn KeyStore, id: ApiKeyId, by: &Principal) -> Result<ApiKey, ReadKeyError> {
    let tenant_id = by.may(&permissions::API_KEY_READ)?;
    visible(store.key(tenant_id, id)?, by).ok_or(ReadKeyError::NotFound)
}

/// The one project that the principal is held to.
fn held_to(by: &Principal) -> Option<ProjectId> {
    by.grant.as_ref().and_then(|grant| grant.project_id)
}

/// A key, unless it is outside of the project that the principal is held to.
pub(super) fn visible(key: Option<ApiKey>, by: &Principal) -> Option<ApiKey> {
    key.filter(|key| is_visible(key, by))
}

/// Whether a key of the principal's tenant is inside of the project that the principal is held to, if it is held to one.
#[must_use]
pub fn is_visible(key: &ApiKey, by: &Principal) -> bool {
    let project_id = held_to(by);
    project_id.is_none() || key.project_id == project_id
}

/// The same for a key that is about to change, locked until the transaction ends.
pub(super) fn locked(
    store: &mut dyn KeyStore,
    tenant_id: TenantId,
    id: ApiKeyId,
    by: &Principal,
) -> Result<Option<ApiKey>, StoreError> {
    Ok(visible(store.lock_key(tenant_id, id)?, by))
}
