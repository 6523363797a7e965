//! Batches of events: one statement for all tenants of a group, and each event let in once.

use std::iter;

use bigdecimal::BigDecimal;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types as sql};
use kernel::{ProjectId, StoreError, TenantId};
use time::OffsetDateTime;
use usage::{
    Meter,
    ingest::{Appended, Batch, MeteredEvent},
    ports::{TenantEvents, Wanted},
};
use uuid::Uuid;

use super::{bet, meters::MeterRow};
use crate::{
    error::{store_error, unreadable},
    prepared::Prepared,
};

/// Whose the transaction is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tenancy {
    /// One tenant's, and its scope says so.
    OfOne,
    /// Nobody's: it becomes one of each tenant in turn. Or that of the only one, in which it stays.
    OfEach,
}

impl Tenancy {
    fn enters(self) -> bool {
        self == Self::OfEach
    }
}

/// Tells the time, and what there is of what events of these tenants name, in the order given.
///
/// The transaction holds the month it is in from here on: `app.usage_received_at`.
pub(super) fn open(
    conn: &mut PgConnection,
    tenancy: Tenancy,
    wanted: &[Wanted],
) -> Result<Vec<Batch>, StoreError> {
    let keys = || wanted.iter().flat_map(|wanted| &wanted.metrics);
    let rows: Vec<OpenRow> = Prepared(sql_query(
        "select r.received_at, m.place, m.id, m.key, m.name, m.aggregation, m.unit, m.dimensions, m.value_field,
             m.allows_negative, m.version, m.created_at
         from (select app.usage_received_at() as received_at offset 0) r
         left join app.named_meters($1, $2, $3, $4) m on true",
    )
    .bind::<sql::Bool, _>(tenancy.enters())
    .bind::<sql::Array<sql::Uuid>, _>(tenants(wanted.iter().map(|wanted| wanted.tenant_id)))
    .bind::<sql::Array<sql::Integer>, _>(sizes(wanted.iter().map(|wanted| wanted.metrics.len())))
    .bind::<sql::Array<sql::Text>, _>(keys().collect::<Vec<_>>()))
    .load(conn)
    .map_err(store_error)?;
    let received_at = rows.first().map(|row| row.received_at);
    let received_at = received_at.ok_or_else(|| unreadable("clock", "no row"))?;
    let mut batches: Vec<Batch> = wanted
        .iter()
        .map(|_| Batch {
            received_at,
            meters: Vec::new(),
            projects: Vec::new(),
        })
        .collect();
    let mut standard = Vec::new();
    for row in rows {
        let Some((place, meter)) = row.meter()? else {
            continue;
        };
        match batches.get_mut(place) {
            Some(batch) => batch.meters.push(meter),
            None => standard.push(meter),
        }
    }
    for (batch, wanted) in batches.iter_mut().zip(wanted) {
        let is_wanted = |meter: &&Meter| {
            wanted.metrics.contains(&meter.key)
                && batch.meters.iter().all(|own| own.key != meter.key)
        };
        let missing: Vec<Meter> = standard.iter().filter(is_wanted).cloned().collect();
        batch.meters.extend(missing);
    }
    for (place, project) in known_projects(conn, tenancy, wanted)? {
        if let Some(batch) = batches.get_mut(place) {
            batch.projects.push(project);
        }
    }
    Ok(batches)
}

