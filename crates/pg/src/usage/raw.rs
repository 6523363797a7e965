//! Events as they were sent, the latest first.
//!
//! No index has a tenant's events in the order in which they happened: it would cost every event that comes in. The rollups do, by the
//! quarter: they tell where the next events of a tenant lie and how dense they are, and so how far back a page has to look. Within that
//! window the index of times, or the tenant's part of the index of keys, finds them. What the rollups say only sizes windows. A window is
//! read in full, so the answer is exact whatever they say.

use bigdecimal::BigDecimal;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types as sql};
use kernel::{ProjectId, StoreError, TenantId};
use time::{Duration, OffsetDateTime};
use usage::{
    Meter, StoredEvent,
    raw::{EventsQuery, Found, Place},
    rollup::{BUCKET, quarter_of},
};
use uuid::Uuid;

use super::meters;
use crate::error::{store_error, unreadable};

/// Windows that one page looks into, each several times as large as the one before.
const WINDOWS: u32 = 8;
/// Events of the tenant that a window is to hold at most, when only some of them are wanted.
const LARGEST_WINDOW: u64 = 10_000;
/// Rows of rollups that are looked at for one window, of each meter, when only some of them are wanted; and the rest of the last quarter.
const ROLLUPS: i64 = 10_000;

/// Where the next events lie: the latest quarter with any, how many it has, and the quarter in which there are enough of them. Behind
/// `floor` nobody has looked.
const GUIDE: &str = "
with scanned as (
    select m.meter_id, r.bucket, r.project_id, r.user_id, r.count
    from unnest($2) as m (meter_id) cross join lateral (
        select bucket, project_id, user_id, count from usage_rollups
        where tenant_id = $1 and meter_id = m.meter_id and bucket >= $3 and bucket < $4
        order by bucket desc fetch first ($5) rows with ties
    ) r
), floors as (
    select max(lowest) as floor
    from (select min(bucket) as lowest from scanned group by meter_id having count(*) >= $5) as cut
), near as (
    select bucket, count from scanned
    where ($6::uuid is null or project_id = $6) and ($7::text is null or user_id = $7)
    union all
    select date_bin('15 minutes', occurred_at, timestamptz '2000-01-01 00:00:00+00'), 1
    from usage_events
    where txid >= (select txid from usage_watermark) and txid <= 9223372036854775807
        and tenant_id = $1 and meter_id = any ($2) and occurred_at >= $3 and occurred_at < $4
        and ($6::uuid is null or project_id = $6) and ($7::text is null or user_id = $7)
), quarters as (
    select bucket, sum(count)::bigint as count from near
    where bucket >= coalesce((select floor from floors), '-infinity') group by bucket
), added as (
    select bucket, count, sum(count) over (order by bucket desc) as total from quarters
)
select (select floor from floors) as floor, max(bucket) as latest,
    (array_agg(count order by bucket desc))[1] as count,
    coalesce(max(bucket) filter (where total >= $8), min(bucket)) as enough
from added";

/// The columns of an event.
macro_rules! events {
    ($rest:literal) => {
        concat!(
            "select event_id, source, meter_id, quantity, occurred_at, received_at, project_id, user_id, model, \
             metadata::text as metadata, dedup from usage_events where tenant_id = $1 ",
            $rest
        )
    };
}

/// Nothing is received long before it happens: older partitions need not be looked at.
const WINDOW: &str = events!(
    "and meter_id = any ($2) and occurred_at >= $3 and occurred_at <= $4
        and received_at >= $3 - interval '1 hour' and (occurred_at, received_at, dedup) < ($4, $5, $6)
        and ($7::text is null or source = $7) and ($8::text is null or user_id = $8)
        and ($9::uuid is null or project_id = $9)
    order by occurred_at desc, received_at desc, dedup desc limit $10"
);

pub(super) fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    dedup: Uuid,
) -> Result<Option<StoredEvent>, StoreError> {
    let row: Option<Row> = sql_query(events!("and dedup = $2 order by received_at desc limit 1"))
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Uuid, _>(dedup)
        .load(conn)
        .map_err(store_error)?
        .pop();
    let Some(row) = row else { return Ok(None) };
    let meters = meters::by_id(conn, tenant_id, &[row.meter_id])?;
    row.into_event(&meters).map(Some)
}

