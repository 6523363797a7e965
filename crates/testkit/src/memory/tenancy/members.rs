//! Members in memory.

use std::collections::BTreeSet;

use kernel::{StoreError, TenantId, TenantStatus, UserId};
use tenancy::{Member, MemberStore, Membership, PermissionInfo, Role};
use time::OffsetDateTime;

use super::roles;
use crate::memory::{MemoryTx, conflict, must_exist};

/// Where a member stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::memory) enum Standing {
    Active,
    Suspended,
    /// A tombstone.
    Removed,
}

#[derive(Clone)]
pub(in crate::memory) struct MemberRow {
    pub(in crate::memory) standing: Standing,
    pub(in crate::memory) joined_at: OffsetDateTime,
    pub(in crate::memory) roles: BTreeSet<String>,
}

impl MemberRow {
    pub(in crate::memory) fn is_active(&self) -> bool {
        self.standing == Standing::Active
    }

    fn is_owner(&self) -> bool {
        self.is_active() && self.roles.contains("owner")
    }
}

impl MemoryTx {
    /// A person's membership, if it is active, whatever the scope.
    pub(in crate::memory) fn active_member(
        &self,
        tenant_id: TenantId,
        user: UserId,
    ) -> Option<&MemberRow> {
        let row = self.tables.tenancy.memberships.get(&(tenant_id, user));
        row.filter(|row| row.is_active())
    }

    /// Whether a person is a member who was not removed, whatever the scope.
    pub(in crate::memory) fn has_member(&self, tenant_id: TenantId, user: UserId) -> bool {
        let row = self.tables.tenancy.memberships.get(&(tenant_id, user));
        row.is_some_and(|row| row.standing != Standing::Removed)
    }

    /// Memberships of the tenant in scope.
    pub(super) fn member_rows(
        &self,
        tenant_id: TenantId,
    ) -> impl Iterator<Item = (UserId, &MemberRow)> {
        let rows = self.tables.tenancy.memberships.iter();
        rows.filter(move |((tenant, _), _)| *tenant == tenant_id && self.sees(tenant_id))
            .map(|((_, user), row)| (*user, row))
    }

    /// Members who were not removed, by id.
    fn current_members(&self, tenant_id: TenantId) -> impl Iterator<Item = Member> {
        self.member_rows(tenant_id).filter_map(|(user_id, row)| {
            let status = match row.standing {
                Standing::Active => "active",
                Standing::Suspended => "suspended",
                Standing::Removed => return None,
            };
            let user = self.tables.identity.users.get(&user_id)?;
            Some(Member {
                user_id,
                email: user.email.as_str().to_owned(),
                name: user.name.as_ref().map(|name| name.as_str().to_owned()),
                status: status.to_owned(),
                roles: row.roles.iter().cloned().collect(),
                joined_at: row.joined_at,
            })
        })
    }

    /// A membership of the tenant in scope, removed or not, to be changed.
    fn own_member(&mut self, tenant_id: TenantId, user: UserId) -> Option<&mut MemberRow> {
        if !self.sees(tenant_id) {
            return None;
        }
        self.tables.tenancy.memberships.get_mut(&(tenant_id, user))
    }

    /// A tenant keeps at least one active owner; checked when the transaction ends, so that a transfer may pass through none.
    pub(in crate::memory) fn check_owners(&self) -> Result<(), StoreError> {
        let tables = &self.tables.tenancy;
        let has_owner = |id: TenantId| {
            let mut rows = tables.memberships.iter();
            rows.any(|((tenant, _), row)| *tenant == id && row.is_owner())
        };
        let needs_owner = |id: TenantId| {
            let status = tables.tenants.get(&id).map(|tenant| tenant.status);
            !matches!(
                status,
                None | Some(
                    TenantStatus::Archived
                        | TenantStatus::Deleted
                        | TenantStatus::Provisioning
                        | TenantStatus::Demo
                )
            )
        };
        let mut changed = self.changed_members.iter();
        match changed.any(|id| needs_owner(*id) && !has_owner(*id)) {
            true => Err(conflict("tenant_has_an_owner")),
            false => Ok(()),
        }
    }
}

