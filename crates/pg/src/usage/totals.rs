//! What billing asks for: one metric's total of a period, up to a watermark that gives the same answer whenever it is asked again.

use bigdecimal::{BigDecimal, Zero};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
use kernel::{StoreError, TenantId};
use time::OffsetDateTime;
use usage::{Buckets, Filter, GroupBy, query::UsageQuery};

use super::{meters, read, retention};
use crate::error::store_error;

/// A watermark that everything committed by now is behind, and nothing else: a snapshot, as PostgreSQL writes it.
pub(crate) fn current_watermark(conn: &mut PgConnection) -> Result<String, StoreError> {
    let row: Watermark = sql_query("select pg_current_snapshot()::text as watermark")
        .get_result(conn)
        .map_err(store_error)?;
    Ok(row.watermark)
}

/// What the meter's aggregation makes of `metric` in `[from, to)`, of events behind `watermark`; nought for a metric that is not there.
///
/// # Errors
/// [`StoreError`]; also when the answer would need events that are not kept any more.
pub(crate) fn metered_total(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    metric: &str,
    from: OffsetDateTime,
    to: OffsetDateTime,
    watermark: &str,
) -> Result<BigDecimal, StoreError> {
    let meters = meters::by_key(conn, tenant_id, &[metric.to_owned()])?;
    let query = UsageQuery {
        meters,
        from,
        to,
        buckets: Buckets::At(vec![from]),
        group_by: GroupBy::default(),
        filter: Filter::default(),
        project_id: None,
        with_empty: false,
    };
    let page = read::Page {
        as_of: Some(watermark),
        after: None,
        limit: 1,
    };
    let row = read::rows(conn, tenant_id, &query, &page)?.pop();
    retention::check_as_of(conn, tenant_id, &query, watermark)?;
    Ok(row.map_or_else(BigDecimal::zero, |row| row.quantity.as_decimal().clone()))
}

#[derive(QueryableByName)]
struct Watermark {
    #[diesel(sql_type = Text)]
    watermark: String,
}
