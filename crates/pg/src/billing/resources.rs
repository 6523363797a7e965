//! Counted things of the host product.

use billing::Resource;
use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, PgConnection, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper, insert_into,
};
use kernel::{PageRequest, StoreError, TenantId};
use pg_schema::schema::resources;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::store_error;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = resources)]
struct Row {
    tenant_id: Uuid,
    kind: String,
    external_id: String,
    created_at: OffsetDateTime,
}

impl From<Row> for Resource {
    fn from(row: Row) -> Self {
        Self {
            tenant_id: row.tenant_id.into(),
            kind: row.kind,
            external_id: row.external_id,
            created_at: row.created_at,
        }
    }
}

pub(super) fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    kind: &str,
    external_id: &str,
) -> Result<Option<Resource>, StoreError> {
    let row: Option<Row> = resources::table
        .find((tenant_id.as_uuid(), kind, external_id))
        .select(Row::as_select())
        .first(conn)
        .optional()
        .map_err(store_error)?;
    Ok(row.map(Resource::from))
}

pub(super) fn list(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    kind: &str,
    page: &PageRequest,
    after: Option<&str>,
) -> Result<Vec<Resource>, StoreError> {
    let mut query = resources::table
        .filter(resources::tenant_id.eq(tenant_id.as_uuid()))
        .filter(resources::kind.eq(kind))
        .order(resources::external_id)
        .limit(i64::from(page.limit) + 1)
        .select(Row::as_select())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(resources::external_id.gt(after));
    }
    let rows: Vec<Row> = query.load(conn).map_err(store_error)?;
    Ok(rows.into_iter().map(Resource::from).collect())
}

pub(super) fn insert(conn: &mut PgConnection, one: &Resource) -> Result<(), StoreError> {
    insert_into(resources::table)
        .values(Row {
            tenant_id: one.tenant_id.into(),
            kind: one.kind.clone(),
            external_id: one.external_id.clone(),
            created_at: one.created_at,
        })
        .execute(conn)
        .map(drop)
        .map_err(store_error)
}

pub(super) fn delete(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    kind: &str,
    external_id: &str,
) -> Result<bool, StoreError> {
    diesel::delete(resources::table.find((tenant_id.as_uuid(), kind, external_id)))
        .execute(conn)
        .map(|rows| rows > 0)
        .map_err(store_error)
}
