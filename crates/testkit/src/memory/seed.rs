//! What no port writes, put into memory.

use tenancy::Role;

use super::{Memory, Tables, allowance, tenancy::Standing};
use crate::contract::Seed;

impl Memory {
    /// Adds a row beside the ports: see [`Seed`].
    pub(crate) fn plant(&self, seed: Seed) {
        self.change(|tables| plant(tables, seed));
    }
}

fn plant(tables: &mut Tables, seed: Seed) {
    match seed {
        Seed::Subscription { tenant_id, plan } => allowance::subscribe(tables, tenant_id, plan),
        Seed::CustomRole {
            tenant_id,
            key,
            permissions,
        } => {
            let place = (tenant_id, key.to_owned());
            let role = custom_role(key, permissions);
            tables.tenancy.custom_roles.insert(place, role);
        }
        Seed::GlobalRole { user_id, role } => {
            let row = (user_id, role.to_owned());
            tables.identity.global_roles.insert(row);
        }
        Seed::ExternalRef {
            tenant_id,
            kind,
            name,
        } => {
            let place = (kind.to_owned(), name.to_owned());
            tables.tenancy.external_refs.insert(place, tenant_id);
        }
        Seed::UserStatus { user_id, status } => {
            if let Some(user) = tables.identity.users.get_mut(&user_id) {
                user.status = status;
            }
        }
        Seed::Suspension { tenant_id, user_id } => {
            let members = &mut tables.tenancy.memberships;
            if let Some(row) = members.get_mut(&(tenant_id, user_id)) {
                row.standing = Standing::Suspended;
            }
        }
    }
}

fn custom_role(key: &str, permissions: &[&str]) -> Role {
    let codes: Vec<String> = permissions.iter().map(|code| (*code).to_owned()).collect();
    Role {
        key: key.to_owned(),
        name: key.to_owned(),
        scope: "tenant".to_owned(),
        permissions: tenancy::role::stored_permissions(&codes),
        is_system: false,
    }
}
