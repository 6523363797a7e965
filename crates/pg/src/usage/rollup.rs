//! Moving events into buckets, behind a watermark that is safe against late commits.

use diesel::{
    OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types as sql,
};
use kernel::StoreError;
use time::OffsetDateTime;
use usage::rollup::{Moved, Step, Touched};
use uuid::Uuid;

use crate::{error::store_error, scalar::Txid};

/// Whoever holds the watermark's row moves events; others find nothing to do.
///
/// The horizon is the oldest transaction that still runs. Whatever is older is visible to the statements that follow, or never will be.
const TAKE_WATERMARK: &str = "
select txid, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next,
    exists (
        select from usage_events e
        where e.txid >= w.txid and e.txid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    ) as has_events
from usage_watermark w for update skip locked";

/// The first transaction that does not fit into the step. A transaction is never parted, so one that is larger than a step is a step.
const STEP_END: &str = "
select txid from usage_events where txid >= $1 and txid < $2 order by txid offset $3 limit 1";

/// `offset 0` keeps the planner on the way along txid, where it might go by the tenants of meters that keep the latest value.
const MOVE: &str = "
with fresh as (
    select tenant_id, meter_id, date_bin('15 minutes', occurred_at, timestamptz '2000-01-01 00:00:00+00') as bucket,
        coalesce(project_id, '00000000-0000-0000-0000-000000000000') as project_id,
        coalesce(user_id, '') as user_id, coalesce(model, '') as model, coalesce(dims, '') as dims,
        coalesce(value_hash, '00000000-0000-0000-0000-000000000000') as value_hash,
        sum(quantity) as sum, count(*) as count, min(quantity) as min, max(quantity) as max,
        min(occurred_at) as first_at, max(occurred_at) as last_at
    from usage_events where txid >= $1 and txid < $2
    group by 1, 2, 3, 4, 5, 6, 7, 8
), latest as (
    select distinct on (1, 2, 3, 4, 5, 6, 7, 8)
        e.tenant_id, e.meter_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00:00+00') as bucket,
        coalesce(e.project_id, '00000000-0000-0000-0000-000000000000') as project_id,
        coalesce(e.user_id, '') as user_id, coalesce(e.model, '') as model, coalesce(e.dims, '') as dims,
        coalesce(e.value_hash, '00000000-0000-0000-0000-000000000000') as value_hash,
        e.quantity, e.received_at, e.dedup
    from (select * from usage_events where txid >= $1 and txid < $2 offset 0) e
    join meters m on m.tenant_id = e.tenant_id and m.id = e.meter_id and m.aggregation = 'latest'
    order by 1, 2, 3, 4, 5, 6, 7, 8, e.occurred_at desc, e.received_at desc, e.dedup desc
), moved as (
    insert into usage_rollups as r (tenant_id, meter_id, bucket, project_id, user_id, model, dims, value_hash,
        sum, count, min, max, first_at, last_at, last_value, last_received_at, last_dedup)
    select f.tenant_id, f.meter_id, f.bucket, f.project_id, f.user_id, f.model, f.dims, f.value_hash,
        f.sum, f.count, f.min, f.max, f.first_at, f.last_at, l.quantity, l.received_at, l.dedup
    from fresh f left join latest l using (tenant_id, meter_id, bucket, project_id, user_id, model, dims, value_hash)
    order by tenant_id, meter_id, bucket, project_id, user_id, model, dims, value_hash
    on conflict (tenant_id, meter_id, bucket, project_id, user_id, model, dims, value_hash) do update set
        sum = r.sum + excluded.sum, count = r.count + excluded.count,
        min = least(r.min, excluded.min), max = greatest(r.max, excluded.max),
        first_at = least(r.first_at, excluded.first_at), last_at = greatest(r.last_at, excluded.last_at),
        last_value = case when (excluded.last_at, excluded.last_received_at, excluded.last_dedup)
            > (r.last_at, r.last_received_at, r.last_dedup) then excluded.last_value else r.last_value end,
        last_received_at = case when (excluded.last_at, excluded.last_received_at, excluded.last_dedup)
            > (r.last_at, r.last_received_at, r.last_dedup) then excluded.last_received_at else r.last_received_at end,
        last_dedup = case when (excluded.last_at, excluded.last_received_at, excluded.last_dedup)
            > (r.last_at, r.last_received_at, r.last_dedup) then excluded.last_dedup else r.last_dedup end
), touched as (
    select tenant_id, bucket, sum(count)::bigint as events from fresh group by tenant_id, bucket
)
select t.tenant_id, coalesce(z.timezone, 'UTC') as timezone, t.bucket, t.events
from touched t left join app.usage_zones(array(select distinct tenant_id from touched)) z using (tenant_id)";

