//! The daily close: which days are due, holding one, adding it up twice, and writing it down.

use bigdecimal::BigDecimal;
use diesel::{
    OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types as sql,
};
use kernel::StoreError;
use time::{Date, Duration, OffsetDateTime, UtcOffset};
use usage::{
    Aggregation, Meter,
    day::{DueDay, Hold, MeterDay, Reconciled, UsageDay},
    rollup::Span,
};
use uuid::Uuid;

use super::meters;
use crate::{
    error::{store_error, unreadable},
    scalar::{Answer, Txid},
};

/// Days that have a part of a span. A day that has is near: that is an index's way to it.
const OVERLAPPING: &str = "
select d.tenant_id, d.day, d.timezone, d.starts_at, d.ends_at, d.state = 'closed' as is_closed
from unnest($1::uuid[], $2::date[], $3::date[], $4::timestamptz[], $5::timestamptz[]) as g (tenant_id, since, until, first, last)
join usage_days d on d.tenant_id = g.tenant_id and d.day between g.since and g.until and d.starts_at <= g.last and d.ends_at > g.first
order by d.tenant_id, d.day for no key update of d";

const NEAR: &str = "
select distinct d.tenant_id, d.day, d.timezone, d.starts_at, d.ends_at, d.state = 'closed' as is_closed
from unnest($1::uuid[], $2::date[], $3::date[], $4::timestamptz[], $5::timestamptz[]) as g (tenant_id, since, until, first, last)
join usage_days d on d.tenant_id = g.tenant_id and d.day between g.since and g.until";

/// How far a day's date may be from those that UTC has in it. No zone is further from UTC than a day, and where two of them meet, a day may
/// be two days long, and some hours.
const NEARBY: Duration = Duration::days(3);

const REOPEN: &str = "
update usage_days d set state = 'reopened' from unnest($1::uuid[], $2::date[]) as g (tenant_id, day)
where d.tenant_id = g.tenant_id and d.day = g.day and d.state = 'closed'";

pub(super) fn reopen(conn: &mut PgConnection, spans: &[Span]) -> Result<Vec<UsageDay>, StoreError> {
    let held = of_spans(conn, OVERLAPPING, spans)?;
    let closed: Vec<&Known> = held.iter().filter(|known| known.is_closed).collect();
    if !closed.is_empty() {
        sql_query(REOPEN)
            .bind::<sql::Array<sql::Uuid>, _>(column(&closed, |known| known.day.tenant_id))
            .bind::<sql::Array<sql::Date>, _>(column(&closed, |known| known.day.day))
            .execute(conn)
            .map_err(store_error)?;
    }
    Ok(held.into_iter().map(|known| known.day.into()).collect())
}

pub(super) fn near(conn: &mut PgConnection, spans: &[Span]) -> Result<Vec<UsageDay>, StoreError> {
    let near = of_spans(conn, NEAR, spans)?;
    Ok(near.into_iter().map(|known| known.day.into()).collect())
}

fn of_spans(
    conn: &mut PgConnection,
    question: &str,
    spans: &[Span],
) -> Result<Vec<Known>, StoreError> {
    sql_query(question)
        .bind::<sql::Array<sql::Uuid>, _>(column(spans, |span| span.tenant_id.as_uuid()))
        .bind::<sql::Array<sql::Date>, _>(column(spans, |span| utc_date(span.first - NEARBY)))
        .bind::<sql::Array<sql::Date>, _>(column(spans, |span| utc_date(span.last + NEARBY)))
        .bind::<sql::Array<sql::Timestamptz>, _>(column(spans, |span| span.first))
        .bind::<sql::Array<sql::Timestamptz>, _>(column(spans, |span| span.last))
        .load(conn)
        .map_err(store_error)
}

fn utc_date(at: OffsetDateTime) -> Date {
    at.to_offset(UtcOffset::UTC).date()
}

