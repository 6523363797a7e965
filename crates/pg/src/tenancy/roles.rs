//! Roles of the system and of tenants, and the permission catalogue.

use diesel::prelude::*;
use kernel::{StoreError, TenantId};
use pg_schema::schema::{custom_roles, permissions, system_roles};
use tenancy::{PermissionInfo, Role, role::stored_permissions};

use crate::error::store_error;

pub(super) fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &str,
) -> Result<Option<Role>, StoreError> {
    let system = system_roles::table
        .find(key)
        .select(SystemRow::as_select())
        .first(conn)
        .optional()
        .map_err(store_error)?;
    if let Some(row) = system {
        return Ok(Some(row.into()));
    }
    custom_roles::table
        .filter(custom_roles::tenant_id.eq(tenant_id.as_uuid()))
        .filter(custom_roles::key.eq(key))
        .select(CustomRow::as_select())
        .first(conn)
        .optional()
        .map(|row| row.map(Role::from))
        .map_err(store_error)
}

pub(super) fn all(conn: &mut PgConnection, tenant_id: TenantId) -> Result<Vec<Role>, StoreError> {
    let system = system_roles::table
        .filter(system_roles::scope.ne("global"))
        .select(SystemRow::as_select())
        .load(conn)
        .map_err(store_error)?;
    let custom = custom_roles::table
        .filter(custom_roles::tenant_id.eq(tenant_id.as_uuid()))
        .select(CustomRow::as_select())
        .load(conn)
        .map_err(store_error)?;
    let mut roles: Vec<Role> = system
        .into_iter()
        .map(Role::from)
        .chain(custom.into_iter().map(Role::from))
        .collect();
    roles.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(roles)
}

pub(super) fn catalogue(conn: &mut PgConnection) -> Result<Vec<PermissionInfo>, StoreError> {
    let rows: Vec<(String, String)> = permissions::table
        .select((permissions::code, permissions::description))
        .order(permissions::code)
        .load(conn)
        .map_err(store_error)?;
    Ok(rows
        .into_iter()
        .map(|(code, description)| PermissionInfo { code, description })
        .collect())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = system_roles, check_for_backend(diesel::pg::Pg))]
struct SystemRow {
    key: String,
    name: String,
    scope: String,
    permissions: Vec<String>,
}

impl From<SystemRow> for Role {
    fn from(row: SystemRow) -> Self {
        Self {
            key: row.key,
            name: row.name,
            scope: row.scope,
            permissions: stored_permissions(&row.permissions),
            is_system: true,
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = custom_roles, check_for_backend(diesel::pg::Pg))]
struct CustomRow {
    key: String,
    name: String,
    scope: String,
    permissions: Vec<String>,
}

impl From<CustomRow> for Role {
    fn from(row: CustomRow) -> Self {
        Self {
            key: row.key,
            name: row.name,
            scope: row.scope,
            permissions: stored_permissions(&row.permissions),
            is_system: false,
        }
    }
}
