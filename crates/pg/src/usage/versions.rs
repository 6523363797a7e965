//! What meters are and were.

use std::collections::BTreeSet;

use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types as sql};
use kernel::{MeterId, Name, StoreError, TenantId};
use time::OffsetDateTime;
use usage::{Meter, MeterVersion};
use uuid::Uuid;

use crate::error::store_error;

/// Writes a version down, unless it is.
pub(super) fn keep(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    meter: &Meter,
    created_at: OffsetDateTime,
) -> Result<(), StoreError> {
    sql_query(
        "insert into meter_versions (tenant_id, meter_id, version, name, dimensions, value_field, allows_negative, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Uuid, _>(meter.id.as_uuid())
    .bind::<sql::BigInt, _>(meter.version)
    .bind::<sql::Text, _>(meter.name.as_str())
    .bind::<sql::Array<sql::Text>, _>(&meter.dimensions)
    .bind::<sql::Nullable<sql::Text>, _>(&meter.value_field)
    .bind::<sql::Bool, _>(meter.allows_negative)
    .bind::<sql::Timestamptz, _>(created_at)
    .execute(conn)
    .map(drop)
    .map_err(store_error)
}

pub(super) fn page(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    meter_id: MeterId,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<MeterVersion>, StoreError> {
    let rows: Vec<VersionRow> = sql_query(
        "select version, name, dimensions, value_field, allows_negative, created_at from meter_versions
         where tenant_id = $1 and meter_id = $2 and version < $3 order by version desc limit $4",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Uuid, _>(meter_id.as_uuid())
    .bind::<sql::BigInt, _>(before.unwrap_or(i64::MAX))
    .bind::<sql::BigInt, _>(i64::from(limit))
    .load(conn)
    .map_err(store_error)?;
    Ok(rows.into_iter().map(MeterVersion::from).collect())
}

pub(super) fn dimensions(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    meters: &[MeterId],
) -> Result<BTreeSet<String>, StoreError> {
    let ids: Vec<Uuid> = meters.iter().map(|id| id.as_uuid()).collect();
    let rows: Vec<Dimension> = sql_query(
        "select distinct unnest(dimensions) as name from meter_versions where tenant_id = $1 and meter_id = any ($2)",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Array<sql::Uuid>, _>(ids)
    .load(conn)
    .map_err(store_error)?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

#[derive(QueryableByName)]
struct Dimension {
    #[diesel(sql_type = sql::Text)]
    name: String,
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = sql::BigInt)]
    version: i64,
    #[diesel(sql_type = sql::Text)]
    name: String,
    #[diesel(sql_type = sql::Array<sql::Text>)]
    dimensions: Vec<String>,
    #[diesel(sql_type = sql::Nullable<sql::Text>)]
    value_field: Option<String>,
    #[diesel(sql_type = sql::Bool)]
    allows_negative: bool,
    #[diesel(sql_type = sql::Timestamptz)]
    created_at: OffsetDateTime,
}

impl From<VersionRow> for MeterVersion {
    fn from(row: VersionRow) -> Self {
        Self {
            version: row.version,
            name: Name::stored(row.name),
            dimensions: row.dimensions,
            value_field: row.value_field,
            allows_negative: row.allows_negative,
            created_at: row.created_at,
        }
    }
}