/// What a step needs to group and sort in memory; the default is too little by a little, and a step that spills takes twice as long.
const ENOUGH_MEMORY: &str = "set local work_mem = '64MB'";

/// What to do about a watermark that is ahead.
pub(crate) const AFTER_A_RESTORE: &str =
    "after a restore from a dump run `plinth-migrate up` before the services";

const SET_WATERMARK: &str = "update usage_watermark set txid = $1, moved_at = now()";

pub(super) fn move_events(conn: &mut PgConnection, at_most: u32) -> Result<Moved, StoreError> {
    let nothing = Moved {
        step: Step::default(),
        touched: Vec::new(),
    };
    let mark: Option<Mark> = sql_query(TAKE_WATERMARK)
        .get_result(conn)
        .optional()
        .map_err(store_error)?;
    let Some(mark) = mark else { return Ok(nothing) };
    if mark.next < mark.txid {
        return Err(StoreError::Unexpected(format!(
            "the watermark of usage is at transaction {}, and the database only at {}: {AFTER_A_RESTORE}",
            mark.txid, mark.next
        )));
    }
    // Nothing to move and nothing new to say: an idle deployment asks once and writes nothing.
    if !mark.has_events && mark.horizon - mark.txid < IDLE_STRIDE {
        return Ok(nothing);
    }
    conn.batch_execute(ENOUGH_MEMORY).map_err(store_error)?;
    let end = step_end(conn, &mark, at_most)?;
    let moved: Vec<MovedBucket> = sql_query(MOVE)
        .bind::<sql::BigInt, _>(mark.txid)
        .bind::<sql::BigInt, _>(end.unwrap_or(mark.horizon))
        .load(conn)
        .map_err(store_error)?;
    sql_query(SET_WATERMARK)
        .bind::<sql::BigInt, _>(end.unwrap_or(mark.horizon))
        .execute(conn)
        .map_err(store_error)?;
    let events = moved
        .iter()
        .map(|row| u64::try_from(row.events).unwrap_or(0))
        .sum();
    let touched = moved
        .into_iter()
        .map(|row| Touched {
            tenant_id: row.tenant_id.into(),
            timezone: row.timezone,
            bucket: row.bucket,
        })
        .collect();
    Ok(Moved {
        step: Step {
            events,
            more: end.is_some(),
        },
        touched,
    })
}

/// Transactions that may pass without an event before the watermark follows.
const IDLE_STRIDE: i64 = 10_000;

fn step_end(conn: &mut PgConnection, mark: &Mark, at_most: u32) -> Result<Option<i64>, StoreError> {
    let first_left: Option<Txid> = sql_query(STEP_END)
        .bind::<sql::BigInt, _>(mark.txid)
        .bind::<sql::BigInt, _>(mark.horizon)
        .bind::<sql::BigInt, _>(i64::from(at_most))
        .get_result(conn)
        .optional()
        .map_err(store_error)?;
    Ok(first_left.map(|row| {
        if row.txid > mark.txid {
            row.txid
        } else {
            row.txid + 1
        }
    }))
}

#[derive(QueryableByName)]
struct Mark {
    #[diesel(sql_type = sql::BigInt)]
    txid: i64,
    #[diesel(sql_type = sql::BigInt)]
    horizon: i64,
    #[diesel(sql_type = sql::BigInt)]
    next: i64,
    #[diesel(sql_type = sql::Bool)]
    has_events: bool,
}

#[derive(QueryableByName)]
struct MovedBucket {
    #[diesel(sql_type = sql::Uuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = sql::Text)]
    timezone: String,
    #[diesel(sql_type = sql::Timestamptz)]
    bucket: OffsetDateTime,
    #[diesel(sql_type = sql::BigInt)]
    events: i64,
}