const OPEN: &str = "
insert into usage_days as d (tenant_id, day, timezone, starts_at, ends_at)
select * from unnest($1::uuid[], $2::date[], $3::text[], $4::timestamptz[], $5::timestamptz[]) as g (tenant_id, day, a, b, c)
order by g.tenant_id, g.day
on conflict (tenant_id, day) do update set
    state = case d.state when 'open' then 'open' else 'reopened' end,
    timezone = excluded.timezone, starts_at = excluded.starts_at, ends_at = excluded.ends_at";

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
) -> Result<Vec<DueDay>, StoreError> {
    let rows: Vec<Due> = sql_query(
        "select tenant_id, day, timezone, starts_at, ends_at, closes from usage_days
         where state <> 'closed' and ends_at <= $1 order by ends_at limit $2",
    )
    .bind::<sql::Timestamptz, _>(now)
    .bind::<sql::BigInt, _>(i64::from(at_most))
    .load(conn)
    .map_err(store_error)?;
    let due = |row: Due| DueDay {
        day: row.day.into(),
        closes: u32::try_from(row.closes).unwrap_or(0),
    };
    Ok(rows.into_iter().map(due).collect())
}

const HOLD: &str = "
select true as answer from usage_days
where tenant_id = $1 and day = $2 and starts_at = $3 and ends_at = $4 and closes = $5 and state <> 'closed'
for update skip locked";

/// The upper bound, which excludes nothing, tells the planner that the range is narrow.
const CAME_SINCE: &str = "
select exists (
    select from usage_events
    where txid >= $4 and txid <= 9223372036854775807 and tenant_id = $1 and occurred_at >= $2 and occurred_at < $3) as answer";

pub(super) fn hold(conn: &mut PgConnection, due: &DueDay, mark: i64) -> Result<Hold, StoreError> {
    let day = &due.day;
    let held: Option<Answer> = sql_query(HOLD)
        .bind::<sql::Uuid, _>(day.tenant_id.as_uuid())
        .bind::<sql::Date, _>(day.day)
        .bind::<sql::Timestamptz, _>(day.starts_at)
        .bind::<sql::Timestamptz, _>(day.ends_at)
        .bind::<sql::Integer, _>(i32::try_from(due.closes).unwrap_or(i32::MAX))
        .get_result(conn)
        .optional()
        .map_err(store_error)?;
    if held.is_none() {
        return Ok(Hold::Gone);
    }
    Ok(if came_since(conn, day, mark)? {
        Hold::Overtaken
    } else {
        Hold::Held
    })
}

/// Whether events of the day came behind a mark.
fn came_since(conn: &mut PgConnection, day: &UsageDay, mark: i64) -> Result<bool, StoreError> {
    let came: Answer = sql_query(CAME_SINCE)
        .bind::<sql::Uuid, _>(day.tenant_id.as_uuid())
        .bind::<sql::Timestamptz, _>(day.starts_at)
        .bind::<sql::Timestamptz, _>(day.ends_at)
        .bind::<sql::BigInt, _>(mark)
        .get_result(conn)
        .map_err(store_error)?;
    Ok(came.answer)
}

pub(super) fn has_unrolled(conn: &mut PgConnection, day: &UsageDay) -> Result<bool, StoreError> {
    let mark = watermark(conn)?;
    came_since(conn, day, mark)
}

fn watermark(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let mark: Txid = sql_query("select txid from usage_watermark")
        .get_result(conn)
        .map_err(store_error)?;
    Ok(mark.txid)
}

