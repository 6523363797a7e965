//! `usage` on PostgreSQL.
//!
//! | file | what is in it |
//! |---|---|
//! | `meters` | meters of tenants, and those from the start |
//! | `versions` | what meters are and were |
//! | `events` | batches of events, each let in once |
//! | `bet` | whether to expect duplicates |
//! | `intake` | events of many requests in one transaction |
//! | `imports` | how far imports have come, and what became of their events |
//! | `read` | rollups and what is not rolled up yet, out of one snapshot |
//! | `statement` | what `read` asks PostgreSQL |
//! | `raw` | events as they were sent, the latest first |
//! | `rollup` | moving events into buckets behind the watermark |
//! | `days` | the daily close |
//! | `retention` | months of events, and what cannot be answered without them |
//! | `totals` | what billing asks for |

mod bet;
mod days;
mod events;
mod imports;
mod intake;
mod meters;
mod raw;
mod read;
mod retention;
mod rollup;
mod statement;
mod totals;
mod versions;

use events::Tenancy;
pub use intake::GroupCommit;
pub(crate) use rollup::AFTER_A_RESTORE;
pub(crate) use totals::{AddingMeter, current_watermark, metered_total};

use std::collections::BTreeSet;

use bigdecimal::BigDecimal;
use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types};
use kernel::{MeterId, PageRequest, ProjectId, StoreError, TenantId, Zone};
use time::OffsetDateTime;
use usage::{
    GroupStore, Ledger, Meter, MeterVersion, Store,
    day::{DueDay, Hold, MeterDay, Reconciled, UsageDay},
    ingest::{Appended, Batch, MeteredEvent},
    ports::{TenantEvents, Wanted},
    query::{After, UsageQuery, UsageRow},
    raw::{EventsQuery, Found, Place, StoredEvent},
    rollup::{Moved, Span},
};
use uuid::Uuid;

use crate::{
    PgTx,
    error::{store_error, unreadable},
    scalar::Count,
};

impl Store for PgTx {
    fn meters(
        &mut self,
        tenant_id: TenantId,
        page: &PageRequest,
        after: Option<&str>,
    ) -> Result<Vec<Meter>, StoreError> {
        meters::page(self.conn(), tenant_id, page, after)
    }

    fn all_meters(&mut self, tenant_id: TenantId) -> Result<Vec<Meter>, StoreError> {
        meters::all(self.conn(), tenant_id)
    }

    fn meters_by_key(
        &mut self,
        tenant_id: TenantId,
        keys: &[String],
    ) -> Result<Vec<Meter>, StoreError> {
        meters::by_key(self.conn(), tenant_id, keys)
    }

    fn insert_meter(&mut self, tenant_id: TenantId, meter: &Meter) -> Result<(), StoreError> {
        meters::insert(self.conn(), tenant_id, meter)
    }

    fn meter_for_update(
        &mut self,
        tenant_id: TenantId,
        key: &str,
    ) -> Result<Option<Meter>, StoreError> {
        meters::for_update(self.conn(), tenant_id, key)
    }

    fn update_meter(
        &mut self,
        tenant_id: TenantId,
        before: &Meter,
        after: &Meter,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        meters::update(self.conn(), tenant_id, before, after, now)
    }

