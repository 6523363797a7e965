//! Rows of usage that no port makes or reads.

use bigdecimal::BigDecimal;
use diesel::{
    Connection, OptionalExtension, PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types as sql,
};
use kernel::{MeterId, Quantity, TenantId};
use time::Date;
use usage::day::MeterDay;
use uuid::Uuid;

use crate::TestDb;

/// What is written down of a tenant's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayRecord {
    /// Whether its books are closed.
    pub is_closed: bool,
    /// How often they were closed.
    pub closes: u32,
    /// What rollups and events differed by when they were closed last.
    pub drift: Option<BigDecimal>,
    /// Its totals, by the meter's id.
    pub totals: Vec<DailyTotal>,
}

/// One meter's total of a closed day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailyTotal {
    /// The meter.
    pub meter_id: MeterId,
    /// What the meter's aggregation makes of the day.
    pub quantity: Quantity,
    /// Quantities added up.
    pub sum: BigDecimal,
    /// Number of events.
    pub count: i64,
    /// The smallest quantity.
    pub min: BigDecimal,
    /// The largest quantity.
    pub max: BigDecimal,
}

impl From<&MeterDay> for DailyTotal {
    fn from(day: &MeterDay) -> Self {
        Self {
            meter_id: day.meter_id,
            quantity: day.quantity.clone(),
            sum: day.sum.clone(),
            count: day.count,
            min: day.min.clone(),
            max: day.max.clone(),
        }
    }
}

/// Runs `work` on a connection of the superuser, on a thread that may block.
async fn as_superuser<T: Send + 'static>(
    db: &TestDb,
    work: impl FnOnce(&mut PgConnection) -> T + Send + 'static,
) -> T {
    let url = db.superuser_url();
    let asked =
        tokio::task::spawn_blocking(move || work(&mut PgConnection::establish(&url).unwrap()));
    asked.await.unwrap()
}

pub(super) async fn day_record(db: &TestDb, tenant_id: TenantId, day: Date) -> Option<DayRecord> {
    as_superuser(db, move |conn| {
        let row: DayRow = sql_query(
            "select state = 'closed' as is_closed, closes, drift from usage_days where tenant_id = $1 and day = $2",
        )
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Date, _>(day)
        .get_result(conn)
        .optional()
        .unwrap()?;
        let totals: Vec<TotalRow> = sql_query(
            "select meter_id, quantity, sum, count, min, max from usage_daily
             where tenant_id = $1 and day = $2 order by meter_id",
        )
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Date, _>(day)
        .load(conn)
        .unwrap();
        Some(DayRecord {
            is_closed: row.is_closed,
            closes: u32::try_from(row.closes).unwrap(),
            drift: row.drift,
            totals: totals.into_iter().map(TotalRow::into_total).collect(),
        })
    })
    .await
}

#[derive(QueryableByName)]
struct DayRow {
    #[diesel(sql_type = sql::Bool)]
    is_closed: bool,
    #[diesel(sql_type = sql::Integer)]
    closes: i32,
    #[diesel(sql_type = sql::Nullable<sql::Numeric>)]
    drift: Option<BigDecimal>,
}

#[derive(QueryableByName)]
struct TotalRow {
    #[diesel(sql_type = sql::Uuid)]
    meter_id: Uuid,
    #[diesel(sql_type = sql::Numeric)]
    quantity: BigDecimal,
    #[diesel(sql_type = sql::Numeric)]
    sum: BigDecimal,
    #[diesel(sql_type = sql::BigInt)]
    count: i64,
    #[diesel(sql_type = sql::Numeric)]
    min: BigDecimal,
    #[diesel(sql_type = sql::Numeric)]
    max: BigDecimal,
}

impl TotalRow {
    fn into_total(self) -> DailyTotal {
        DailyTotal {
            meter_id: self.meter_id.into(),
            quantity: self.quantity.into(),
            sum: self.sum,
            count: self.count,
            min: self.min,
            max: self.max,
        }
    }
}
