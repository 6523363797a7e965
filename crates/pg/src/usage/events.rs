//! Batches of events: one statement a batch, and each event let in once.

use std::collections::HashMap;

use bigdecimal::BigDecimal;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types as sql};
use kernel::{ProjectId, StoreError, TenantId};
use time::OffsetDateTime;
use usage::ingest::{Appended, Batch, MeteredEvent};
use uuid::Uuid;

use super::meters;
use crate::error::store_error;

/// When events that are written now are received. The transaction holds its month from here on.
pub(super) fn received_at(conn: &mut PgConnection) -> Result<OffsetDateTime, StoreError> {
    let clock: Clock = sql_query("select app.usage_received_at() as received_at")
        .get_result(conn)
        .map_err(store_error)?;
    Ok(clock.received_at)
}

pub(super) fn batch(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    received_at: OffsetDateTime,
    metrics: &[String],
    projects: &[ProjectId],
) -> Result<Batch, StoreError> {
    Ok(Batch {
        received_at,
        meters: meters::by_key(conn, tenant_id, metrics)?,
        projects: if projects.is_empty() {
            Vec::new()
        } else {
            known_projects(conn, tenant_id, projects)?
        },
    })
}

fn known_projects(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    projects: &[ProjectId],
) -> Result<Vec<ProjectId>, StoreError> {
    let ids: Vec<Uuid> = projects.iter().map(|id| id.as_uuid()).collect();
    let rows: Vec<Id> = sql_query("select id from projects where tenant_id = $1 and id = any ($2)")
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Array<sql::Uuid>, _>(ids)
        .load(conn)
        .map_err(store_error)?;
    Ok(rows.into_iter().map(|row| row.id.into()).collect())
}

/// Looks each key up in the partitions of the last 35 days, and inserts what is not there. Rows go in by key, so that two batches with the
/// same keys wait for each other and never for each other's other half.
const APPEND: &str = "
with given as (
    select * from unnest(
        $3::uuid[], $4::uuid[], $5::uuid[], $6::timestamptz[], $7::numeric[], $8::uuid[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[]
    ) with ordinality as g (dedup, payload_hash, meter_id, occurred_at, quantity, project_id,
        event_id, source, user_id, model, metadata, place)
), before as (
    select g.place, e.payload_hash from given g cross join lateral (
        select e.payload_hash from usage_events e
        where e.tenant_id = $1 and e.dedup = g.dedup and e.received_at > $2 - interval '840 hours'
        limit 1
    ) e
), written as (
    insert into usage_events (tenant_id, received_at, txid, dedup, payload_hash, meter_id, occurred_at, quantity,
        project_id, event_id, source, user_id, model, metadata)
    select $1, $2, (select pg_current_xact_id()::text::bigint), g.dedup, g.payload_hash, g.meter_id, g.occurred_at,
        g.quantity, g.project_id, g.event_id, g.source, g.user_id, g.model, g.metadata::jsonb
    from given g
    where not exists (select from before b where b.place = g.place)
    order by g.dedup
    on conflict do nothing
    returning dedup
)
select g.dedup, w.dedup is not null as written, b.payload_hash
from given g left join written w on w.dedup = g.dedup left join before b on b.place = g.place
order by g.place";

pub(super) fn append(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    received_at: OffsetDateTime,
    events: &[MeteredEvent],
) -> Result<Vec<Appended>, StoreError> {
    let columns = Columns::of(events);
    let rows: Vec<Written> = sql_query(APPEND)
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Timestamptz, _>(received_at)
        .bind::<sql::Array<sql::Uuid>, _>(columns.dedup)
        .bind::<sql::Array<sql::Uuid>, _>(columns.payload_hash)
        .bind::<sql::Array<sql::Uuid>, _>(columns.meter_id)
        .bind::<sql::Array<sql::Timestamptz>, _>(columns.occurred_at)
        .bind::<sql::Array<sql::Numeric>, _>(columns.quantity)
        .bind::<sql::Array<sql::Nullable<sql::Uuid>>, _>(columns.project_id)
        .bind::<sql::Array<sql::Text>, _>(columns.event_id)
        .bind::<sql::Array<sql::Text>, _>(columns.source)
        .bind::<sql::Array<sql::Nullable<sql::Text>>, _>(columns.user_id)
        .bind::<sql::Array<sql::Nullable<sql::Text>>, _>(columns.model)
        .bind::<sql::Array<sql::Nullable<sql::Text>>, _>(columns.metadata)
        .load(conn)
        .map_err(store_error)?;
    let raced: Vec<Uuid> = rows
        .iter()
        .filter(|row| !row.written && row.payload_hash.is_none())
        .map(|row| row.dedup)
        .collect();
    let winners = if raced.is_empty() {
        HashMap::new()
    } else {
        winners(conn, tenant_id, received_at, &raced)?
    };
    let appended = |row: Written| {
        if row.written {
            return Ok(Appended::Now);
        }
        let payload_hash = row
            .payload_hash
            .or_else(|| winners.get(&row.dedup).copied());
        payload_hash
            .map(|payload_hash| Appended::Before { payload_hash })
            .ok_or_else(|| {
                StoreError::Unexpected("an event was neither written nor there before".to_owned())
            })
    };
    rows.into_iter().map(appended).collect()
}

/// Events that another transaction committed while this one waited for it: only a new snapshot sees them.
fn winners(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    received_at: OffsetDateTime,
    keys: &[Uuid],
) -> Result<HashMap<Uuid, Uuid>, StoreError> {
    let rows: Vec<Winner> = sql_query(
        "select dedup, payload_hash from usage_events
         where tenant_id = $1 and dedup = any ($2) and received_at > $3 - interval '840 hours'",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Array<sql::Uuid>, _>(keys)
    .bind::<sql::Timestamptz, _>(received_at)
    .load(conn)
    .map_err(store_error)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.dedup, row.payload_hash))
        .collect())
}

