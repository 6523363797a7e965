//! Tenants.

use diesel::{
    dsl::exists,
    prelude::*,
    select, sql_query,
    sql_types::{BigInt, Bool, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use kernel::{Name, StoreError, TenantId, TenantStatus, Zone};
use pg_schema::schema::{
    tenant_slug_history,
    tenants::{self, dsl},
};
use tenancy::{Slug, Tenant, TenantKind, TenantStore};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    PgTx,
    error::{store_error, unreadable},
    scalar::Answer,
};

impl TenantStore for PgTx {
    fn insert_tenant(&mut self, tenant: &Tenant) -> Result<(), StoreError> {
        diesel::insert_into(dsl::tenants)
            .values((
                dsl::id.eq(tenant.id.as_uuid()),
                dsl::slug.eq(tenant.slug.as_str()),
                dsl::name.eq(tenant.name.as_str()),
                dsl::status.eq(tenant.status.as_str()),
                dsl::kind.eq(tenant.kind.as_str()),
                dsl::plan_code.eq(&tenant.plan_code),
                dsl::is_personal.eq(tenant.is_personal),
                dsl::timezone.eq(tenant.timezone.name()),
                dsl::version.eq(tenant.version),
                dsl::created_at.eq(tenant.created_at),
            ))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn tenant(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let row = dsl::tenants
            .find(id.as_uuid())
            .filter(dsl::status.ne("deleted"))
            .select(TenantRow::as_select())
            .first(self.conn())
            .optional()
            .map_err(store_error)?;
        row.map(Tenant::try_from).transpose()
    }

    fn tenant_for_update(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        // Not the strongest lock: rows that refer to the tenant may still be added meanwhile.
        let row = dsl::tenants
            .find(id.as_uuid())
            .filter(dsl::status.ne("deleted"))
            .select(TenantRow::as_select())
            .for_no_key_update()
            .first(self.conn())
            .optional()
            .map_err(store_error)?;
        row.map(Tenant::try_from).transpose()
    }

    fn update_tenant(&mut self, tenant: &Tenant) -> Result<(), StoreError> {
        diesel::update(dsl::tenants.find(tenant.id.as_uuid()))
            .set((
                dsl::name.eq(tenant.name.as_str()),
                dsl::slug.eq(tenant.slug.as_str()),
                dsl::timezone.eq(tenant.timezone.name()),
                dsl::version.eq(tenant.version),
            ))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn set_tenant_status(
        &mut self,
        tenant: &Tenant,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        diesel::update(dsl::tenants.find(tenant.id.as_uuid()))
            .set((
                dsl::status.eq(tenant.status.as_str()),
                dsl::status_reason.eq(&tenant.status_reason),
                dsl::status_changed_at.eq(now),
                dsl::version.eq(tenant.version),
            ))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn slug_is_free(&mut self, slug: &Slug, tenant: TenantId) -> Result<bool, StoreError> {
        sql_query("select app.slug_is_free($1, $2) as answer")
            .bind::<Text, _>(slug.as_str())
            .bind::<SqlUuid, _>(tenant.as_uuid())
            .get_result::<Answer>(self.conn())
            .map(|row| row.answer)
            .map_err(store_error)
    }

    fn release_slug(
        &mut self,
        id: TenantId,
        slug: &Slug,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let row = (
            tenant_slug_history::tenant_id.eq(id.as_uuid()),
            tenant_slug_history::slug.eq(slug.as_str()),
            tenant_slug_history::released_at.eq(now),
        );
        diesel::insert_into(tenant_slug_history::table)
            .values(row)
            .on_conflict((tenant_slug_history::tenant_id, tenant_slug_history::slug))
            .do_update()
            .set(tenant_slug_history::released_at.eq(now))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn all_tenants(
        &mut self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError> {
        let rows = sql_query("select * from app.admin_tenants($1, $2)")
            .bind::<Nullable<SqlUuid>, _>(after.map(TenantId::as_uuid))
            .bind::<Int4, _>(i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(1))
            .load::<TenantRow>(self.conn())
            .map_err(store_error)?;
        rows.into_iter().map(Tenant::try_from).collect()
    }
}

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = tenants, check_for_backend(diesel::pg::Pg))]
pub(super) struct TenantRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    slug: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Nullable<Text>)]
    status_reason: Option<String>,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    plan_code: String,
    #[diesel(sql_type = Bool)]
    is_personal: bool,
    #[diesel(sql_type = Text)]
    timezone: String,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: OffsetDateTime,
}

impl TryFrom<TenantRow> for Tenant {
    type Error = StoreError;

    fn try_from(row: TenantRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            slug: Slug::stored(row.slug),
            name: Name::stored(row.name),
            status: TenantStatus::parse(&row.status)
                .ok_or_else(|| unreadable("tenant status", &row.status))?,
            status_reason: row.status_reason,
            kind: if row.kind == "demo" {
                TenantKind::Demo
            } else {
                TenantKind::Customer
            },
            plan_code: row.plan_code,
            is_personal: row.is_personal,
            timezone: Zone::parse("timezone", &row.timezone)
                .map_err(|_| unreadable("time zone", &row.timezone))?,
            version: row.version,
            created_at: row.created_at,
        })
    }
}

/// Whether there is a tenant that is not deleted, as far as the transaction sees.
pub(crate) fn has_tenant(conn: &mut PgConnection, id: TenantId) -> Result<bool, StoreError> {
    let living = dsl::tenants
        .find(id.as_uuid())
        .filter(dsl::status.ne("deleted"));
    select(exists(living)).get_result(conn).map_err(store_error)
}
