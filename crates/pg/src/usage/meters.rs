//! Meters: a tenant's own beside those from the start, as one list.

use diesel::{
    OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types as sql,
};
use kernel::{Name, PageRequest, StoreError, TenantId};
use time::OffsetDateTime;
use usage::{Aggregation, Meter};
use uuid::Uuid;

use super::versions;
use crate::error::{store_error, unreadable};

/// One row a key: where both have it, the tenant's own.
macro_rules! meters {
    ($where:literal, $rest:literal) => {
        concat!(
            "select distinct on (key) id, key, name, aggregation, unit, dimensions, value_field, \
             allows_negative, version, created_at from (
                 select 0 as rank, id, key collate \"C\" as key, name, aggregation, unit, dimensions, value_field, \
                     allows_negative, version, created_at
                 from meters where tenant_id = $1
                 union all
                 select 1, id, key collate \"C\", name, aggregation, unit, dimensions, null, false, 1, created_at
                 from standard_meters
             ) m where ",
            $where,
            " order by key, rank ",
            $rest
        )
    };
}

pub(super) fn page(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    page: &PageRequest,
    after: Option<&str>,
) -> Result<Vec<Meter>, StoreError> {
    let rows = sql_query(meters!("key > $2", "limit $3"))
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Text, _>(after.unwrap_or_default())
        .bind::<sql::BigInt, _>(i64::from(page.limit) + 1)
        .load(conn);
    rows.map_err(store_error).and_then(read)
}

pub(super) fn all(conn: &mut PgConnection, tenant_id: TenantId) -> Result<Vec<Meter>, StoreError> {
    let rows = sql_query(meters!("true", ""))
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .load(conn);
    rows.map_err(store_error).and_then(read)
}

pub(super) fn by_key(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    keys: &[String],
) -> Result<Vec<Meter>, StoreError> {
    let rows = sql_query(meters!("key = any ($2)", ""))
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Array<sql::Text>, _>(keys)
        .load(conn);
    rows.map_err(store_error).and_then(read)
}

pub(super) fn by_id(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    ids: &[Uuid],
) -> Result<Vec<Meter>, StoreError> {
    let rows = sql_query(
        "select id, key, name, aggregation, unit, dimensions, value_field, allows_negative, version, created_at
         from meters where tenant_id = $1 and id = any ($2)
         union all
         select id, key, name, aggregation, unit, dimensions, null, false, 1, created_at
         from standard_meters where id = any ($2)",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Array<sql::Uuid>, _>(ids)
    .load(conn);
    rows.map_err(store_error).and_then(read)
}

pub(super) fn insert(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    meter: &Meter,
) -> Result<(), StoreError> {
    sql_query(
        "insert into meters (tenant_id, id, key, name, aggregation, unit, dimensions, value_field, allows_negative, version, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Uuid, _>(meter.id.as_uuid())
    .bind::<sql::Text, _>(&meter.key)
    .bind::<sql::Text, _>(meter.name.as_str())
    .bind::<sql::Text, _>(meter.aggregation.as_str())
    .bind::<sql::Text, _>(&meter.unit)
    .bind::<sql::Array<sql::Text>, _>(&meter.dimensions)
    .bind::<sql::Nullable<sql::Text>, _>(&meter.value_field)
    .bind::<sql::Bool, _>(meter.allows_negative)
    .bind::<sql::BigInt, _>(meter.version)
    .bind::<sql::Timestamptz, _>(meter.created_at)
    .execute(conn)
    .map_err(store_error)?;
    versions::keep(conn, tenant_id, meter, meter.created_at)
}

pub(super) fn for_update(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &str,
) -> Result<Option<Meter>, StoreError> {
    let row: Option<MeterRow> = sql_query(
        "select id, key, name, aggregation, unit, dimensions, value_field, allows_negative, version, created_at
         from meters where tenant_id = $1 and key = $2 for update",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Text, _>(key)
    .get_result(conn)
    .optional()
    .map_err(store_error)?;
    row.map(MeterRow::into_meter).transpose()
}

pub(super) fn update(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    before: &Meter,
    after: &Meter,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    // The release before makes meters without a version.
    versions::keep(conn, tenant_id, before, before.created_at)?;
    sql_query(
        "update meters set name = $3, dimensions = $4, value_field = $5, allows_negative = $6, version = $7
         where tenant_id = $1 and id = $2",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Uuid, _>(after.id.as_uuid())
    .bind::<sql::Text, _>(after.name.as_str())
    .bind::<sql::Array<sql::Text>, _>(&after.dimensions)
    .bind::<sql::Nullable<sql::Text>, _>(&after.value_field)
    .bind::<sql::Bool, _>(after.allows_negative)
    .bind::<sql::BigInt, _>(after.version)
    .execute(conn)
    .map_err(store_error)?;
    versions::keep(conn, tenant_id, after, now)
}

fn read(rows: Vec<MeterRow>) -> Result<Vec<Meter>, StoreError> {
    rows.into_iter().map(MeterRow::into_meter).collect()
}

#[derive(QueryableByName)]
pub(super) struct MeterRow {
    #[diesel(sql_type = sql::Uuid)]
    id: Uuid,
    #[diesel(sql_type = sql::Text)]
    key: String,
    #[diesel(sql_type = sql::Text)]
    name: String,
    #[diesel(sql_type = sql::Text)]
    aggregation: String,
    #[diesel(sql_type = sql::Text)]
    unit: String,
    #[diesel(sql_type = sql::Array<sql::Text>)]
    dimensions: Vec<String>,
    #[diesel(sql_type = sql::Nullable<sql::Text>)]
    value_field: Option<String>,
    #[diesel(sql_type = sql::Bool)]
    allows_negative: bool,
    #[diesel(sql_type = sql::BigInt)]
    version: i64,
    #[diesel(sql_type = sql::Timestamptz)]
    created_at: OffsetDateTime,
}

impl MeterRow {
    pub(super) fn into_meter(self) -> Result<Meter, StoreError> {
        let aggregation = Aggregation::parse(&self.aggregation)
            .ok_or_else(|| unreadable("aggregation", &self.aggregation))?;
        Ok(Meter {
            id: self.id.into(),
            key: self.key,
            name: Name::stored(self.name),
            aggregation,
            unit: self.unit,
            dimensions: self.dimensions,
            value_field: self.value_field,
            allows_negative: self.allows_negative,
            version: self.version,
            created_at: self.created_at,
        })
    }
}
