//! Imports: their rows, their totals, and what the tenants have of them.

use bigdecimal::BigDecimal;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    result::{Error, OptionalExtension},
    sql_query, sql_types as sql,
};
use kernel::{StoreError, TenantId};
use time::OffsetDateTime;
use usage::{
    Status,
    import::{Identity, Import, ImportStore, ImportTotal, Imported, Position},
};
use uuid::Uuid;

use crate::{
    PgTx,
    error::{store_error, unreadable},
    tenancy::has_tenant,
};

impl ImportStore for PgTx {
    fn import(&mut self, id: Uuid) -> Result<Option<Import>, StoreError> {
        find(self.conn(), id, "").map_err(store_error)
    }

    fn hold_import(&mut self, identity: &Identity) -> Result<Import, StoreError> {
        add(self.conn(), identity).map_err(store_error)?;
        let held = find(self.conn(), identity.id(), " for update").map_err(store_error)?;
        held.ok_or_else(|| StoreError::Unexpected("an import does not see its own row".to_owned()))
    }

    fn move_import(
        &mut self,
        id: Uuid,
        to: &Position,
        unassigned: u64,
        finished: bool,
    ) -> Result<(), StoreError> {
        sql_query(
            "update usage_imports set rows_done = $2, digest = $3, unassigned = unassigned + $4, moved_at = now(),
                 finished_at = case when $5 then now() end
             where principal_id = $1",
        )
        .bind::<sql::Uuid, _>(id)
        .bind::<sql::BigInt, _>(signed(to.rows))
        .bind::<sql::Text, _>(&to.digest)
        .bind::<sql::BigInt, _>(signed(unassigned))
        .bind::<sql::Bool, _>(finished)
        .execute(self.conn())
        .map(drop)
        .map_err(store_error)
    }

    fn enter_tenant(&mut self, tenant_id: TenantId) -> Result<(), StoreError> {
        self.enter(tenant_id)
    }

    fn has_tenant(&mut self, tenant_id: TenantId) -> Result<bool, StoreError> {
        has_tenant(self.conn(), tenant_id)
    }

    fn tenant_of_slug(&mut self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        sql_query("select app.tenant_of_slug($1) as id")
            .bind::<sql::Text, _>(slug)
            .get_result(self.conn())
            .map(|row: Id| row.id.map(TenantId::from))
            .map_err(store_error)
    }

    fn add_import_totals(
        &mut self,
        tenant_id: TenantId,
        id: Uuid,
        totals: &[ImportTotal],
    ) -> Result<(), StoreError> {
        add_totals(self.conn(), tenant_id, id, totals).map_err(store_error)
    }

    fn import_totals(
        &mut self,
        tenant_id: TenantId,
        id: Uuid,
    ) -> Result<Vec<ImportTotal>, StoreError> {
        let rows: Vec<TotalRow> = sql_query(
            "select metric, outcome, events, quantity from usage_import_totals
             where tenant_id = $1 and import_id = $2 order by metric collate \"C\", outcome",
        )
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Uuid, _>(id)
        .load(self.conn())
        .map_err(store_error)?;
        rows.into_iter().map(TotalRow::into_total).collect()
    }

    fn imported(
        &mut self,
        tenant_id: TenantId,
        source: &str,
        since: OffsetDateTime,
    ) -> Result<Vec<Imported>, StoreError> {
        let rows: Vec<ImportedRow> = sql_query(IMPORTED)
            .bind::<sql::Uuid, _>(tenant_id.as_uuid())
            .bind::<sql::Text, _>(source)
            .bind::<sql::Timestamptz, _>(since)
            .load(self.conn())
            .map_err(store_error)?;
        Ok(rows.into_iter().map(ImportedRow::into_imported).collect())
    }
}

/// The import's own events alone: none of them was received before it began, so older partitions are not read.
const IMPORTED: &str = "
    select coalesce(m.key, s.key) as metric, e.events, e.quantity, e.first_at, e.last_at
    from (
        select meter_id, count(*) as events, sum(quantity) as quantity, min(occurred_at) as first_at, max(occurred_at) as last_at
        from usage_events where tenant_id = $1 and source = $2 and received_at >= $3 group by meter_id
    ) e
    left join meters m on m.tenant_id = $1 and m.id = e.meter_id
    left join standard_meters s on s.id = e.meter_id
    order by 1";

