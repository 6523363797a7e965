//! A person in a tenant, with roles.

use audit::{Crud, NewEvent, Target};
use kernel::{
    Denied, FieldError, Page, PageRequest, PermissionSet, Principal, StoreError, TenantId, UserId,
};
use time::OffsetDateTime;

use crate::{MemberStore, Store, Tenant, permissions, role};

/// One of a person's tenants, and what they may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant: Tenant,
    /// Keys of the person's roles there.
    pub roles: Vec<String>,
    /// What the roles allow.
    pub permissions: PermissionSet,
}

/// One of a tenant's people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The person.
    pub user_id: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Their name, when they gave one.
    pub name: Option<String>,
    /// `active` or `suspended`.
    pub status: String,
    /// Keys of their roles.
    pub roles: Vec<String>,
    /// When they joined.
    pub joined_at: OffsetDateTime,
}

impl Member {
    fn is_owner(&self) -> bool {
        self.roles.iter().any(|role| role == "owner")
    }

    fn target(&self) -> Target {
        Target::new("user", self.user_id, &self.email)
    }
}

/// Why a member was not changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeMemberError {
    /// The person is no member of the tenant.
    #[error("there is no such member")]
    NotFound,
    /// The tenant would be left without an owner.
    #[error("the tenant would be left without an owner")]
    LastOwner,
    /// A role does not exist, or none was named.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes `user` a member with `roles`. For use cases that have settled who may join: creating a tenant, accepting an invitation.
///
/// # Errors
/// [`StoreError`].
pub fn add(
    store: &mut dyn Store,
    tenant_id: TenantId,
    user: UserId,
    roles: &[String],
    invited_by: Option<UserId>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    store.put_membership(tenant_id, user, roles, invited_by, now)?;
    store.record(
        NewEvent::new(
            tenant_id,
            "member.added",
            Crud::Create,
            Target::new("user", user, by.name.as_str()),
            by,
            now,
        )
        .field("roles", roles.join(",")),
    )
}

/// Gives a member other roles.
///
/// # Errors
/// See [`ChangeMemberError`].
pub fn set_roles(
    store: &mut dyn Store,
    user: UserId,
    roles: &[String],
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Member, ChangeMemberError> {
    let tenant_id = by.may(&permissions::MEMBER_WRITE)?;
    if roles.is_empty() {
        return Err(FieldError::new("roles", "required", "must name at least one role").into());
    }
    for key in roles {
        role::grantable(store, tenant_id, "roles", key, by)?;
    }
    let before = locked_member(store, tenant_id, user)?;
    // Taking a role away is a use of power like giving one: whoever outranks you keeps their rank.
    for key in &before.roles {
        role::grantable(store, tenant_id, "roles", key, by)?;
    }
    let mut after = before.clone();
    after.roles = roles.to_vec();
    after.roles.sort();
    after.roles.dedup();
    if after.roles == before.roles {
        return Ok(before);
    }
    if before.is_owner() && !after.is_owner() {
        keep_an_owner(store, tenant_id)?;
    }
    store.set_member_roles(tenant_id, user, &after.roles)?;
    store.record(
        NewEvent::new(
            tenant_id,
            "member.roles_changed",
            Crud::Update,
            after.target(),
            by,
            now,
        )
        .changed("roles", before.roles.join(","), after.roles.join(",")),
    )?;
    Ok(after)
}

/// Removes a member; anybody may remove themselves.
///
/// # Errors
/// See [`ChangeMemberError`].
pub fn remove(
    store: &mut dyn Store,
    user: UserId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Member, ChangeMemberError> {
    let leaving = by.user_id == Some(user) && by.kind == kernel::PrincipalKind::User;
    let tenant_id = if leaving {
        by.may_change_themselves()?
    } else {
        by.may(&permissions::USER_REMOVE)?
    };
    let member = locked_member(store, tenant_id, user)?;
    if !leaving {
        for key in &member.roles {
            role::grantable(store, tenant_id, "user_id", key, by)?;
        }
    }
    if member.is_owner() {
        keep_an_owner(store, tenant_id)?;
    }
    store.remove_membership(tenant_id, user)?;
    store.record(NewEvent::new(
        tenant_id,
        "member.removed",
        Crud::Delete,
        member.target(),
        by,
        now,
    ))?;
    Ok(member)
}

/// The tenant's lock makes two owners who leave at once take turns.
fn locked_member(
    store: &mut dyn Store,
    tenant_id: TenantId,
    user: UserId,
) -> Result<Member, ChangeMemberError> {
    store.tenant_for_update(tenant_id)?;
    store
        .member(tenant_id, user)?
        .ok_or(ChangeMemberError::NotFound)
}

fn keep_an_owner(store: &mut dyn Store, tenant_id: TenantId) -> Result<(), ChangeMemberError> {
    if store.count_owners(tenant_id)? <= 1 {
        Err(ChangeMemberError::LastOwner)
    } else {
        Ok(())
    }
}

/// Why a list was not read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A parameter breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page of the tenant's members, by id.
///
/// # Errors
/// See [`ListError`].
pub fn list(
    store: &mut dyn MemberStore,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<Member>, ListError> {
    let tenant_id = by.may(&permissions::MEMBER_READ)?;
    let rows = store.members(tenant_id, page.key()?, page.limit)?;
    Ok(Page::from_rows(rows, page.limit, |member| member.user_id))
}
