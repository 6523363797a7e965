//! Usage in memory.
//!
//! There are no rollups: the watermark is a place in the list of events, and what is rolled up is added up from the events before it when
//! somebody asks. So a read is exact by itself, and a day never drifts.
//!
//! | file | what is in it |
//! |---|---|
//! | `meters` | meters of tenants, and those from the start |
//! | `events` | batches of events, each let in once |
//! | `imports` | how far imports have come |
//! | `read` | what the aggregations make of events |
//! | `raw` | events as they were sent, the latest first |
//! | `rollup` | moving the watermark |
//! | `days` | the daily close |
//! | `totals` | what billing asks for |

mod days;
mod events;
mod imports;
mod meters;
mod raw;
mod read;
mod rollup;
mod totals;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bigdecimal::BigDecimal;
use kernel::{MeterId, PageRequest, ProjectId, StoreError, TenantId, Zone};
use time::{Date, OffsetDateTime};
use usage::{
    GroupStore, Ledger, Meter, MeterVersion, Store,
    day::{DueDay, Hold, MeterDay, Reconciled, UsageDay},
    ingest::{Appended, Batch, MeteredEvent},
    ports::{TenantEvents, Wanted},
    query::{After, UsageQuery, UsageRow},
    raw::{EventsQuery, Found, Place},
    retention::{Partition, PartitionStore, Sink},
    rollup::{Moved, Span},
};
use uuid::Uuid;

use super::MemoryTx;

#[derive(Clone, Default)]
pub(super) struct Tables {
    meters: BTreeMap<(TenantId, String), Meter>,
    versions: BTreeMap<(TenantId, MeterId, i64), MeterVersion>,
    /// In the order they were committed in. Shared, since every command begins with a copy of the tables.
    events: Vec<Arc<StoredEvent>>,
    /// How many of the events were there when the transaction began. The others are its own.
    committed: usize,
    /// The watermark: how many of the events are rolled up.
    rolled: usize,
    days: BTreeMap<(TenantId, Date), days::Day>,
    daily: BTreeMap<(TenantId, Date, MeterId), MeterDay>,
    imports: imports::Tables,
}

impl Tables {
    /// A transaction begins on these tables.
    pub(super) fn begin(&mut self) {
        self.committed = self.events.len();
    }

    /// Events that are rolled up.
    fn rolled(&self) -> impl Iterator<Item = &StoredEvent> {
        self.events.iter().take(self.rolled).map(AsRef::as_ref)
    }
}

/// An event as it is kept.
struct StoredEvent {
    tenant_id: TenantId,
    received_at: OffsetDateTime,
    /// The place of the first event that its transaction wrote: what it shares with the others of that transaction.
    first: usize,
    metered: MeteredEvent<'static>,
}

impl StoredEvent {
    /// What decides which of two events is the latest.
    const fn age(&self) -> (OffsetDateTime, OffsetDateTime, uuid::Uuid) {
        (
            self.metered.occurred_at,
            self.received_at,
            self.metered.dedup,
        )
    }

    const fn quantity(&self) -> &BigDecimal {
        self.metered.quantity.as_decimal()
    }
}

impl MemoryTx {
    /// Events of a tenant, as far as they are there for this transaction.
    fn visible_events(&self, tenant_id: TenantId) -> impl Iterator<Item = &StoredEvent> {
        let sees = self.sees(tenant_id);
        let events = self.tables.usage.events.iter().map(AsRef::as_ref);
        events.filter(move |event| sees && event.tenant_id == tenant_id)
    }

    /// The name of the tenant's time zone, whoever asks.
    fn zone_name(&self, tenant_id: TenantId) -> Option<String> {
        let tenant = self.tables.tenancy.tenants.get(&tenant_id)?;
        Some(tenant.timezone.name().to_owned())
    }
}

impl Store for MemoryTx {
    fn meters(
        &mut self,
        tenant_id: TenantId,
        page: &PageRequest,
        after: Option<&str>,
    ) -> Result<Vec<Meter>, StoreError> {
        let meters = self.all_meters(tenant_id)?.into_iter();
        let behind = meters.filter(|meter| after.is_none_or(|after| meter.key.as_str() > after));
        Ok(behind.take(page.limit as usize + 1).collect())
    }

    fn all_meters(&mut self, tenant_id: TenantId) -> Result<Vec<Meter>, StoreError> {
        Ok(self.effective_meters(tenant_id))
    }

    fn meters_by_key(
        &mut self,
        tenant_id: TenantId,
        keys: &[String],
    ) -> Result<Vec<Meter>, StoreError> {
        let mut meters = self.all_meters(tenant_id)?;
        meters.retain(|meter| keys.contains(&meter.key));
        Ok(meters)
    }

    fn insert_meter(&mut self, tenant_id: TenantId, meter: &Meter) -> Result<(), StoreError> {
        self.add_meter(tenant_id, meter)
    }

    fn meter_for_update(
        &mut self,
        tenant_id: TenantId,
        key: &str,
    ) -> Result<Option<Meter>, StoreError> {
        Ok(self.own_meter(tenant_id, key))
    }

    fn update_meter(
        &mut self,
        tenant_id: TenantId,
        _before: &Meter,
        after: &Meter,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        self.replace_meter(tenant_id, after, now);
        Ok(())
    }

