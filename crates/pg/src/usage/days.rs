//! The daily close: which days are due, holding one, adding it up twice, and writing it down.

use bigdecimal::BigDecimal;
use diesel::{
    OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types as sql,
};
use kernel::{Quantity, StoreError, TenantId};
use time::{Date, OffsetDateTime};
use usage::{
    Buckets, Filter, GroupBy,
    day::{HeldDay, MeterDay, UsageDay},
    query::UsageQuery,
};
use uuid::Uuid;

use super::{meters, read};
use crate::error::{store_error, unreadable};

/// A day whose tenant moved to another zone since takes the new one over. Rows that need no change are not written again.
const OPEN: &str = "
insert into usage_days as d (tenant_id, day, timezone, starts_at, ends_at)
select * from unnest($1::uuid[], $2::date[], $3::text[], $4::timestamptz[], $5::timestamptz[]) as g (tenant_id, day, a, b, c)
order by g.tenant_id, g.day
on conflict (tenant_id, day) do update set
    state = case d.state when 'open' then 'open' else 'reopened' end,
    timezone = excluded.timezone, starts_at = excluded.starts_at, ends_at = excluded.ends_at
where d.state = 'closed' or d.timezone <> excluded.timezone";

pub(super) fn open(conn: &mut PgConnection, days: &[UsageDay]) -> Result<(), StoreError> {
    sql_query(OPEN)
        .bind::<sql::Array<sql::Uuid>, _>(column(days, |day| day.tenant_id.as_uuid()))
        .bind::<sql::Array<sql::Date>, _>(column(days, |day| day.day))
        .bind::<sql::Array<sql::Text>, _>(column(days, |day| day.timezone.clone()))
        .bind::<sql::Array<sql::Timestamptz>, _>(column(days, |day| day.starts_at))
        .bind::<sql::Array<sql::Timestamptz>, _>(column(days, |day| day.ends_at))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

fn column<R, T>(rows: &[R], of: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

pub(super) fn due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    at_most: u32,
) -> Result<Vec<(TenantId, Date)>, StoreError> {
    let rows: Vec<Due> = sql_query(
        "select tenant_id, day from usage_days where state <> 'closed' and ends_at <= $1 order by ends_at limit $2",
    )
    .bind::<sql::Timestamptz, _>(now)
    .bind::<sql::BigInt, _>(i64::from(at_most))
    .load(conn)
    .map_err(store_error)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.tenant_id.into(), row.day))
        .collect())
}