impl MemberStore for MemoryTx {
    fn memberships_of(&mut self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        if self.scope.user_id != Some(user) {
            return Ok(Vec::new());
        }
        let tables = &self.tables.tenancy;
        let own = tables.memberships.iter().filter(|((_, of), _)| *of == user);
        let mut own: Vec<_> = own
            .filter(|(_, row)| row.is_active())
            .filter_map(|((id, _), row)| Some((tables.tenants.get(id)?, row)))
            .filter(|(tenant, _)| tenant.status != TenantStatus::Deleted)
            .collect();
        own.sort_by_key(|(tenant, row)| (row.joined_at, tenant.id));
        let memberships = own.into_iter().map(|(tenant, row)| Membership {
            tenant: tenant.clone(),
            roles: row.roles.iter().cloned().collect(),
            permissions: self.member_permissions(tenant.id, user),
        });
        Ok(memberships.collect())
    }

    fn put_membership(
        &mut self,
        tenant_id: TenantId,
        user: UserId,
        roles: &[String],
        _invited_by: Option<UserId>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        self.must_see(tenant_id)?;
        let tables = &self.tables;
        must_exist(
            tables.tenancy.tenants.contains_key(&tenant_id),
            "memberships_tenant_id_fkey",
        )?;
        must_exist(
            tables.identity.users.contains_key(&user),
            "memberships_user_id_fkey",
        )?;
        if let Some(row) = self.own_member(tenant_id, user) {
            row.standing = Standing::Active;
            row.joined_at = now;
            self.changed_members.insert(tenant_id);
        } else {
            let row = MemberRow {
                standing: Standing::Active,
                joined_at: now,
                roles: BTreeSet::new(),
            };
            let rows = &mut self.tables.tenancy.memberships;
            rows.insert((tenant_id, user), row);
        }
        self.set_member_roles(tenant_id, user, roles)
    }

    fn member(&mut self, tenant_id: TenantId, user: UserId) -> Result<Option<Member>, StoreError> {
        Ok(self
            .current_members(tenant_id)
            .find(|member| member.user_id == user))
    }

    fn members(
        &mut self,
        tenant_id: TenantId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        let members = self.current_members(tenant_id);
        let behind = members.filter(|member| after.is_none_or(|after| member.user_id > after));
        Ok(behind.take(limit as usize + 1).collect())
    }

    fn is_member(&mut self, tenant_id: TenantId, email: &str) -> Result<bool, StoreError> {
        let mut members = self.current_members(tenant_id);
        Ok(members.any(|member| member.email == email))
    }

    fn count_owners(&mut self, tenant_id: TenantId) -> Result<i64, StoreError> {
        let rows = self.member_rows(tenant_id);
        Ok(rows.map(|(_, row)| i64::from(row.is_owner())).sum())
    }

    fn set_member_roles(
        &mut self,
        tenant_id: TenantId,
        user: UserId,
        roles: &[String],
    ) -> Result<(), StoreError> {
        let roles: BTreeSet<String> = roles.iter().cloned().collect();
        if !roles.is_empty() {
            self.must_see(tenant_id)?;
            must_exist(
                self.tables
                    .tenancy
                    .memberships
                    .contains_key(&(tenant_id, user)),
                "membership_roles_tenant_id_user_id_fkey",
            )?;
        }
        if let Some(row) = self.own_member(tenant_id, user) {
            let loses_any = !row.roles.is_subset(&roles);
            row.roles = roles;
            if loses_any {
                self.changed_members.insert(tenant_id);
            }
        }
        Ok(())
    }

    fn remove_membership(&mut self, tenant_id: TenantId, user: UserId) -> Result<(), StoreError> {
        if let Some(row) = self.own_member(tenant_id, user) {
            row.standing = Standing::Removed;
            row.roles.clear();
            self.changed_members.insert(tenant_id);
        }
        Ok(())
    }

    fn role(&mut self, tenant_id: TenantId, key: &str) -> Result<Option<Role>, StoreError> {
        let role = self.role_of(tenant_id, key);
        Ok(role
            .filter(|role| role.is_system || self.sees(tenant_id))
            .cloned())
    }

    fn roles(&mut self, tenant_id: TenantId) -> Result<Vec<Role>, StoreError> {
        let custom = self.tables.tenancy.custom_roles.iter();
        let own = custom.filter(|((tenant, _), _)| *tenant == tenant_id && self.sees(tenant_id));
        Ok(roles::all(own.map(|(_, role)| role)))
    }

    fn permission_catalogue(&mut self) -> Result<Vec<PermissionInfo>, StoreError> {
        Ok(roles::catalogue())
    }
}
