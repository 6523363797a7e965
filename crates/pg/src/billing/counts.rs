//! What a tenant may have, and what it uses.

use billing::{Granted, Period, PlanRef};
use diesel::{
    ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryableByName, RunQueryDsl,
    sql_query,
    sql_types::{Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use kernel::{StoreError, TenantId};
use pg_schema::schema::projects;
use time::OffsetDateTime;

use super::{overrides, plans};
use crate::{error::store_error, scalar::Count};

#[derive(QueryableByName)]
struct InForce {
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Integer)]
    version: i32,
}

pub(super) fn granted(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: Option<&str>,
    at: OffsetDateTime,
) -> Result<Granted, StoreError> {
    let plan = plan_in_force(conn, tenant_id, at)?;
    let by_plan = match &plan {
        Some(plan) => plans::grants(conn, plan, key)?,
        None => Vec::new(),
    };
    let overrides = overrides::list(conn, tenant_id, key)?;
    Ok(Granted {
        plan: plan.map(|plan| plan.code),
        by_plan,
        overrides,
    })
}

fn plan_in_force(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    at: OffsetDateTime,
) -> Result<Option<PlanRef>, StoreError> {
    let row: Option<InForce> = sql_query(
        "select case when pending_at <= $2 then pending_plan_code else plan_code end as code,
                case when pending_at <= $2 then pending_plan_version else plan_version end as version
         from subscriptions
         where tenant_id = $1 and status not in ('canceled', 'incomplete')
           and (cancel_at is null or cancel_at > $2)",
    )
    .bind::<SqlUuid, _>(tenant_id.as_uuid())
    .bind::<Timestamptz, _>(at)
    .get_result(conn)
    .optional()
    .map_err(store_error)?;
    Ok(row.map(|row| PlanRef {
        code: row.code,
        version: row.version,
    }))
}

const SEATS: &str = "
select (select count(*) from memberships where tenant_id = $1 and status = 'active')
     + (select count(*) from invitations
        where tenant_id = $1 and status = 'pending' and expires_at > $2) as count";

/// Seats taken at `at`: for the gate and for the list of entitlements alike.
pub(crate) fn seats(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    at: OffsetDateTime,
) -> Result<i64, StoreError> {
    let row: Count = sql_query(SEATS)
        .bind::<SqlUuid, _>(tenant_id.as_uuid())
        .bind::<Timestamptz, _>(at)
        .get_result(conn)
        .map_err(store_error)?;
    Ok(row.count)
}

/// Projects that count: for the gate and for the list of entitlements alike.
pub(crate) fn counted_projects(
    conn: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<i64, StoreError> {
    projects::table
        .filter(projects::tenant_id.eq(tenant_id.as_uuid()))
        .filter(projects::status.ne("archived"))
        .filter(projects::is_default.eq(false))
        .count()
        .get_result(conn)
        .map_err(store_error)
}

pub(super) fn settled(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &str,
    period: Period,
) -> Result<i64, StoreError> {
    let row: Count = sql_query(
        "select coalesce(sum(settled_quantity), 0)::bigint as count from quota_reservations
         where tenant_id = $1 and key = $2 and status = 'settled'
           and finished_at >= $3 and finished_at < $4",
    )
    .bind::<SqlUuid, _>(tenant_id.as_uuid())
    .bind::<Text, _>(key)
    .bind::<Timestamptz, _>(period.start)
    .bind::<Timestamptz, _>(period.end)
    .get_result(conn)
    .map_err(store_error)?;
    Ok(row.count)
}