/// The batch, column by column.
#[derive(Default)]
struct Columns<'a> {
    dedup: Vec<Uuid>,
    payload_hash: Vec<Uuid>,
    meter_id: Vec<Uuid>,
    occurred_at: Vec<OffsetDateTime>,
    quantity: Vec<&'a BigDecimal>,
    project_id: Vec<Option<Uuid>>,
    event_id: Vec<&'a str>,
    source: Vec<&'a str>,
    user_id: Vec<Option<&'a str>>,
    model: Vec<Option<&'a str>>,
    metadata: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(events: &'a [MeteredEvent]) -> Self {
        let mut columns = Self::default();
        for metered in events {
            let event = &metered.event;
            columns.dedup.push(metered.dedup);
            columns.payload_hash.push(metered.payload_hash);
            columns.meter_id.push(metered.meter_id.as_uuid());
            columns.occurred_at.push(metered.occurred_at);
            columns.quantity.push(metered.quantity.as_decimal());
            columns
                .project_id
                .push(event.project_id.map(ProjectId::as_uuid));
            columns.event_id.push(&event.id);
            columns.source.push(&event.source);
            columns.user_id.push(event.user_id.as_deref());
            columns.model.push(event.model.as_deref());
            columns.metadata.push(event.metadata.as_json());
        }
        columns
    }
}

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = sql::Timestamptz)]
    received_at: OffsetDateTime,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = sql::Uuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = sql::Uuid)]
    dedup: Uuid,
    #[diesel(sql_type = sql::Bool)]
    written: bool,
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    payload_hash: Option<Uuid>,
}

#[derive(QueryableByName)]
struct Winner {
    #[diesel(sql_type = sql::Uuid)]
    dedup: Uuid,
    #[diesel(sql_type = sql::Uuid)]
    payload_hash: Uuid,
}
