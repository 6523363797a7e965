//! What billing asks for: one metric's total of a period, up to a watermark that gives the same answer whenever it is asked again.

use bigdecimal::{BigDecimal, Zero};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
use kernel::{StoreError, TenantId};
use time::OffsetDateTime;
use usage::{Aggregation, Buckets, Filter, GroupBy, Meter, query::UsageQuery};
use uuid::Uuid;

use super::{meters, read, retention};
use crate::error::store_error;

/// A watermark that everything committed by now is behind, and nothing else: a snapshot, as PostgreSQL writes it.
pub(crate) fn current_watermark(conn: &mut PgConnection) -> Result<String, StoreError> {
    let row: Watermark = sql_query("select app.usage_snapshot()::text as watermark")
        .get_result(conn)
        .map_err(store_error)?;
    Ok(row.watermark)
}

/// What a meter made of a time.
pub(crate) struct Total {
    pub(crate) quantity: BigDecimal,
    /// The meter, when what comes later is simply added.
    pub(crate) meter: Option<AddingMeter>,
}

/// A meter that sums or counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddingMeter {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    /// Whether it sums.
    pub(crate) sums: bool,
}

impl AddingMeter {
    fn of(meter: &Meter) -> Option<Self> {
        let sums = match meter.aggregation {
            Aggregation::Sum => true,
            Aggregation::Count => false,
            Aggregation::Min | Aggregation::Max | Aggregation::Latest | Aggregation::Unique => {
                return None;
            }
        };
        Some(Self {
            id: meter.id.as_uuid(),
            version: meter.version,
            sums,
        })
    }
}

/// What the meter's aggregation makes of `metric` in `[from, to)`, of events behind `watermark`; nought for a metric that is not there.
///
/// # Errors
/// [`StoreError`]; also when the answer would need events that are not kept any more.
pub(crate) fn metered_total(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    metric: &str,
    (from, to): (OffsetDateTime, OffsetDateTime),
    watermark: &str,
) -> Result<Total, StoreError> {
    let meters = meters::by_key(conn, tenant_id, &[metric.to_owned()])?;
    let meter = meters.first().and_then(AddingMeter::of);
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
    let quantity = row.map_or_else(BigDecimal::zero, |row| row.quantity.as_decimal().clone());
    Ok(Total { quantity, meter })
}

#[derive(QueryableByName)]
struct Watermark {
    #[diesel(sql_type = Text)]
    watermark: String,
}