pub(super) fn page(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    query: &EventsQuery,
    behind: &Place,
    limit: u32,
) -> Result<Found, StoreError> {
    let mut search = Search {
        tenant_id,
        query,
        meters: query
            .meters
            .iter()
            .map(|meter| meter.id.as_uuid())
            .collect(),
        behind: *behind,
        wanted: u64::from(limit) + 1,
        events: Vec::new(),
    };
    for window in 0..WINDOWS {
        let is_over = search.look(conn, window)?;
        if search.missing() == 0 {
            search.events.truncate(limit as usize);
            let next = search.events.last().map(StoredEvent::place);
            let events = search.events;
            return Ok(Found { events, next });
        }
        if is_over {
            let events = search.events;
            return Ok(Found { events, next: None });
        }
    }
    Ok(Found {
        events: search.events,
        next: Some(search.behind),
    })
}

/// A page on its way back in time.
struct Search<'a> {
    tenant_id: TenantId,
    query: &'a EventsQuery,
    meters: Vec<Uuid>,
    /// What is not behind it has been looked at.
    behind: Place,
    /// One more than the page holds, which shows whether there is another.
    wanted: u64,
    events: Vec<StoredEvent>,
}

impl Search<'_> {
    fn missing(&self) -> u64 {
        let found = u64::try_from(self.events.len()).unwrap_or(u64::MAX);
        self.wanted.saturating_sub(found)
    }

    /// The first instant of which nothing is behind the place. Within its own instant something may be.
    fn end(&self) -> OffsetDateTime {
        let at = self.behind.occurred_at;
        if self.behind == Place::before(at) {
            at
        } else {
            at.saturating_add(Duration::MICROSECOND)
        }
    }

    /// Looks into the next window, and says whether there is nothing before it.
    fn look(&mut self, conn: &mut PgConnection, window: u32) -> Result<bool, StoreError> {
        let wanted = (self.missing() << (2 * window)).clamp(1, LARGEST_WINDOW);
        // Rollups do not know sources: of many events a few may be meant.
        let wanted = if self.query.source.is_some() {
            wanted.max(1_000)
        } else {
            wanted
        };
        let guide = self.guide(conn, wanted)?;
        let (Some(latest), Some(enough)) = (guide.latest, guide.enough) else {
            self.behind = Place::before(guide.floor.unwrap_or(self.query.from));
            return Ok(guide.floor.is_none());
        };
        let start = narrowed(self.end(), latest, enough, guide.count, wanted).max(self.query.from);
        let found = self.read(conn, start)?;
        self.events.extend(found);
        self.behind = Place::before(start);
        Ok(start <= self.query.from)
    }

    fn guide(&self, conn: &mut PgConnection, wanted: u64) -> Result<Guide, StoreError> {
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let is_narrow = self.query.project_id.is_some() || self.query.user_id.is_some();
        sql_query(GUIDE)
            .bind::<sql::Uuid, _>(self.tenant_id.as_uuid())
            .bind::<sql::Array<sql::Uuid>, _>(&self.meters)
            .bind::<sql::Timestamptz, _>(quarter_of(self.query.from))
            .bind::<sql::Timestamptz, _>(self.end())
            // Each row stands for an event or more.
            .bind::<sql::BigInt, _>(if is_narrow { ROLLUPS } else { wanted })
            .bind::<sql::Nullable<sql::Uuid>, _>(self.query.project_id.map(ProjectId::as_uuid))
            .bind::<sql::Nullable<sql::Text>, _>(&self.query.user_id)
            .bind::<sql::BigInt, _>(wanted)
            .get_result(conn)
            .map_err(store_error)
    }

    fn read(
        &self,
        conn: &mut PgConnection,
        start: OffsetDateTime,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let rows: Vec<Row> = sql_query(WINDOW)
            .bind::<sql::Uuid, _>(self.tenant_id.as_uuid())
            .bind::<sql::Array<sql::Uuid>, _>(&self.meters)
            .bind::<sql::Timestamptz, _>(start)
            .bind::<sql::Timestamptz, _>(self.behind.occurred_at)
            .bind::<sql::Timestamptz, _>(self.behind.received_at)
            .bind::<sql::Uuid, _>(self.behind.dedup)
            .bind::<sql::Nullable<sql::Text>, _>(&self.query.source)
            .bind::<sql::Nullable<sql::Text>, _>(&self.query.user_id)
            .bind::<sql::Nullable<sql::Uuid>, _>(self.query.project_id.map(ProjectId::as_uuid))
            .bind::<sql::BigInt, _>(i64::try_from(self.missing()).unwrap_or(i64::MAX))
            .load(conn)
            .map_err(store_error)?;
        rows.into_iter()
            .map(|row| row.into_event(&self.query.meters))
            .collect()
    }
}

