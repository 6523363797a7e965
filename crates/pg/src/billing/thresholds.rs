//! What follows from the use of a limit, and looking for metered use.

use billing::threshold::{Look, Reached, Touched};
use diesel::{
    ExpressionMethods, PgConnection, QueryDsl, QueryableByName, RunQueryDsl, delete, insert_into,
    sql_query,
    sql_types::{
        Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid,
    },
    update,
};
use kernel::{StoreError, TenantId};
use pg_schema::schema::{entitlement_graces as graces, quota_watch};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::error::store_error;

/// How long a threshold is remembered: longer than usage of its period may come late.
const REMEMBERED: Duration = Duration::days(100);

#[derive(QueryableByName)]
struct Marked {
    #[diesel(sql_type = SmallInt)]
    threshold: i16,
}

pub(super) fn mark(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    reached: &Reached,
) -> Result<Vec<i16>, StoreError> {
    let rows: Vec<Marked> = sql_query(
        "with forgotten as (
             delete from entitlement_thresholds where tenant_id = $1 and key = $2 and period_start < $8)
         insert into entitlement_thresholds (tenant_id, key, period_start, maximum, used, reached_at, threshold)
         select $1, $2, $3, $4, $5, $6, t from unnest($7) as t order by t
         on conflict do nothing returning threshold",
    )
    .bind::<SqlUuid, _>(tenant_id.as_uuid())
    .bind::<Text, _>(&reached.key)
    .bind::<Timestamptz, _>(reached.period_start)
    .bind::<BigInt, _>(reached.maximum)
    .bind::<BigInt, _>(reached.used)
    .bind::<Timestamptz, _>(reached.at)
    .bind::<Array<SmallInt>, _>(&reached.thresholds)
    .bind::<Timestamptz, _>(reached.at - REMEMBERED)
    .load(conn)
    .map_err(store_error)?;
    let mut marked: Vec<i16> = rows.into_iter().map(|row| row.threshold).collect();
    marked.sort_unstable();
    Ok(marked)
}

pub(super) fn start_grace(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &str,
    period_start: Option<OffsetDateTime>,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    insert_into(graces::table)
        .values((
            graces::tenant_id.eq(tenant_id.as_uuid()),
            graces::key.eq(key),
            graces::period_start.eq(period_start),
            graces::started_at.eq(at),
        ))
        .on_conflict((graces::tenant_id, graces::key))
        .do_update()
        .set((
            graces::period_start.eq(period_start),
            graces::started_at.eq(at),
        ))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn end_grace(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &str,
) -> Result<(), StoreError> {
    delete(graces::table.find((tenant_id.as_uuid(), key)))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

#[derive(QueryableByName)]
struct TouchedRow {
    #[diesel(sql_type = BigInt)]
    upto: i64,
    #[diesel(sql_type = Bool)]
    more: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    tenant_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    metric: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_at: Option<OffsetDateTime>,
}

impl TouchedRow {
    fn read(self) -> Option<Touched> {
        Some(Touched {
            tenant_id: self.tenant_id?.into(),
            metric: self.metric?,
            first_at: self.first_at?,
            last_at: self.last_at?,
        })
    }
}

pub(super) fn look(conn: &mut PgConnection, at_most: u32) -> Result<Look, StoreError> {
    let from: i64 = quota_watch::table
        .select(quota_watch::txid)
        .first(conn)
        .map_err(store_error)?;
    let rows: Vec<TouchedRow> = sql_query(
        "select t.*, t.upto < pg_snapshot_xmin(pg_current_snapshot())::text::bigint as more from app.touched_quotas($1, $2) t",
    )
    .bind::<BigInt, _>(from)
    .bind::<Integer, _>(i32::try_from(at_most).unwrap_or(i32::MAX))
    .load(conn)
    .map_err(store_error)?;
    let (to, more) = rows
        .first()
        .map_or((from, false), |row| (row.upto, row.more));
    let touched = rows.into_iter().filter_map(TouchedRow::read).collect();
    Ok(Look {
        from,
        to,
        touched,
        more,
    })
}

pub(super) fn looked(conn: &mut PgConnection, look: &Look) -> Result<(), StoreError> {
    update(quota_watch::table.filter(quota_watch::txid.eq(look.from)))
        .set(quota_watch::txid.eq(look.to))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}
