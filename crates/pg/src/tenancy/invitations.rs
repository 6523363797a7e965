//! Invitations.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Nullable, Uuid as SqlUuid},
};
use kernel::{Allowance, InvitationId, StoreError, TenantId, UserId};
use pg_schema::schema::invitations::{self, dsl};
use tenancy::{Invitation, InvitationStatus, InvitationStore};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    PgTx,
    billing::counts,
    error::{store_error, unreadable},
};

impl InvitationStore for PgTx {
    fn seats(
        &mut self,
        tenant_id: TenantId,
        now: OffsetDateTime,
    ) -> Result<(Allowance, i64), StoreError> {
        let allowance = billing::entitlement::allowance(self, tenant_id, "max_members")?;
        Ok((allowance, counts::seats(self.conn(), tenant_id, now)?))
    }

    fn seat_taken(&mut self, tenant_id: TenantId, now: OffsetDateTime) -> Result<(), StoreError> {
        billing::take::taken(self, tenant_id, "max_members", now)
    }

    fn insert_invitation(&mut self, invitation: &Invitation) -> Result<(), StoreError> {
        diesel::insert_into(dsl::invitations)
            .values((
                dsl::tenant_id.eq(invitation.tenant_id.as_uuid()),
                dsl::id.eq(invitation.id.as_uuid()),
                dsl::email.eq(&invitation.email),
                dsl::role_key.eq(&invitation.role_key),
                dsl::status.eq(invitation.status.as_str()),
                dsl::invited_by.eq(invitation.invited_by.map(UserId::as_uuid)),
                dsl::sends.eq(invitation.sends),
                dsl::expires_at.eq(invitation.expires_at),
                dsl::created_at.eq(invitation.created_at),
            ))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn tenant_of_invitation(&mut self, id: InvitationId) -> Result<Option<TenantId>, StoreError> {
        sql_query("select app.tenant_of_invitation($1) as id")
            .bind::<SqlUuid, _>(id.as_uuid())
            .get_result::<Found>(self.conn())
            .map(|row| row.id.map(Into::into))
            .map_err(store_error)
    }

    fn invitation(
        &mut self,
        tenant_id: TenantId,
        id: InvitationId,
    ) -> Result<Option<Invitation>, StoreError> {
        let row = dsl::invitations
            .find((tenant_id.as_uuid(), id.as_uuid()))
            .select(InvitationRow::as_select())
            .first(self.conn())
            .optional()
            .map_err(store_error)?;
        row.map(Invitation::try_from).transpose()
    }

    fn invitations(
        &mut self,
        tenant_id: TenantId,
        before: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError> {
        let mut query = dsl::invitations
            .filter(dsl::tenant_id.eq(tenant_id.as_uuid()))
            .select(InvitationRow::as_select())
            .order(dsl::id.desc())
            .limit(i64::from(limit) + 1)
            .into_boxed();
        if let Some(before) = before {
            query = query.filter(dsl::id.lt(before.as_uuid()));
        }
        let rows = query.load(self.conn()).map_err(store_error)?;
        rows.into_iter().map(Invitation::try_from).collect()
    }

    fn update_invitation(
        &mut self,
        invitation: &Invitation,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let pending = invitation.status == InvitationStatus::Pending;
        let row = dsl::invitations.find((invitation.tenant_id.as_uuid(), invitation.id.as_uuid()));
        diesel::update(row)
            .set((
                dsl::status.eq(invitation.status.as_str()),
                dsl::sends.eq(invitation.sends),
                dsl::expires_at.eq(invitation.expires_at),
                dsl::accepted_by.eq(invitation.accepted_by.map(UserId::as_uuid)),
                dsl::resolved_at.eq((!pending).then_some(now)),
            ))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn expire_invitation_to(
        &mut self,
        tenant_id: TenantId,
        email: &str,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let over = dsl::invitations
            .filter(dsl::tenant_id.eq(tenant_id.as_uuid()))
            .filter(dsl::email.eq(email))
            .filter(dsl::status.eq("pending"))
            .filter(dsl::expires_at.le(now));
        diesel::update(over)
            .set((dsl::status.eq("expired"), dsl::resolved_at.eq(now)))
            .execute(self.conn())
            .map(|rows| rows > 0)
            .map_err(store_error)
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = invitations, check_for_backend(diesel::pg::Pg))]
struct InvitationRow {
    tenant_id: Uuid,
    id: Uuid,
    email: String,
    role_key: String,
    status: String,
    invited_by: Option<Uuid>,
    sends: i32,
    expires_at: OffsetDateTime,
    accepted_by: Option<Uuid>,
    created_at: OffsetDateTime,
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            email: row.email,
            role_key: row.role_key,
            status: InvitationStatus::parse(&row.status)
                .ok_or_else(|| unreadable("invitation status", &row.status))?,
            invited_by: row.invited_by.map(Into::into),
            sends: row.sends,
            expires_at: row.expires_at,
            accepted_by: row.accepted_by.map(Into::into),
            created_at: row.created_at,
        })
    }
}
