//! Members.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use kernel::{StoreError, TenantId, UserId};
use pg_schema::schema::{membership_roles, memberships};
use tenancy::{Member, MemberStore, Membership, PermissionInfo, Role, role::stored_permissions};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{roles, tenants::TenantRow};
use crate::{PgTx, error::store_error};

/// A member with their address and roles. `$1` is the tenant.
const MEMBERS: &str = "
select m.user_id, u.email, u.name, m.status, m.joined_at,
       array(select r.role_key from membership_roles r
             where r.tenant_id = m.tenant_id and r.user_id = m.user_id order by r.role_key) as roles
from memberships m join users u on u.id = m.user_id
where m.tenant_id = $1 and m.status <> 'removed'";

impl MemberStore for PgTx {
    fn memberships_of(&mut self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        let rows = sql_query("select * from app.memberships_of($1)")
            .bind::<SqlUuid, _>(user.as_uuid())
            .load::<MembershipRow>(self.conn())
            .map_err(store_error)?;
        rows.into_iter().map(Membership::try_from).collect()
    }

    fn put_membership(
        &mut self,
        tenant_id: TenantId,
        user: UserId,
        roles: &[String],
        invited_by: Option<UserId>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let row = (
            memberships::tenant_id.eq(tenant_id.as_uuid()),
            memberships::user_id.eq(user.as_uuid()),
            memberships::status.eq("active"),
            memberships::invited_by.eq(invited_by.map(UserId::as_uuid)),
            memberships::joined_at.eq(now),
        );
        diesel::insert_into(memberships::table)
            .values(row)
            .on_conflict((memberships::tenant_id, memberships::user_id))
            .do_update()
            .set(row)
            .execute(self.conn())
            .map_err(store_error)?;
        self.set_member_roles(tenant_id, user, roles)
    }

    fn member(&mut self, tenant_id: TenantId, user: UserId) -> Result<Option<Member>, StoreError> {
        sql_query(format!("{MEMBERS} and m.user_id = $2"))
            .bind::<SqlUuid, _>(tenant_id.as_uuid())
            .bind::<SqlUuid, _>(user.as_uuid())
            .get_result::<MemberRow>(self.conn())
            .optional()
            .map(|row| row.map(Member::from))
            .map_err(store_error)
    }

    fn members(
        &mut self,
        tenant_id: TenantId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        sql_query(format!(
            "{MEMBERS} and ($2 is null or m.user_id > $2) order by m.user_id limit $3"
        ))
        .bind::<SqlUuid, _>(tenant_id.as_uuid())
        .bind::<Nullable<SqlUuid>, _>(after.map(UserId::as_uuid))
        .bind::<BigInt, _>(i64::from(limit) + 1)
        .load::<MemberRow>(self.conn())
        .map(|rows| rows.into_iter().map(Member::from).collect())
        .map_err(store_error)
    }

    fn is_member(&mut self, tenant_id: TenantId, email: &str) -> Result<bool, StoreError> {
        let rows = sql_query(format!("{MEMBERS} and u.email = $2"))
            .bind::<SqlUuid, _>(tenant_id.as_uuid())
            .bind::<Text, _>(email)
            .load::<MemberRow>(self.conn())
            .map_err(store_error)?;
        Ok(!rows.is_empty())
    }

    fn count_owners(&mut self, tenant_id: TenantId) -> Result<i64, StoreError> {
        memberships::table
            .inner_join(
                membership_roles::table.on(membership_roles::tenant_id
                    .eq(memberships::tenant_id)
                    .and(membership_roles::user_id.eq(memberships::user_id))),
            )
            .filter(memberships::tenant_id.eq(tenant_id.as_uuid()))
            .filter(memberships::status.eq("active"))
            .filter(membership_roles::role_key.eq("owner"))
            .count()
            .get_result(self.conn())
            .map_err(store_error)
    }

    fn set_member_roles(
        &mut self,
        tenant_id: TenantId,
        user: UserId,
        roles: &[String],
    ) -> Result<(), StoreError> {
        let own = membership_roles::table
            .filter(membership_roles::tenant_id.eq(tenant_id.as_uuid()))
            .filter(membership_roles::user_id.eq(user.as_uuid()));
        diesel::delete(own.filter(membership_roles::role_key.ne_all(roles)))
            .execute(self.conn())
            .map_err(store_error)?;
        let rows: Vec<_> = roles
            .iter()
            .map(|role| {
                (
                    membership_roles::tenant_id.eq(tenant_id.as_uuid()),
                    membership_roles::user_id.eq(user.as_uuid()),
                    membership_roles::role_key.eq(role),
                )
            })
            .collect();
        diesel::insert_into(membership_roles::table)
            .values(rows)
            .on_conflict_do_nothing()
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn remove_membership(&mut self, tenant_id: TenantId, user: UserId) -> Result<(), StoreError> {
        diesel::delete(
            membership_roles::table
                .filter(membership_roles::tenant_id.eq(tenant_id.as_uuid()))
                .filter(membership_roles::user_id.eq(user.as_uuid())),
        )
        .execute(self.conn())
        .map_err(store_error)?;
        diesel::update(memberships::table.find((tenant_id.as_uuid(), user.as_uuid())))
            .set(memberships::status.eq("removed"))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn role(&mut self, tenant_id: TenantId, key: &str) -> Result<Option<Role>, StoreError> {
        roles::find(self.conn(), tenant_id, key)
    }

    fn roles(&mut self, tenant_id: TenantId) -> Result<Vec<Role>, StoreError> {
        roles::all(self.conn(), tenant_id)
    }

    fn permission_catalogue(&mut self) -> Result<Vec<PermissionInfo>, StoreError> {
        roles::catalogue(self.conn())
    }
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Timestamptz)]
    joined_at: OffsetDateTime,
    #[diesel(sql_type = Array<Text>)]
    roles: Vec<String>,
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        Self {
            user_id: row.user_id.into(),
            email: row.email,
            name: row.name,
            status: row.status,
            roles: row.roles,
            joined_at: row.joined_at,
        }
    }
}

#[derive(QueryableByName)]
struct MembershipRow {
    #[diesel(embed)]
    tenant: TenantRow,
    #[diesel(sql_type = Array<Text>)]
    roles: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    permissions: Vec<String>,
}

impl TryFrom<MembershipRow> for Membership {
    type Error = StoreError;

    fn try_from(row: MembershipRow) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: row.tenant.try_into()?,
            roles: row.roles,
            permissions: stored_permissions(&row.permissions),
        })
    }
}