/// Where a window starts that ends at `end`. A quarter that alone holds far more than is wanted is cut, as if its events were spread evenly.
fn narrowed(
    end: OffsetDateTime,
    latest: OffsetDateTime,
    enough: OffsetDateTime,
    count: Option<i64>,
    wanted: u64,
) -> OffsetDateTime {
    let count = u64::try_from(count.unwrap_or(0)).unwrap_or(0);
    if enough < latest || count / 4 <= wanted {
        return enough;
    }
    let width = BUCKET.whole_microseconds().unsigned_abs() * u128::from(wanted) / u128::from(count);
    let width = Duration::microseconds(i64::try_from(width).unwrap_or(i64::MAX).max(1));
    latest.max(end.min(latest + BUCKET) - width)
}

#[derive(QueryableByName)]
struct Guide {
    #[diesel(sql_type = sql::Nullable<sql::Timestamptz>)]
    floor: Option<OffsetDateTime>,
    #[diesel(sql_type = sql::Nullable<sql::Timestamptz>)]
    latest: Option<OffsetDateTime>,
    #[diesel(sql_type = sql::Nullable<sql::BigInt>)]
    count: Option<i64>,
    #[diesel(sql_type = sql::Nullable<sql::Timestamptz>)]
    enough: Option<OffsetDateTime>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql::Uuid)]
    meter_id: Uuid,
    #[diesel(embed)]
    event: EventRow,
}

impl Row {
    fn into_event(self, meters: &[Meter]) -> Result<StoredEvent, StoreError> {
        let meter = meters
            .iter()
            .find(|meter| meter.id.as_uuid() == self.meter_id)
            .ok_or_else(|| unreadable("meter", self.meter_id))?;
        Ok(self.event.of_metric(meter.key.clone()))
    }
}

/// An event as it is stored, but for whose it is and what it measures.
#[derive(QueryableByName)]
pub(super) struct EventRow {
    #[diesel(sql_type = sql::Text)]
    event_id: String,
    #[diesel(sql_type = sql::Text)]
    source: String,
    #[diesel(sql_type = sql::Numeric)]
    quantity: BigDecimal,
    #[diesel(sql_type = sql::Timestamptz)]
    occurred_at: OffsetDateTime,
    #[diesel(sql_type = sql::Timestamptz)]
    received_at: OffsetDateTime,
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    project_id: Option<Uuid>,
    #[diesel(sql_type = sql::Nullable<sql::Text>)]
    user_id: Option<String>,
    #[diesel(sql_type = sql::Nullable<sql::Text>)]
    model: Option<String>,
    #[diesel(sql_type = sql::Nullable<sql::Text>)]
    metadata: Option<String>,
    #[diesel(sql_type = sql::Uuid)]
    dedup: Uuid,
}

impl EventRow {
    pub(super) fn of_metric(self, metric: String) -> StoredEvent {
        StoredEvent {
            id: self.event_id,
            source: self.source,
            metric,
            quantity: self.quantity.into(),
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            project_id: self.project_id.map(ProjectId::from),
            user_id: self.user_id,
            model: self.model,
            metadata: self.metadata,
            dedup: self.dedup,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_window_ends_where_there_is_enough_and_cuts_a_quarter_that_has_too_much() {
        let (latest, enough) = (
            datetime!(2026-11-01 10:15 UTC),
            datetime!(2026-11-01 09:00 UTC),
        );
        let end = datetime!(2026-11-01 11:00 UTC);
        assert_eq!(narrowed(end, latest, enough, Some(1), 100), enough);
        assert_eq!(narrowed(end, latest, latest, Some(400), 100), latest);
        // A tenth of the quarter's events are wanted: a tenth of it is looked at, from its end or from where the page is.
        let cut = |end| narrowed(end, latest, latest, Some(1_000), 100);
        assert_eq!(cut(end), datetime!(2026-11-01 10:28:30 UTC));
        let within = datetime!(2026-11-01 10:20 UTC);
        assert_eq!(cut(within), datetime!(2026-11-01 10:18:30 UTC));
        assert_eq!(cut(latest + Duration::SECOND), latest);
        // However dense, a window has a width.
        let dense = narrowed(within, latest, latest, Some(i64::MAX), 1);
        assert_eq!(dense, within - Duration::MICROSECOND);
    }
}