fn known_projects(
    conn: &mut PgConnection,
    tenancy: Tenancy,
    wanted: &[Wanted],
) -> Result<Vec<(usize, ProjectId)>, StoreError> {
    let ids = wanted.iter().flat_map(|wanted| &wanted.projects);
    let ids: Vec<Uuid> = ids.map(|id| id.as_uuid()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Placed> = Prepared(
        sql_query("select place, id from app.usage_projects($1, $2, $3, $4)")
            .bind::<sql::Bool, _>(tenancy.enters())
            .bind::<sql::Array<sql::Uuid>, _>(tenants(wanted.iter().map(|wanted| wanted.tenant_id)))
            .bind::<sql::Array<sql::Integer>, _>(sizes(
                wanted.iter().map(|wanted| wanted.projects.len()),
            ))
            .bind::<sql::Array<sql::Uuid>, _>(ids),
    )
    .load(conn)
    .map_err(store_error)?;
    let placed = rows.into_iter();
    Ok(placed
        .map(|row| (index(row.place), row.id.into()))
        .collect())
}

/// Writes the events of each tenant, and says what became of each, in the order given.
pub(super) fn append(
    conn: &mut PgConnection,
    tenancy: Tenancy,
    batches: &[TenantEvents<'_>],
) -> Result<Vec<Vec<Appended>>, StoreError> {
    let mut appended: Vec<Vec<Appended>> = batches
        .iter()
        .map(|batch| vec![Appended::Now; batch.events.len()])
        .collect();
    let columns = Columns::of(batches);
    let Some(received_at) = columns.received_at else {
        return Ok(appended);
    };
    let places = columns.places;
    let there_before: Vec<ThereBefore> = Prepared(
        sql_query(
            "select place, payload_hash from app.append_usage_events(
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        )
        .bind::<sql::Bool, _>(tenancy.enters())
        .bind::<sql::Bool, _>(bet::is_on())
        .bind::<sql::Array<sql::Uuid>, _>(columns.tenants)
        .bind::<sql::Array<sql::Integer>, _>(columns.sizes)
        .bind::<sql::Timestamptz, _>(received_at)
        .bind::<sql::Array<sql::Uuid>, _>(columns.dedup)
        .bind::<sql::Array<sql::Uuid>, _>(columns.payload_hash)
        .bind::<sql::Array<sql::Uuid>, _>(columns.meter_id)
        .bind::<sql::Array<sql::Timestamptz>, _>(columns.occurred_at)
        .bind::<sql::Array<sql::Numeric>, _>(columns.quantity)
        .bind::<Sparse<sql::Uuid>, _>(unless_empty(columns.project_id))
        .bind::<sql::Array<sql::Text>, _>(columns.event_id)
        .bind::<sql::Array<sql::Text>, _>(columns.source)
        .bind::<Sparse<sql::Text>, _>(unless_empty(columns.user_id))
        .bind::<Sparse<sql::Text>, _>(unless_empty(columns.model))
        .bind::<Sparse<sql::Text>, _>(unless_empty(columns.metadata))
        .bind::<Sparse<sql::Text>, _>(unless_empty(columns.dims))
        .bind::<Sparse<sql::Uuid>, _>(unless_empty(columns.value_hash)),
    )
    .load(conn)
    .map_err(store_error)?;
    bet::learn(!there_before.is_empty());
    for row in there_before {
        let place = places.get(index(row.place));
        let outcome = place.and_then(|(batch, event)| appended.get_mut(*batch)?.get_mut(*event));
        let outcome = outcome.ok_or_else(|| unreadable("place of an event", row.place))?;
        *outcome = Appended::Before {
            payload_hash: row.payload_hash,
        };
    }
    Ok(appended)
}

/// A column that may be NULL in any row, or altogether.
type Sparse<T> = sql::Nullable<sql::Array<sql::Nullable<T>>>;

/// A column without a value need not travel.
fn unless_empty<T>(column: Vec<Option<T>>) -> Option<Vec<Option<T>>> {
    Some(column).filter(|column| column.iter().any(Option::is_some))
}

fn tenants(ids: impl Iterator<Item = TenantId>) -> Vec<Uuid> {
    ids.map(TenantId::as_uuid).collect()
}

fn sizes(sizes: impl Iterator<Item = usize>) -> Vec<i32> {
    sizes
        .map(|size| i32::try_from(size).unwrap_or(i32::MAX))
        .collect()
}

/// PostgreSQL counts from one.
fn index(place: i32) -> usize {
    usize::try_from(place).unwrap_or(0).wrapping_sub(1)
}

/// The events of several tenants, column by column: of each tenant by key.
#[derive(Default)]
struct Columns<'a> {
    received_at: Option<OffsetDateTime>,
    /// Which event of which batch stands at a place.
    places: Vec<(usize, usize)>,
    tenants: Vec<Uuid>,
    sizes: Vec<i32>,
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
    dims: Vec<Option<&'a str>>,
    value_hash: Vec<Option<Uuid>>,
}

impl<'a> Columns<'a> {
    fn of(batches: &[TenantEvents<'a>]) -> Self {
        let mut columns = Self::default();
        for (number, batch) in batches.iter().enumerate() {
            if batch.events.is_empty() {
                continue;
            }
            columns.received_at = Some(batch.received_at);
            columns.tenants.push(batch.tenant_id.as_uuid());
            columns.sizes.extend(sizes(iter::once(batch.events.len())));
            let mut by_key: Vec<(usize, &MeteredEvent<'_>)> =
                batch.events.iter().enumerate().collect();
            by_key.sort_unstable_by_key(|(_, event)| event.dedup);
            for (place, event) in by_key {
                columns.places.push((number, place));
                columns.push(event);
            }
        }
        columns
    }

    fn push(&mut self, metered: &'a MeteredEvent<'a>) {
        let event = &metered.event;
        self.dedup.push(metered.dedup);
        self.payload_hash.push(metered.payload_hash);
        self.meter_id.push(metered.meter_id.as_uuid());
        self.occurred_at.push(metered.occurred_at);
        self.quantity.push(metered.quantity.as_decimal());
        self.project_id
            .push(event.project_id.map(ProjectId::as_uuid));
        self.event_id.push(&event.id);
        self.source.push(&event.source);
        self.user_id.push(event.user_id.as_deref());
        self.model.push(event.model.as_deref());
        self.metadata.push(event.metadata.as_json());
        self.dims.push(metered.dims.as_deref());
        self.value_hash.push(metered.value_hash);
    }
}

#[derive(QueryableByName)]
struct OpenRow {
    #[diesel(sql_type = sql::Timestamptz)]
    received_at: OffsetDateTime,
    #[diesel(sql_type = sql::Nullable<sql::Integer>)]
    place: Option<i32>,
    #[diesel(embed)]
    meter: Option<MeterRow>,
}

impl OpenRow {
    /// The meter, and whose it is, or no place among tenants when it is everybody's; nothing when there is none of those that are named.
    fn meter(self) -> Result<Option<(usize, Meter)>, StoreError> {
        let (Some(place), Some(meter)) = (self.place, self.meter) else {
            return Ok(None);
        };
        Ok(Some((index(place), meter.into_meter()?)))
    }
}

#[derive(QueryableByName)]
struct Placed {
    #[diesel(sql_type = sql::Integer)]
    place: i32,
    #[diesel(sql_type = sql::Uuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct ThereBefore {
    #[diesel(sql_type = sql::Integer)]
    place: i32,
    #[diesel(sql_type = sql::Uuid)]
    payload_hash: Uuid,
}
