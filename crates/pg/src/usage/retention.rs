//! Months of events: reading one whole, dropping one, and what can no longer be answered without them.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query,
    sql_types as sql,
};
use kernel::{StoreError, TenantId};
use time::{Duration, OffsetDateTime};
use usage::{
    query::UsageQuery,
    retention::{ArchivedEvent, Partition, PartitionStore, Sink},
    rollup::{BUCKET, quarter_of},
};
use uuid::Uuid;

use super::raw::EventRow;
use crate::{PgTx, error::store_error, scalar::Answer};

/// Looking through a month takes longer than a request may.
const PATIENCE: &str = "set local statement_timeout = '1h'";

/// Events that are read at once.
const CHUNK: usize = 2_000;

const BEFORE: &str = "
select name, starts_at, ends_at from (
    select c.relname::text as name, to_date(right(c.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC' as starts_at,
        (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month')::timestamp at time zone 'UTC' as ends_at
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'usage_events'::regclass and c.relname ~ '^usage_events_[0-9]{4}_[0-9]{2}$'
) as months where ends_at <= $1 order by starts_at";

/// The lock goes with the transaction: two workers never write one month to an archive.
const UNSETTLED: &str = "
select case when pg_try_advisory_xact_lock(hashtext('usage retention'), hashtext($1))
    then app.unsettled_usage($2, $3) else 'another worker is at it' end as reason";

/// In the order in which the events were written: a month is read from its first page to its last.
const READ: &str = "
declare events_of_a_month no scroll cursor for
select e.tenant_id, e.event_id, e.source, coalesce(m.key, s.key, e.meter_id::text) as metric, e.quantity, e.occurred_at, e.received_at,
    e.project_id, e.user_id, e.model, e.metadata::text as metadata, e.dedup
from usage_events e
    left join meters m on m.tenant_id = e.tenant_id and m.id = e.meter_id left join standard_meters s on s.id = e.meter_id
where e.received_at >= $1 and e.received_at < $2";

impl PartitionStore for PgTx {
    fn partitions_before(&mut self, ends_at: OffsetDateTime) -> Result<Vec<Partition>, StoreError> {
        let rows: Vec<Month> = sql_query(BEFORE)
            .bind::<sql::Timestamptz, _>(ends_at)
            .load(self.conn())
            .map_err(store_error)?;
        Ok(rows.into_iter().map(Partition::from).collect())
    }

    fn unsettled(&mut self, partition: &Partition) -> Result<Option<String>, StoreError> {
        self.conn().batch_execute(PATIENCE).map_err(store_error)?;
        let row: Reason = sql_query(UNSETTLED)
            .bind::<sql::Text, _>(&partition.name)
            .bind::<sql::Timestamptz, _>(partition.starts_at)
            .bind::<sql::Timestamptz, _>(partition.ends_at)
            .get_result(self.conn())
            .map_err(store_error)?;
        Ok(row.reason)
    }

    fn read_partition(&mut self, partition: &Partition, sink: Sink<'_>) -> Result<u64, StoreError> {
        let conn = self.conn();
        sql_query(READ)
            .bind::<sql::Timestamptz, _>(partition.starts_at)
            .bind::<sql::Timestamptz, _>(partition.ends_at)
            .execute(conn)
            .map_err(store_error)?;
        let mut read = 0;
        loop {
            let rows: Vec<Row> = sql_query(format!("fetch {CHUNK} from events_of_a_month"))
                .load(conn)
                .map_err(store_error)?;
            if rows.is_empty() {
                break;
            }
            read += u64::try_from(rows.len()).unwrap_or(0);
            let events: Vec<ArchivedEvent> = rows.into_iter().map(ArchivedEvent::from).collect();
            sink(&events)?;
        }
        conn.batch_execute("close events_of_a_month")
            .map_err(store_error)?;
        Ok(read)
    }

    fn drop_partition(
        &mut self,
        partition: &Partition,
        exported: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        self.conn().batch_execute(PATIENCE).map_err(store_error)?;
        let exported = exported.map(|events| i64::try_from(events).unwrap_or(i64::MAX));
        let row: Dropped = sql_query("select app.drop_usage_partition($1, $2) as events")
            .bind::<sql::Text, _>(&partition.name)
            .bind::<sql::Nullable<sql::BigInt>, _>(exported)
            .get_result(self.conn())
            .map_err(store_error)?;
        Ok(row.events.map(|events| u64::try_from(events).unwrap_or(0)))
    }
}

/// Whether every event that happened in the quarter of an hour around `at` is kept.
pub(super) fn keeps_quarter(
    conn: &mut PgConnection,
    at: OffsetDateTime,
) -> Result<bool, StoreError> {
    let quarter = quarter_of(at);
    let row: Answer = sql_query(
        "select not exists (select from usage_dropped_partitions where first_at < $2 and last_at >= $1) as answer",
    )
    .bind::<sql::Timestamptz, _>(quarter)
    .bind::<sql::Timestamptz, _>(quarter.saturating_add(BUCKET))
    .get_result(conn)
    .map_err(store_error)?;
    Ok(row.answer)
}

/// An answer needs the events themselves where a quarter has some on both sides of an end of the range; and everywhere, when it is about an
/// older moment than the rollups are.
const LOST: &str = "
with gone as materialized (
    select first_at, last_at from usage_dropped_partitions where first_at < $4 and last_at >= $3
), cut as (
    select quarter from unnest(array[$5, $6]) as c (quarter)
    where exists (select from gone where first_at < quarter + interval '15 minutes' and last_at >= quarter)
)
select (
    exists (select from gone) and pg_snapshot_xmin($7::pg_snapshot)::text::bigint < (select txid from usage_watermark)
) or exists (
    select from cut join usage_rollups r on r.tenant_id = $1 and r.meter_id = any ($2) and r.bucket = cut.quarter
    where (r.first_at < $3 or r.last_at >= $4) and r.last_at >= $3 and r.first_at < $4
) as answer";

/// Refuses an answer as of a watermark that events which are not kept any more would belong to. Asked after the answer was read, so that
/// nothing goes between.
///
/// # Errors
/// [`StoreError::Unexpected`]: whoever asks cannot mend it.
pub(super) fn check_as_of(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    query: &UsageQuery,
    watermark: &str,
) -> Result<(), StoreError> {
    let meters: Vec<Uuid> = query
        .meters
        .iter()
        .map(|meter| meter.id.as_uuid())
        .collect();
    let last = query.to.saturating_sub(Duration::MICROSECOND);
    let row: Answer = sql_query(LOST)
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Array<sql::Uuid>, _>(meters)
        .bind::<sql::Timestamptz, _>(query.from)
        .bind::<sql::Timestamptz, _>(query.to)
        .bind::<sql::Timestamptz, _>(quarter_of(query.from))
        .bind::<sql::Timestamptz, _>(quarter_of(last))
        .bind::<sql::Text, _>(watermark)
        .get_result(conn)
        .map_err(store_error)?;
    if row.answer {
        return Err(StoreError::Unexpected(format!(
            "usage from {} to {} as of {watermark} cannot be told any more: it would need events that are not kept",
            query.from, query.to
        )));
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Month {
    #[diesel(sql_type = sql::Text)]
    name: String,
    #[diesel(sql_type = sql::Timestamptz)]
    starts_at: OffsetDateTime,
    #[diesel(sql_type = sql::Timestamptz)]
    ends_at: OffsetDateTime,
}

impl From<Month> for Partition {
    fn from(month: Month) -> Self {
        Self {
            name: month.name,
            starts_at: month.starts_at,
            ends_at: month.ends_at,
        }
    }
}

#[derive(QueryableByName)]
struct Reason {
    #[diesel(sql_type = sql::Nullable<sql::Text>)]
    reason: Option<String>,
}

#[derive(QueryableByName)]
struct Dropped {
    #[diesel(sql_type = sql::Nullable<sql::BigInt>)]
    events: Option<i64>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql::Uuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = sql::Text)]
    metric: String,
    #[diesel(embed)]
    event: EventRow,
}

impl From<Row> for ArchivedEvent {
    fn from(row: Row) -> Self {
        Self {
            tenant_id: row.tenant_id.into(),
            event: row.event.of_metric(row.metric),
        }
    }
}
