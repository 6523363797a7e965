//! Subscriptions and the plans they have had.

use billing::{Interval, PlanChange, PlanRef, Subscription, subscription::Status};
use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, PgConnection, QueryDsl,
    Queryable, QueryableByName, RunQueryDsl, Selectable, SelectableHelper, insert_into, sql_query,
    sql_types::{Timestamptz, Uuid as SqlUuid},
    update,
    upsert::excluded,
};
use kernel::{StoreError, TenantId, Zone};
use pg_schema::schema::{subscription_changes, subscriptions, tenants};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{store_error, unreadable};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = subscriptions)]
struct Row {
    tenant_id: Uuid,
    id: Uuid,
    status: String,
    plan_code: String,
    plan_version: i32,
    pending_plan_code: Option<String>,
    pending_plan_version: Option<i32>,
    pending_at: Option<OffsetDateTime>,
    anchor_at: OffsetDateTime,
    timezone: String,
    interval: String,
    cancel_at: Option<OffsetDateTime>,
}

impl From<&Subscription> for Row {
    fn from(one: &Subscription) -> Self {
        let pending = one.pending.as_ref();
        Self {
            tenant_id: one.tenant_id.into(),
            id: one.id.into(),
            status: one.status.as_str().to_owned(),
            plan_code: one.plan.code.clone(),
            plan_version: one.plan.version,
            pending_plan_code: pending.map(|change| change.plan.code.clone()),
            pending_plan_version: pending.map(|change| change.plan.version),
            pending_at: pending.map(|change| change.effective_at),
            anchor_at: one.anchor,
            timezone: one.zone.name().to_owned(),
            interval: one.interval.as_str().to_owned(),
            cancel_at: one.cancel_at,
        }
    }
}

impl Row {
    fn read(self) -> Result<Subscription, StoreError> {
        let status = Status::parse(&self.status)
            .ok_or_else(|| unreadable("subscriptions.status", &self.status))?;
        let interval = Interval::parse(&self.interval)
            .ok_or_else(|| unreadable("subscriptions.interval", &self.interval))?;
        let pending = match (
            self.pending_plan_code,
            self.pending_plan_version,
            self.pending_at,
        ) {
            (Some(code), Some(version), Some(effective_at)) => Some(PlanChange {
                plan: PlanRef { code, version },
                effective_at,
            }),
            _ => None,
        };
        Ok(Subscription {
            id: self.id.into(),
            tenant_id: self.tenant_id.into(),
            status,
            plan: PlanRef {
                code: self.plan_code,
                version: self.plan_version,
            },
            pending,
            anchor: self.anchor_at,
            zone: zone(&self.timezone)?,
            interval,
            cancel_at: self.cancel_at,
        })
    }
}

/// What may change of a subscription. Its anchor, zone and interval never do: its periods are counted by them.
#[derive(AsChangeset)]
#[diesel(table_name = subscriptions, treat_none_as_null = true)]
struct Course<'a> {
    status: &'static str,
    plan_code: &'a str,
    plan_version: i32,
    pending_plan_code: Option<&'a str>,
    pending_plan_version: Option<i32>,
    pending_at: Option<OffsetDateTime>,
    cancel_at: Option<OffsetDateTime>,
}

impl<'a> From<&'a Subscription> for Course<'a> {
    fn from(one: &'a Subscription) -> Self {
        let pending = one.pending.as_ref();
        Self {
            status: one.status.as_str(),
            plan_code: &one.plan.code,
            plan_version: one.plan.version,
            pending_plan_code: pending.map(|change| change.plan.code.as_str()),
            pending_plan_version: pending.map(|change| change.plan.version),
            pending_at: pending.map(|change| change.effective_at),
            cancel_at: one.cancel_at,
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = subscription_changes)]
struct ChangeRow {
    tenant_id: Uuid,
    subscription_id: Uuid,
    effective_at: OffsetDateTime,
    plan_code: String,
    plan_version: i32,
}

pub(super) fn zone(name: &str) -> Result<Zone, StoreError> {
    Zone::parse("timezone", name).map_err(|_| unreadable("timezone", name))
}

pub(super) fn lock_tenant(
    conn: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<OffsetDateTime, StoreError> {
    #[derive(QueryableByName)]
    struct Begun {
        #[diesel(sql_type = Timestamptz)]
        at: OffsetDateTime,
    }
    let row: Begun = sql_query("select now() as at from tenants where id = $1 for no key update")
        .bind::<SqlUuid, _>(tenant_id.as_uuid())
        .get_result(conn)
        .map_err(store_error)?;
    Ok(row.at)
}

pub(super) fn tenant_zone(
    conn: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<Zone, StoreError> {
    let name: String = tenants::table
        .find(tenant_id.as_uuid())
        .select(tenants::timezone)
        .first(conn)
        .map_err(store_error)?;
    zone(&name)
}

pub(super) fn live(
    conn: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<Option<Subscription>, StoreError> {
    let row: Option<Row> = subscriptions::table
        .filter(subscriptions::tenant_id.eq(tenant_id.as_uuid()))
        .filter(subscriptions::status.ne(Status::Canceled.as_str()))
        .select(Row::as_select())
        .first(conn)
        .optional()
        .map_err(store_error)?;
    row.map(Row::read).transpose()
}

pub(super) fn insert(conn: &mut PgConnection, one: &Subscription) -> Result<(), StoreError> {
    insert_into(subscriptions::table)
        .values(Row::from(one))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn save(conn: &mut PgConnection, one: &Subscription) -> Result<(), StoreError> {
    update(subscriptions::table.find((one.tenant_id.as_uuid(), one.id.as_uuid())))
        .set(Course::from(one))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn changes(
    conn: &mut PgConnection,
    one: &Subscription,
) -> Result<Vec<PlanChange>, StoreError> {
    let rows: Vec<ChangeRow> = subscription_changes::table
        .filter(subscription_changes::tenant_id.eq(one.tenant_id.as_uuid()))
        .filter(subscription_changes::subscription_id.eq(one.id.as_uuid()))
        .order(subscription_changes::effective_at)
        .select(ChangeRow::as_select())
        .load(conn)
        .map_err(store_error)?;
    Ok(rows
        .into_iter()
        .map(|row| PlanChange {
            plan: PlanRef {
                code: row.plan_code,
                version: row.plan_version,
            },
            effective_at: row.effective_at,
        })
        .collect())
}

pub(super) fn add_change(
    conn: &mut PgConnection,
    one: &Subscription,
    change: &PlanChange,
) -> Result<(), StoreError> {
    use subscription_changes::{
        effective_at, plan_code, plan_version, subscription_id, table, tenant_id,
    };
    insert_into(table)
        .values(ChangeRow {
            tenant_id: one.tenant_id.into(),
            subscription_id: one.id.into(),
            effective_at: change.effective_at,
            plan_code: change.plan.code.clone(),
            plan_version: change.plan.version,
        })
        .on_conflict((tenant_id, subscription_id, effective_at))
        .do_update()
        .set((
            plan_code.eq(excluded(plan_code)),
            plan_version.eq(excluded(plan_version)),
        ))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}