    fn meter_versions(
        &mut self,
        tenant_id: TenantId,
        meter_id: MeterId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<MeterVersion>, StoreError> {
        versions::page(self.conn(), tenant_id, meter_id, before, limit)
    }

    fn declared_dimensions(
        &mut self,
        tenant_id: TenantId,
        meters: &[MeterId],
    ) -> Result<BTreeSet<String>, StoreError> {
        versions::dimensions(self.conn(), tenant_id, meters)
    }

    fn open_batch(
        &mut self,
        tenant_id: TenantId,
        metrics: &[String],
        projects: &[ProjectId],
    ) -> Result<Batch, StoreError> {
        let wanted = Wanted {
            tenant_id,
            metrics: metrics.to_vec(),
            projects: projects.to_vec(),
        };
        only(events::open(self.conn(), Tenancy::OfOne, &[wanted])?)
    }

    fn append_events(
        &mut self,
        tenant_id: TenantId,
        received_at: OffsetDateTime,
        events: &[MeteredEvent<'_>],
    ) -> Result<Vec<Appended>, StoreError> {
        let batch = TenantEvents {
            tenant_id,
            received_at,
            events,
        };
        only(events::append(self.conn(), Tenancy::OfOne, &[batch])?)
    }

    fn usage(
        &mut self,
        tenant_id: TenantId,
        query: &UsageQuery,
        after: Option<&After>,
        limit: u32,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let page = read::Page {
            as_of: None,
            after,
            limit,
        };
        read::rows(self.conn(), tenant_id, query, &page)
    }

    fn events(
        &mut self,
        tenant_id: TenantId,
        query: &EventsQuery,
        behind: &Place,
        limit: u32,
    ) -> Result<Found, StoreError> {
        raw::page(self.conn(), tenant_id, query, behind, limit)
    }

    fn event(
        &mut self,
        tenant_id: TenantId,
        dedup: Uuid,
    ) -> Result<Option<StoredEvent>, StoreError> {
        raw::find(self.conn(), tenant_id, dedup)
    }

    fn keeps_quarter(&mut self, at: OffsetDateTime) -> Result<bool, StoreError> {
        retention::keeps_quarter(self.conn(), at)
    }

    fn tenant_zone(&mut self, tenant_id: TenantId) -> Result<Zone, StoreError> {
        let row = sql_query("select timezone from tenants where id = $1")
            .bind::<sql_types::Uuid, _>(tenant_id.as_uuid())
            .load::<ZoneRow>(self.conn())
            .map_err(store_error)?
            .pop();
        row.map_or_else(
            || Ok(Zone::utc()),
            |row| {
                Zone::parse("timezone", &row.timezone)
                    .map_err(|_| unreadable("time zone", row.timezone))
            },
        )
    }
}

impl GroupStore for PgTx {
    fn open_batches(&mut self, wanted: &[Wanted]) -> Result<Vec<Batch>, StoreError> {
        events::open(self.conn(), Tenancy::OfEach, wanted)
    }

    fn append_batches(
        &mut self,
        events: &[TenantEvents<'_>],
    ) -> Result<Vec<Vec<Appended>>, StoreError> {
        events::append(self.conn(), Tenancy::OfEach, events)
    }
}

/// The answer for the one tenant that was asked about.
fn only<T>(answers: Vec<T>) -> Result<T, StoreError> {
    let answer = answers.into_iter().next();
    answer.ok_or_else(|| unreadable("batch", "none"))
}

impl Ledger for PgTx {
    fn move_events(&mut self, at_most: u32) -> Result<Moved, StoreError> {
        rollup::move_events(self.conn(), at_most)
    }

    fn reopen_days(&mut self, spans: &[Span]) -> Result<Vec<UsageDay>, StoreError> {
        days::reopen(self.conn(), spans)
    }

    fn days_near(&mut self, spans: &[Span]) -> Result<Vec<UsageDay>, StoreError> {
        days::near(self.conn(), spans)
    }

    fn open_days(&mut self, days: &[UsageDay]) -> Result<(), StoreError> {
        days::open(self.conn(), days)
    }

    fn due_days(&mut self, now: OffsetDateTime, at_most: u32) -> Result<Vec<DueDay>, StoreError> {
        days::due(self.conn(), now, at_most)
    }

    fn has_unrolled(&mut self, day: &UsageDay) -> Result<bool, StoreError> {
        days::has_unrolled(self.conn(), day)
    }

    fn reconcile(&mut self, day: &UsageDay) -> Result<Reconciled, StoreError> {
        days::reconcile(self.conn(), day)
    }

    fn hold_day(&mut self, due: &DueDay, mark: i64) -> Result<Hold, StoreError> {
        days::hold(self.conn(), due, mark)
    }

    fn close_day(
        &mut self,
        day: &UsageDay,
        number: u32,
        drift: &BigDecimal,
        meters: &[MeterDay],
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        days::close(self.conn(), day, number, drift, meters, now)
    }

    fn ensure_partitions(&mut self, months_ahead: u32) -> Result<u32, StoreError> {
        let row: Count = sql_query("select app.ensure_usage_partitions($1)::bigint as count")
            .bind::<sql_types::Integer, _>(i32::try_from(months_ahead).unwrap_or(i32::MAX))
            .get_result(self.conn())
            .map_err(store_error)?;
        Ok(u32::try_from(row.count).unwrap_or(0))
    }

    fn summarise_events(&mut self) -> Result<u32, StoreError> {
        let row: Count = sql_query("select app.summarise_usage_events()::bigint as count")
            .get_result(self.conn())
            .map_err(store_error)?;
        Ok(u32::try_from(row.count).unwrap_or(0))
    }
}

#[derive(QueryableByName)]
struct ZoneRow {
    #[diesel(sql_type = sql_types::Text)]
    timezone: String,
}
