//! What operators give a tenant besides its plan.

use billing::Override;
use diesel::{
    ExpressionMethods, PgConnection, QueryDsl, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use kernel::{StoreError, TenantId};
use pg_schema::schema::tenant_entitlement_overrides as overrides;
use time::{Duration, OffsetDateTime};

use super::plans::GrantRow;
use crate::error::store_error;

/// A grant, why, and until when.
type Row = (GrantRow, Option<String>, Option<OffsetDateTime>);

fn read((grant, reason, expires_at): Row) -> Result<Override, StoreError> {
    Ok(Override {
        grant: grant.read()?,
        expires_at,
        reason,
    })
}

pub(super) fn list(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: Option<&str>,
) -> Result<Vec<Override>, StoreError> {
    let mut query = overrides::table
        .filter(overrides::tenant_id.eq(tenant_id.as_uuid()))
        .select((
            (
                overrides::key,
                overrides::kind,
                overrides::maximum,
                overrides::metric,
                overrides::value,
                overrides::cycle,
                overrides::enforcement,
                overrides::grace_percent,
                overrides::grace_seconds,
            ),
            overrides::reason,
            overrides::expires_at,
        ))
        .order(overrides::key)
        .into_boxed();
    if let Some(key) = key {
        query = query.filter(overrides::key.eq(key));
    }
    let rows: Vec<Row> = query.load(conn).map_err(store_error)?;
    let mut found = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    // By the bytes of the key, whatever the locale of the database.
    found.sort_by(|a, b| a.grant.key.cmp(&b.grant.key));
    Ok(found)
}

pub(super) fn put(conn: &mut PgConnection, given: &Override) -> Result<(), StoreError> {
    let grant = &given.grant;
    let grace = grant.enforcement.grace();
    sql_query("select app.put_override($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
        .bind::<Text, _>(&grant.key)
        .bind::<Text, _>(grant.kind.as_str())
        .bind::<Nullable<BigInt>, _>(grant.maximum)
        .bind::<Nullable<Text>, _>(&grant.metric)
        .bind::<Nullable<Jsonb>, _>(&grant.value)
        .bind::<Text, _>(grant.cycle.as_str())
        .bind::<Text, _>(grant.enforcement.as_str())
        .bind::<Nullable<Integer>, _>(grace.and_then(|grace| grace.percent).map(i32::from))
        .bind::<Nullable<BigInt>, _>(
            grace
                .and_then(|grace| grace.lasts)
                .map(Duration::whole_seconds),
        )
        .bind::<Nullable<Text>, _>(&given.reason)
        .bind::<Nullable<Timestamptz>, _>(given.expires_at)
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn delete(conn: &mut PgConnection, key: &str) -> Result<(), StoreError> {
    sql_query("select app.delete_override($1)")
        .bind::<Text, _>(key)
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}