/// Whoever adds the same import at the same time is waited for.
fn add(conn: &mut PgConnection, identity: &Identity) -> Result<usize, Error> {
    sql_query(
        "insert into usage_imports (principal_id, source, table_name, mapping, started_at, moved_at)
         values ($1, $2, $3, $4, now(), now()) on conflict do nothing",
    )
    .bind::<sql::Uuid, _>(identity.id())
    .bind::<sql::Text, _>(&identity.source)
    .bind::<sql::Text, _>(&identity.table)
    .bind::<sql::Text, _>(&identity.mapping)
    .execute(conn)
}

fn find(conn: &mut PgConnection, id: Uuid, lock: &str) -> Result<Option<Import>, Error> {
    let row: Option<ImportRow> = sql_query(format!(
        "select mapping, rows_done, digest, unassigned, started_at, finished_at
         from usage_imports where principal_id = $1{lock}"
    ))
    .bind::<sql::Uuid, _>(id)
    .get_result(conn)
    .optional()?;
    Ok(row.map(ImportRow::into_import))
}

fn add_totals(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: Uuid,
    totals: &[ImportTotal],
) -> Result<(), Error> {
    let metrics: Vec<&str> = totals.iter().map(|total| total.metric.as_str()).collect();
    let outcomes: Vec<&str> = totals.iter().map(|total| total.status.as_str()).collect();
    let events: Vec<i64> = totals.iter().map(|total| signed(total.events)).collect();
    let quantities: Vec<&BigDecimal> = totals.iter().map(|total| &total.quantity).collect();
    sql_query(
        "insert into usage_import_totals as t (tenant_id, import_id, metric, outcome, events, quantity)
         select $1, $2, g.* from unnest($3::text[], $4::text[], $5::bigint[], $6::numeric[]) g
         on conflict (tenant_id, import_id, metric, outcome)
             do update set events = t.events + excluded.events, quantity = t.quantity + excluded.quantity",
    )
    .bind::<sql::Uuid, _>(tenant_id.as_uuid())
    .bind::<sql::Uuid, _>(id)
    .bind::<sql::Array<sql::Text>, _>(metrics)
    .bind::<sql::Array<sql::Text>, _>(outcomes)
    .bind::<sql::Array<sql::BigInt>, _>(events)
    .bind::<sql::Array<sql::Numeric>, _>(quantities)
    .execute(conn)
    .map(drop)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[derive(QueryableByName)]
struct ImportRow {
    #[diesel(sql_type = sql::Text)]
    mapping: String,
    #[diesel(sql_type = sql::BigInt)]
    rows_done: i64,
    #[diesel(sql_type = sql::Text)]
    digest: String,
    #[diesel(sql_type = sql::BigInt)]
    unassigned: i64,
    #[diesel(sql_type = sql::Timestamptz)]
    started_at: OffsetDateTime,
    #[diesel(sql_type = sql::Nullable<sql::Timestamptz>)]
    finished_at: Option<OffsetDateTime>,
}

impl ImportRow {
    fn into_import(self) -> Import {
        Import {
            mapping: self.mapping,
            position: Position {
                rows: unsigned(self.rows_done),
                digest: self.digest,
            },
            unassigned: unsigned(self.unassigned),
            started_at: self.started_at,
            finished_at: self.finished_at,
        }
    }
}

#[derive(QueryableByName)]
struct TotalRow {
    #[diesel(sql_type = sql::Text)]
    metric: String,
    #[diesel(sql_type = sql::Text)]
    outcome: String,
    #[diesel(sql_type = sql::BigInt)]
    events: i64,
    #[diesel(sql_type = sql::Numeric)]
    quantity: BigDecimal,
}

impl TotalRow {
    fn into_total(self) -> Result<ImportTotal, StoreError> {
        let status =
            Status::parse(&self.outcome).ok_or_else(|| unreadable("outcome", &self.outcome))?;
        Ok(ImportTotal {
            metric: self.metric,
            status,
            events: unsigned(self.events),
            quantity: self.quantity,
        })
    }
}

#[derive(QueryableByName)]
struct ImportedRow {
    #[diesel(sql_type = sql::Text)]
    metric: String,
    #[diesel(sql_type = sql::BigInt)]
    events: i64,
    #[diesel(sql_type = sql::Numeric)]
    quantity: BigDecimal,
    #[diesel(sql_type = sql::Timestamptz)]
    first_at: OffsetDateTime,
    #[diesel(sql_type = sql::Timestamptz)]
    last_at: OffsetDateTime,
}

impl ImportedRow {
    fn into_imported(self) -> Imported {
        Imported {
            metric: self.metric,
            events: unsigned(self.events),
            quantity: self.quantity,
            first_at: self.first_at,
            last_at: self.last_at,
        }
    }
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    id: Option<Uuid>,
}
