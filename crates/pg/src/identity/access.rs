//! What the database knows of somebody who signs in.

use diesel::{
    OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use identity::{AccessQuery, MemberAccess, UserAccess};
use kernel::{StoreError, TenantId, TenantStatus, UserId};
use uuid::Uuid;

use super::{people::UserRow, permission_set};
use crate::{
    error::{store_error, unreadable},
    prepared::Prepared,
};

#[derive(QueryableByName)]
struct AccessRow {
    #[diesel(embed)]
    user: UserRow,
    #[diesel(sql_type = Bool)]
    session_is_live: bool,
    #[diesel(sql_type = Array<Text>)]
    global_permissions: Vec<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    claimed_tenant_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    tenant_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    tenant_status: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    roles: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    permissions: Vec<String>,
}

const ACCESS: &str =
    "select id, email, email_verified, name, status, last_tenant_id, created_at, session_is_live, global_permissions,
         claimed_tenant_id, tenant_id, tenant_status, roles, permissions
     from app.access_of_user($1, $2, $3, $4, $5, $6, $7, $8, $9)";

pub(super) fn find(
    conn: &mut PgConnection,
    query: &AccessQuery,
) -> Result<Option<UserAccess>, StoreError> {
    let org = query.org.as_ref();
    let query = Prepared(
        sql_query(ACCESS)
            .bind::<Nullable<SqlUuid>, _>(query.user_id.map(UserId::as_uuid))
            .bind::<Text, _>(&query.identity.issuer)
            .bind::<Text, _>(&query.identity.subject)
            .bind::<Nullable<SqlUuid>, _>(query.session_id.map(kernel::SessionId::as_uuid))
            .bind::<Nullable<SqlUuid>, _>(query.tenant_id.map(TenantId::as_uuid))
            .bind::<Nullable<Text>, _>(org.map(|org| org.kind))
            .bind::<Nullable<Text>, _>(org.and_then(|org| org.id.as_deref()))
            .bind::<Nullable<Text>, _>(org.and_then(|org| org.slug.as_deref()))
            .bind::<Timestamptz, _>(query.now),
    );
    let row: Option<AccessRow> = query.get_result(conn).optional().map_err(store_error)?;
    row.map(AccessRow::read).transpose()
}

impl AccessRow {
    fn read(self) -> Result<UserAccess, StoreError> {
        let membership = match (self.tenant_id, self.tenant_status) {
            (Some(tenant_id), Some(status)) => Some(MemberAccess {
                tenant_id: tenant_id.into(),
                tenant_status: tenant_status(&status)?,
                roles: self.roles,
                permissions: permission_set(self.permissions),
            }),
            _ => None,
        };
        Ok(UserAccess {
            user: self.user.read()?,
            session_is_live: self.session_is_live,
            global: permission_set(self.global_permissions),
            claimed_tenant_id: self.claimed_tenant_id.map(TenantId::from),
            membership,
        })
    }
}

pub(super) fn tenant_status(text: &str) -> Result<TenantStatus, StoreError> {
    TenantStatus::parse(text).ok_or_else(|| unreadable("tenants.status", text))
}