const RECONCILE: &str = "
with mark as materialized (
    select txid from usage_watermark
), rolled as (
    select meter_id, sum(sum) as sum, sum(count)::bigint as count, min(min) as min, max(max) as max,
        (array_agg(last_value order by last_at desc, last_received_at desc, last_dedup desc)
            filter (where last_value is not null))[1] as latest,
        count(distinct nullif(value_hash, '00000000-0000-0000-0000-000000000000'))::numeric as different
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
    coalesce(r.min, 0) as min, coalesce(r.max, 0) as max, coalesce(r.latest, 0) as latest, coalesce(r.different, 0) as different,
    case when gone.is_part then coalesce(r.sum, 0) else coalesce(e.sum, 0) end as raw_sum,
    case when gone.is_part then coalesce(r.count, 0) else coalesce(e.count, 0) end as raw_count
from rolled r full join raw e on e.meter_id = r.meter_id
    cross join (select exists (select from usage_dropped_partitions where first_at < $3 and last_at >= $2) as is_part) as gone
order by 1";

/// A day of many millions of events takes longer to read than a request may. What only reads has no number as a transaction, so nobody who
/// looks for the oldest one that runs has to wait for it.
const PATIENCE: &str = "set local statement_timeout = '10min'";

pub(super) fn reconcile(conn: &mut PgConnection, day: &UsageDay) -> Result<Reconciled, StoreError> {
    // Before the totals, so that whatever comes between the two is behind it.
    let before = watermark(conn)?;
    conn.batch_execute(PATIENCE).map_err(store_error)?;
    let rows: Vec<Totals> = sql_query(RECONCILE)
        .bind::<sql::Uuid, _>(day.tenant_id.as_uuid())
        .bind::<sql::Timestamptz, _>(day.starts_at)
        .bind::<sql::Timestamptz, _>(day.ends_at)
        .load(conn)
        .map_err(store_error)?;
    // What came meanwhile is looked through here, where nobody waits, and only the rest by whoever holds the day.
    let after = watermark(conn)?;
    let mark = if came_since(conn, day, before)? {
        before
    } else {
        after
    };
    let meters = meters::by_id(conn, day.tenant_id, &column(&rows, |row| row.meter_id))?;
    let total = |row: Totals| {
        let mut of_day = meters.iter();
        let meter = of_day.find(|meter| meter.id.as_uuid() == row.meter_id);
        let meter = meter.ok_or_else(|| unreadable("meter", row.meter_id))?;
        Ok(row.of(meter))
    };
    let totals: Result<_, StoreError> = rows.into_iter().map(total).collect();
    Ok(Reconciled {
        meters: totals?,
        mark,
    })
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
    // Whatever the close before wrote.
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
struct DayRow {
    #[diesel(sql_type = sql::Uuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = sql::Date)]
    day: Date,
    #[diesel(sql_type = sql::Text)]
    timezone: String,
    #[diesel(sql_type = sql::Timestamptz)]
    starts_at: OffsetDateTime,
    #[diesel(sql_type = sql::Timestamptz)]
    ends_at: OffsetDateTime,
}

impl From<DayRow> for UsageDay {
    fn from(row: DayRow) -> Self {
        Self {
            tenant_id: row.tenant_id.into(),
            day: row.day,
            timezone: row.timezone,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
        }
    }
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(embed)]
    day: DayRow,
    #[diesel(sql_type = sql::Bool)]
    is_closed: bool,
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(embed)]
    day: DayRow,
    #[diesel(sql_type = sql::Integer)]
    closes: i32,
}

#[derive(QueryableByName)]
struct Totals {
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
    latest: BigDecimal,
    /// How many different values.
    #[diesel(sql_type = sql::Numeric)]
    different: BigDecimal,
    #[diesel(sql_type = sql::Numeric)]
    raw_sum: BigDecimal,
    #[diesel(sql_type = sql::BigInt)]
    raw_count: i64,
}

impl Totals {
    fn of(self, meter: &Meter) -> MeterDay {
        let quantity = match meter.aggregation {
            Aggregation::Sum => self.sum.clone(),
            Aggregation::Count => self.count.into(),
            Aggregation::Min => self.min.clone(),
            Aggregation::Max => self.max.clone(),
            Aggregation::Latest => self.latest,
            Aggregation::Unique => self.different,
        };
        MeterDay {
            meter_id: meter.id,
            metric: meter.key.clone(),
            quantity: quantity.into(),
            sum: self.sum,
            count: self.count,
            min: self.min,
            max: self.max,
            raw_sum: self.raw_sum,
            raw_count: self.raw_count,
        }
    }
}
