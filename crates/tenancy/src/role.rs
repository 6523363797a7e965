//! What a role allows. Roles of the system are the same everywhere; a tenant may add its own.

use kernel::{
    Denied, FieldError, Permission, PermissionSet, Principal, StoreError, TenantId, text,
};
use serde::Serialize;

use crate::{MemberStore, Store, membership::ListError, permissions};

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its key, such as `developer`.
    pub key: String,
    /// Its name.
    pub name: String,
    /// `tenant`, `project` or `global`.
    pub scope: String,
    /// What it allows.
    pub permissions: PermissionSet,
    /// Whether every tenant has it.
    pub is_system: bool,
}

/// A code of the permission catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PermissionInfo {
    /// The code.
    pub code: String,
    /// What it allows, in words.
    pub description: String,
}

/// Why a role cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The tenant has no such role.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// It allows something that the one who gives it may not do.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The role `key`, if `by` may give it: nobody gives what they do not have.
///
/// # Errors
/// `unknown_role`, `too_long` or `control_character` on `field`; [`Denied::Forbidden`] with the first permission that `by` lacks.
pub fn grantable(
    store: &mut dyn Store,
    tenant_id: TenantId,
    field: &'static str,
    key: &str,
    by: &Principal,
) -> Result<Role, GrantError> {
    text::check(field, key, 255)?;
    let role = store
        .role(tenant_id, key)?
        .filter(|role| role.scope == "tenant")
        .ok_or_else(|| {
            FieldError::new(
                field,
                "unknown_role",
                "must be the key of a role of this tenant",
            )
        })?;
    let held = by
        .grant
        .as_ref()
        .map(|grant| &grant.permissions)
        .ok_or(Denied::NoTenant)?;
    match held.first_missing(&role.permissions) {
        None => Ok(role),
        Some(missing) => Err(Denied::Forbidden {
            required: missing.clone(),
        }
        .into()),
    }
}

macro_rules! from_grant_error {
    ($($error:ty),+) => {$(
        impl From<GrantError> for $error {
            fn from(error: GrantError) -> Self {
                match error {
                    GrantError::Invalid(error) => Self::Invalid(error),
                    GrantError::Denied(error) => Self::Denied(error),
                    GrantError::Store(error) => Self::Store(error),
                }
            }
        }
    )+};
}
from_grant_error!(
    crate::membership::ChangeMemberError,
    crate::invitation::InviteError
);

/// The roles that can be given in the tenant, by key.
///
/// # Errors
/// See [`ListError`].
pub fn list(store: &mut dyn MemberStore, by: &Principal) -> Result<Vec<Role>, ListError> {
    let tenant_id = by.may(&permissions::ROLE_READ)?;
    Ok(store.roles(tenant_id)?)
}

/// The permission catalogue, by code. Everybody who is signed in may read it.
///
/// # Errors
/// See [`ListError`].
pub fn catalogue(store: &mut dyn MemberStore) -> Result<Vec<PermissionInfo>, ListError> {
    Ok(store.permission_catalogue()?)
}

/// A set of codes as a store holds them. Codes that are not written like one are dropped: they allow nothing.
#[must_use]
pub fn stored_permissions(codes: &[String]) -> PermissionSet {
    codes
        .iter()
        .filter_map(|code| Permission::parse(code))
        .collect()
}