pub(super) fn hold(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    day: Date,
    now: OffsetDateTime,
) -> Result<Option<HeldDay>, StoreError> {
    let held: Option<Held> = sql_query(
        "select timezone, starts_at, ends_at, closes from usage_days
         where tenant_id = $1 and day = $2 and state <> 'closed' and ends_at <= $3 for update skip locked",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Date, _>(day)
    .bind::<sql::Timestamptz, _>(now)
    .get_result(conn)
    .optional()
    .map_err(store_error)?;
    let Some(held) = held else { return Ok(None) };
    let unrolled: Answer = sql_query(
        "select exists (
             select from usage_events
             where txid >= (select txid from usage_watermark) and txid <= 9223372036854775807
                 and tenant_id = $1 and occurred_at >= $2 and occurred_at < $3) as answer",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Timestamptz, _>(held.starts_at)
    .bind::<sql::Timestamptz, _>(held.ends_at)
    .get_result(conn)
    .map_err(store_error)?;
    Ok(Some(HeldDay {
        day: UsageDay {
            tenant_id,
            day,
            timezone: held.timezone,
            starts_at: held.starts_at,
            ends_at: held.ends_at,
        },
        closes: u32::try_from(held.closes).unwrap_or(0),
        has_unrolled: unrolled.answer,
    }))
}

const RECONCILE: &str = "
with mark as materialized (
    select txid from usage_watermark
), rolled as (
    select meter_id, sum(sum) as sum, sum(count)::bigint as count, min(min) as min, max(max) as max
    from usage_rollups where tenant_id = $1 and bucket >= $2 and bucket < $3 group by meter_id
), raw as (
    select meter_id, sum(quantity) as sum, count(*) as count
    from usage_events
    where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3
        and received_at >= $2 - interval '1 hour' and txid < (select txid from mark)
    group by meter_id
)
-- What is not kept any more was compared before it went: a day that it belongs to can only be taken as it is rolled up.
select coalesce(r.meter_id, e.meter_id) as meter_id, coalesce(r.sum, 0) as sum, coalesce(r.count, 0) as count,
    coalesce(r.min, 0) as min, coalesce(r.max, 0) as max,
    case when gone.is_part then coalesce(r.sum, 0) else coalesce(e.sum, 0) end as raw_sum,
    case when gone.is_part then coalesce(r.count, 0) else coalesce(e.count, 0) end as raw_count, (select txid from mark) as watermark
from rolled r full join raw e on e.meter_id = r.meter_id
    cross join (select exists (select from usage_dropped_partitions where first_at < $3 and last_at >= $2) as is_part) as gone
order by 1";

pub(super) fn reconcile(
    conn: &mut PgConnection,
    day: &UsageDay,
) -> Result<Vec<MeterDay>, StoreError> {
    let rows: Vec<Reconciled> = sql_query(RECONCILE)
        .bind::<sql::Uuid, _>(day.tenant_id.as_uuid())
        .bind::<sql::Timestamptz, _>(day.starts_at)
        .bind::<sql::Timestamptz, _>(day.ends_at)
        .load(conn)
        .map_err(store_error)?;
    let Some(watermark) = rows.first().map(|row| row.watermark) else {
        return Ok(Vec::new());
    };
    let meters = meters::by_id(conn, day.tenant_id, &column(&rows, |row| row.meter_id))?;
    let query = UsageQuery {
        meters: meters.clone(),
        from: day.starts_at,
        to: day.ends_at,
        buckets: Buckets::At(vec![day.starts_at]),
        group_by: GroupBy::default(),
        filter: Filter::default(),
        project_id: None,
        with_empty: true,
    };
    // The snapshot that sees exactly what is behind the watermark.
    let as_of = format!("{watermark}:{watermark}:");
    let page = read::Page {
        as_of: Some(&as_of),
        after: None,
        limit: u32::MAX,
    };
    let answers = read::rows(conn, day.tenant_id, &query, &page)?;
    let quantity = |key: &str| {
        answers
            .iter()
            .find(|row| row.metric == key)
            .map(|row| row.quantity.clone())
    };
    rows.into_iter()
        .map(|row| {
            let meter = meters
                .iter()
                .find(|meter| meter.id.as_uuid() == row.meter_id);
            let meter = meter.ok_or_else(|| unreadable("meter", row.meter_id))?;
            Ok(MeterDay {
                meter_id: meter.id,
                metric: meter.key.clone(),
                quantity: quantity(&meter.key).unwrap_or_else(Quantity::zero),
                sum: row.sum,
                count: row.count,
                min: row.min,
                max: row.max,
                raw_sum: row.raw_sum,
                raw_count: row.raw_count,
            })
        })
        .collect()
}

const REPLACE_DAILY: &str = "
insert into usage_daily as d (tenant_id, day, meter_id, quantity, sum, count, min, max)
select $1, $2, g.meter_id, g.quantity, g.sum, g.count, g.min, g.max
from unnest($3::uuid[], $4::numeric[], $5::numeric[], $6::bigint[], $7::numeric[], $8::numeric[])
    as g (meter_id, quantity, sum, count, min, max)
on conflict (tenant_id, meter_id, day) do update set quantity = excluded.quantity,
    sum = excluded.sum, count = excluded.count, min = excluded.min, max = excluded.max";

pub(super) fn close(
    conn: &mut PgConnection,
    day: &UsageDay,
    number: u32,
    drift: &BigDecimal,
    meters: &[MeterDay],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sql_query(
        "update usage_days set state = 'closed', closes = $3, closed_at = $4, drift = $5
         where tenant_id = $1 and day = $2",
    )
    .bind::<sql::Uuid, _>(day.tenant_id.as_uuid())
    .bind::<sql::Date, _>(day.day)
    .bind::<sql::Integer, _>(i32::try_from(number).unwrap_or(i32::MAX))
    .bind::<sql::Timestamptz, _>(now)
    .bind::<sql::Numeric, _>(drift)
    .execute(conn)
    .map_err(store_error)?;
    // A meter that had usage on this day in another time zone may have none now.
    sql_query("delete from usage_daily where tenant_id = $1 and day = $2 and meter_id <> all ($3)")
        .bind::<sql::Uuid, _>(day.tenant_id.as_uuid())
        .bind::<sql::Date, _>(day.day)
        .bind::<sql::Array<sql::Uuid>, _>(column(meters, |meter| meter.meter_id.as_uuid()))
        .execute(conn)
        .map_err(store_error)?;
    sql_query(REPLACE_DAILY)
        .bind::<sql::Uuid, _>(day.tenant_id.as_uuid())
        .bind::<sql::Date, _>(day.day)
        .bind::<sql::Array<sql::Uuid>, _>(column(meters, |meter| meter.meter_id.as_uuid()))
        .bind::<sql::Array<sql::Numeric>, _>(column(meters, |m| m.quantity.as_decimal().clone()))
        .bind::<sql::Array<sql::Numeric>, _>(column(meters, |meter| meter.sum.clone()))
        .bind::<sql::Array<sql::BigInt>, _>(column(meters, |meter| meter.count))
        .bind::<sql::Array<sql::Numeric>, _>(column(meters, |meter| meter.min.clone()))
        .bind::<sql::Array<sql::Numeric>, _>(column(meters, |meter| meter.max.clone()))
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = sql::Uuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = sql::Date)]
    day: Date,
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = sql::Text)]
    timezone: String,
    #[diesel(sql_type = sql::Timestamptz)]
    starts_at: OffsetDateTime,
    #[diesel(sql_type = sql::Timestamptz)]
    ends_at: OffsetDateTime,
    #[diesel(sql_type = sql::Integer)]
    closes: i32,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = sql::Bool)]
    answer: bool,
}

#[derive(QueryableByName)]
struct Reconciled {
    #[diesel(sql_type = sql::Uuid)]
    meter_id: Uuid,
    #[diesel(sql_type = sql::Numeric)]
    sum: BigDecimal,
    #[diesel(sql_type = sql::BigInt)]
    count: i64,
    #[diesel(sql_type = sql::Numeric)]
    min: BigDecimal,
    #[diesel(sql_type = sql::Numeric)]
    max: BigDecimal,
    #[diesel(sql_type = sql::Numeric)]
    raw_sum: BigDecimal,
    #[diesel(sql_type = sql::BigInt)]
    raw_count: i64,
    #[diesel(sql_type = sql::BigInt)]
    watermark: i64,
}
