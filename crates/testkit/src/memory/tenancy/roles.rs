//! Roles of the system and of tenants, and the permission catalogue.

use std::sync::LazyLock;

use kernel::{PermissionSet, TenantId, UserId};
use tenancy::{PermissionInfo, Role, role::stored_permissions};

use crate::memory::MemoryTx;

/// What the migrations fill both catalogues from, so that there is one list of each.
const SEED: &str = include_str!("../../../../../migrations/replaceable/60_tenancy_seed.sql");

static SYSTEM_ROLES: LazyLock<Vec<Role>> = LazyLock::new(|| {
    let rows = rows().filter_map(|row| match *row.as_slice() {
        [key, name, scope, permissions] => Some(system_role(key, name, scope, permissions)),
        _ => None,
    });
    rows.collect()
});

/// The rows of [`SEED`]: quoted texts in brackets, one row a line.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    SEED.lines().filter_map(|line| {
        let row = line.trim().trim_end_matches(',');
        let row = row.strip_prefix("('")?.strip_suffix("')")?;
        Some(row.split("', '").collect())
    })
}

fn system_role(key: &str, name: &str, scope: &str, permissions: &str) -> Role {
    let codes = permissions.trim_matches(['{', '}']).split(',');
    let codes: Vec<String> = codes.map(str::to_owned).collect();
    Role {
        key: key.to_owned(),
        name: name.to_owned(),
        scope: scope.to_owned(),
        permissions: stored_permissions(&codes),
        is_system: true,
    }
}

pub(super) fn catalogue() -> Vec<PermissionInfo> {
    let rows = rows().filter_map(|row| match *row.as_slice() {
        [code, description] => Some(PermissionInfo {
            code: code.to_owned(),
            description: description.to_owned(),
        }),
        _ => None,
    });
    let mut catalogue: Vec<PermissionInfo> = rows.collect();
    catalogue.sort_by(|a, b| a.code.cmp(&b.code));
    catalogue
}

/// The roles that can be given in a tenant: those of the system but for the global ones, and `custom`. By key.
pub(super) fn all<'a>(custom: impl Iterator<Item = &'a Role>) -> Vec<Role> {
    let system = SYSTEM_ROLES.iter().filter(|role| role.scope != "global");
    let mut roles: Vec<Role> = system.chain(custom).cloned().collect();
    roles.sort_by(|a, b| a.key.cmp(&b.key));
    roles
}

fn system(key: &str) -> Option<&'static Role> {
    SYSTEM_ROLES.iter().find(|role| role.key == key)
}

impl MemoryTx {
    /// A role of the system, or of `tenant_id` whatever the scope.
    pub(super) fn role_of(&self, tenant_id: TenantId, key: &str) -> Option<&Role> {
        let custom = || {
            let roles = &self.tables.tenancy.custom_roles;
            roles.get(&(tenant_id, key.to_owned()))
        };
        system(key).or_else(custom)
    }

    /// What a person's roles allow in a tenant, whatever the scope.
    pub(in crate::memory) fn member_permissions(
        &self,
        tenant_id: TenantId,
        user: UserId,
    ) -> PermissionSet {
        let row = self.tables.tenancy.memberships.get(&(tenant_id, user));
        let keys = row.into_iter().flat_map(|row| &row.roles);
        let roles = keys.filter_map(|key| self.role_of(tenant_id, key));
        roles
            .flat_map(|role| role.permissions.iter().cloned())
            .collect()
    }

    /// What a person may do over the whole deployment.
    pub(in crate::memory) fn global_permissions(&self, user: UserId) -> PermissionSet {
        let roles = self.tables.identity.global_roles.iter();
        let keys = roles.filter(|(owner, _)| *owner == user);
        let roles = keys.filter_map(|(_, key)| system(key).filter(|role| role.scope == "global"));
        roles
            .flat_map(|role| role.permissions.iter().cloned())
            .collect()
    }
}