    fn meter_versions(
        &mut self,
        tenant_id: TenantId,
        meter_id: MeterId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<MeterVersion>, StoreError> {
        let versions = self.versions_of(tenant_id, meter_id);
        let older = versions.filter(|row| before.is_none_or(|before| row.version < before));
        Ok(older.take(limit as usize).cloned().collect())
    }

    fn declared_dimensions(
        &mut self,
        tenant_id: TenantId,
        meters: &[MeterId],
    ) -> Result<BTreeSet<String>, StoreError> {
        let versions = meters
            .iter()
            .flat_map(|id| self.versions_of(tenant_id, *id));
        let names = versions.flat_map(|version| version.dimensions.iter().cloned());
        Ok(names.collect())
    }

    fn open_batch(
        &mut self,
        tenant_id: TenantId,
        metrics: &[String],
        projects: &[ProjectId],
    ) -> Result<Batch, StoreError> {
        let known = projects.iter().filter(|project| {
            self.sees(tenant_id)
                && self
                    .tables
                    .tenancy
                    .projects
                    .contains_key(&(tenant_id, **project))
        });
        Ok(Batch {
            received_at: self.now,
            projects: known.copied().collect(),
            meters: self.meters_by_key(tenant_id, metrics)?,
        })
    }

    fn append_events(
        &mut self,
        tenant_id: TenantId,
        received_at: OffsetDateTime,
        events: &[MeteredEvent<'_>],
    ) -> Result<Vec<Appended>, StoreError> {
        self.append(tenant_id, received_at, events)
    }

    fn usage(
        &mut self,
        tenant_id: TenantId,
        query: &UsageQuery,
        after: Option<&After>,
        limit: u32,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let events = self.visible_events(tenant_id);
        Ok(read::rows(events, query, after, limit))
    }

    fn events(
        &mut self,
        tenant_id: TenantId,
        query: &EventsQuery,
        behind: &Place,
        limit: u32,
    ) -> Result<Found, StoreError> {
        Ok(self.events_behind(tenant_id, query, behind, limit as usize))
    }

    fn event(
        &mut self,
        tenant_id: TenantId,
        dedup: Uuid,
    ) -> Result<Option<usage::StoredEvent>, StoreError> {
        Ok(self.last_received(tenant_id, dedup))
    }

    /// Everything is kept here.
    fn keeps_quarter(&mut self, _at: OffsetDateTime) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn tenant_zone(&mut self, tenant_id: TenantId) -> Result<Zone, StoreError> {
        let tenant = self.tables.tenancy.tenants.get(&tenant_id);
        let visible = tenant.filter(|_| self.sees(tenant_id));
        Ok(visible.map_or_else(Zone::utc, |tenant| tenant.timezone.clone()))
    }
}

impl GroupStore for MemoryTx {
    fn open_batches(&mut self, wanted: &[Wanted]) -> Result<Vec<Batch>, StoreError> {
        let open = |wanted: &Wanted| {
            self.scope.tenant_id = Some(wanted.tenant_id);
            self.open_batch(wanted.tenant_id, &wanted.metrics, &wanted.projects)
        };
        wanted.iter().map(open).collect()
    }

    fn append_batches(
        &mut self,
        events: &[TenantEvents<'_>],
    ) -> Result<Vec<Vec<Appended>>, StoreError> {
        let append = |batch: &TenantEvents<'_>| {
            self.scope.tenant_id = Some(batch.tenant_id);
            self.append_events(batch.tenant_id, batch.received_at, batch.events)
        };
        events.iter().map(append).collect()
    }
}

/// Everything is kept here: there are no months to let go.
impl PartitionStore for MemoryTx {
    fn partitions_before(
        &mut self,
        _ends_at: OffsetDateTime,
    ) -> Result<Vec<Partition>, StoreError> {
        Ok(Vec::new())
    }

    fn unsettled(&mut self, _partition: &Partition) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn read_partition(
        &mut self,
        _partition: &Partition,
        _sink: Sink<'_>,
    ) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn drop_partition(
        &mut self,
        _partition: &Partition,
        _exported: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }
}

/// The worker keeps the books of all tenants, so the scope does not matter.
impl Ledger for MemoryTx {
    fn move_events(&mut self, at_most: u32) -> Result<Moved, StoreError> {
        Ok(self.move_watermark(at_most))
    }

    fn reopen_days(&mut self, spans: &[Span]) -> Result<Vec<UsageDay>, StoreError> {
        Ok(self.reopen(spans))
    }

    fn days_near(&mut self, spans: &[Span]) -> Result<Vec<UsageDay>, StoreError> {
        Ok(self.near(spans))
    }

    fn open_days(&mut self, days: &[UsageDay]) -> Result<(), StoreError> {
        days.iter().try_for_each(|day| self.open_day(day))
    }

    fn due_days(&mut self, now: OffsetDateTime, at_most: u32) -> Result<Vec<DueDay>, StoreError> {
        Ok(self.days_due(now, at_most))
    }

    fn has_unrolled(&mut self, day: &UsageDay) -> Result<bool, StoreError> {
        Ok(self.came_since(day, self.mark()))
    }

    fn reconcile(&mut self, day: &UsageDay) -> Result<Reconciled, StoreError> {
        Ok(self.add_up(day))
    }

    fn hold_day(&mut self, due: &DueDay, mark: i64) -> Result<Hold, StoreError> {
        Ok(self.day_to_close(due, mark))
    }

    fn close_day(
        &mut self,
        day: &UsageDay,
        number: u32,
        drift: &BigDecimal,
        meters: &[MeterDay],
        _now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        self.write_down(day, number, drift, meters)
    }

    /// Nothing is partitioned here.
    fn ensure_partitions(&mut self, _months_ahead: u32) -> Result<u32, StoreError> {
        Ok(0)
    }

    /// All are looked at anyway.
    fn summarise_events(&mut self) -> Result<u32, StoreError> {
        Ok(0)
    }
}
