//! What usage needs from a store, and from an archive.
//!
//! | trait | for |
//! |---|---|
//! | [`Store`] | requests of a tenant |
//! | [`GroupStore`], [`Intake`] | the events of many requests at once |
//! | [`ImportStore`] | imports |
//! | [`Ledger`] | the worker's books |
//! | [`PartitionStore`], [`Archive`], [`ArchiveWriter`] | retention |

use std::collections::BTreeSet;

use bigdecimal::BigDecimal;
use kernel::{BoxFuture, MeterId, PageRequest, ProjectId, StoreError, TenantId, Zone};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Meter, MeterVersion,
    day::{DueDay, Hold, MeterDay, Reconciled, UsageDay},
    import::{Identity, Import, ImportTotal, Imported, Position},
    ingest::{Admitted, Appended, Batch, IngestError, MeteredEvent, Receipt},
    query::{After, UsageQuery, UsageRow},
    raw::{EventsQuery, Found, Place, StoredEvent},
    retention::{ArchiveError, Archived, ArchivedEvent, Partition},
    rollup::{Moved, Span},
};

/// What requests of a tenant need.
pub trait Store: audit::Trail {
    /// A page of the tenant's meters, its own and those from the start, by key, at most `page.limit + 1`, behind the key `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn meters(
        &mut self,
        tenant_id: TenantId,
        page: &PageRequest,
        after: Option<&str>,
    ) -> Result<Vec<Meter>, StoreError>;

    /// Every meter of the tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    fn all_meters(&mut self, tenant_id: TenantId) -> Result<Vec<Meter>, StoreError>;

    /// The tenant's meters with these keys, one a key: where a tenant's own meter has the key of one from the start, its own counts.
    ///
    /// # Errors
    /// [`StoreError`].
    fn meters_by_key(
        &mut self,
        tenant_id: TenantId,
        keys: &[String],
    ) -> Result<Vec<Meter>, StoreError>;

    /// Adds a meter, and its first version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] with `meters_tenant_id_key_key` when the tenant has the key.
    fn insert_meter(&mut self, tenant_id: TenantId, meter: &Meter) -> Result<(), StoreError>;

    /// The tenant's own meter with this key, locked until the transaction ends: who asks at the same time waits, and then sees what became of
    /// it. Nothing for a meter from the start.
    ///
    /// # Errors
    /// [`StoreError`].
    fn meter_for_update(
        &mut self,
        tenant_id: TenantId,
        key: &str,
    ) -> Result<Option<Meter>, StoreError>;

    /// Replaces a locked meter, and adds the version that it now is to those that it was. Events that are there stay as they are.
    ///
    /// # Errors
    /// [`StoreError`].
    fn update_meter(
        &mut self,
        tenant_id: TenantId,
        before: &Meter,
        after: &Meter,
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// At most `limit` versions of a meter of the tenant's own, the newest first, older than version `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn meter_versions(
        &mut self,
        tenant_id: TenantId,
        meter_id: MeterId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<MeterVersion>, StoreError>;

    /// Dimensions that any version of these meters of the tenant's own declared.
    ///
    /// # Errors
    /// [`StoreError`].
    fn declared_dimensions(
        &mut self,
        tenant_id: TenantId,
        meters: &[MeterId],
    ) -> Result<BTreeSet<String>, StoreError>;

    /// Opens a batch of events: tells the time, and which of these metrics and projects exist. What is written in this transaction MUST be
    /// seen by every batch that is opened after its commit, and events that are written at once under one key MUST meet.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open_batch(
        &mut self,
        tenant_id: TenantId,
        metrics: &[String],
        projects: &[ProjectId],
    ) -> Result<Batch, StoreError>;

    /// Writes each event unless one with its key was received in the last 35 days, of 24 hours each, and says which, in the order given.
    /// Keys in `events` are different from each other. MUST be safe against any number of concurrent calls with the same keys, in any order.
    ///
    /// # Errors
    /// [`StoreError`]; the surrounding transaction must then end.
    fn append_events(
        &mut self,
        tenant_id: TenantId,
        received_at: OffsetDateTime,
        events: &[MeteredEvent<'_>],
    ) -> Result<Vec<Appended>, StoreError>;

    /// Answers a question from one snapshot, ordered as [`After`] says, at most `limit` rows behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn usage(
        &mut self,
        tenant_id: TenantId,
        query: &UsageQuery,
        after: Option<&After>,
        limit: u32,
    ) -> Result<Vec<UsageRow>, StoreError>;

    /// Events that match and stand before `behind` in the order of [`Place`], the last of them first, at most `limit`. MUST miss none that
    /// was committed before the call, whether it is rolled up or not; MUST bound what it looks through, and may therefore find fewer than
    /// there are, and say where to look on.
    ///
    /// # Errors
    /// [`StoreError`].
    fn events(
        &mut self,
        tenant_id: TenantId,
        query: &EventsQuery,
        behind: &Place,
        limit: u32,
    ) -> Result<Found, StoreError>;

    /// The event with this key, or of several the one that was received last.
    ///
    /// # Errors
    /// [`StoreError`].
    fn event(
        &mut self,
        tenant_id: TenantId,
        dedup: Uuid,
    ) -> Result<Option<StoredEvent>, StoreError>;

    /// Whether every event that happened in the quarter of an hour around an instant is kept still. MUST be false from the commit on that
    /// drops one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn keeps_quarter(&mut self, at: OffsetDateTime) -> Result<bool, StoreError>;

    /// The tenant's time zone; UTC when the tenant is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tenant_zone(&mut self, tenant_id: TenantId) -> Result<Zone, StoreError>;
}

/// What the events of one tenant name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Keys of meters, each once.
    pub metrics: Vec<String>,
    /// Projects, each once.
    pub projects: Vec<ProjectId>,
}

/// Events of one tenant to be written.
#[derive(Debug, Clone, Copy)]
pub struct TenantEvents<'a> {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The store's clock, as its batch told it.
    pub received_at: OffsetDateTime,
    /// The events, or none. Their keys are different from each other.
    pub events: &'a [MeteredEvent<'a>],
}

/// What writing events of many tenants at once needs, in a transaction whose scope names no tenant, or the only one.
pub trait GroupStore {
    /// As [`Store::open_batch`], for each of several different tenants, in the order given.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open_batches(&mut self, wanted: &[Wanted]) -> Result<Vec<Batch>, StoreError>;

    /// As [`Store::append_events`], for each of several different tenants, in the order given, which MUST be that of their ids: two groups
    /// with the same keys then wait for each other in one direction only.
    ///
    /// # Errors
    /// [`StoreError`]; the surrounding transaction must then end.
    fn append_batches(
        &mut self,
        events: &[TenantEvents<'_>],
    ) -> Result<Vec<Vec<Appended>>, StoreError>;
}

/// Takes the events of a request, and writes them together with those of others who ask meanwhile.
pub trait Intake: Send + Sync {
    /// Answers when the events are committed. MUST NOT answer before; MUST bound what waits, and fail with [`IngestError::Busy`] beyond.
    /// Events of a caller that goes away meanwhile may be written or not.
    ///
    /// # Errors
    /// [`IngestError::Busy`]: nothing is written. [`StoreError::Unavailable`] in [`IngestError::Store`]: whether the events are written is not
    /// known, and they may still be after the answer; the same ids sent again count once. Any other [`StoreError`]: nothing is written.
    fn take(&self, request: Admitted) -> BoxFuture<'_, Result<Receipt, IngestError>>;
}

/// What an import needs from a store, in transactions of [`Identity::scope`].
pub trait ImportStore: Store {
    /// The import, as it stands.
    ///
    /// # Errors
    /// [`StoreError`].
    fn import(&mut self, id: Uuid) -> Result<Option<Import>, StoreError>;

    /// Adds the import at its beginning unless it is there, and locks it until the transaction ends. MUST wait for whoever holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn hold_import(&mut self, identity: &Identity) -> Result<Import, StoreError>;

    /// Moves a held import on, by so many rows without a tenant. It is finished when `finished` says so, and not finished otherwise.
    ///
    /// # Errors
    /// [`StoreError`].
    fn move_import(
        &mut self,
        id: Uuid,
        to: &Position,
        unassigned: u64,
        finished: bool,
    ) -> Result<(), StoreError>;

    /// Makes the rest of the transaction one of this tenant too, whether or not there is such a tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    fn enter_tenant(&mut self, tenant_id: TenantId) -> Result<(), StoreError>;

    /// Whether the tenant that was entered is there, and not a tombstone.
    ///
    /// # Errors
    /// [`StoreError`].
    fn has_tenant(&mut self, tenant_id: TenantId) -> Result<bool, StoreError>;

    /// The tenant with this slug, unless it is a tombstone.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tenant_of_slug(&mut self, slug: &str) -> Result<Option<TenantId>, StoreError>;

    /// Adds to the totals of an import in the tenant that was entered.
    ///
    /// # Errors
    /// [`StoreError`].
    fn add_import_totals(
        &mut self,
        tenant_id: TenantId,
        id: Uuid,
        totals: &[ImportTotal],
    ) -> Result<(), StoreError>;

    /// The totals of an import in the tenant that was entered, by metric and outcome.
    ///
    /// # Errors
    /// [`StoreError`].
    fn import_totals(
        &mut self,
        tenant_id: TenantId,
        id: Uuid,
    ) -> Result<Vec<ImportTotal>, StoreError>;

    /// Events of a source that the entered tenant has and that were received since, counted from the events themselves, by metric.
    ///
    /// # Errors
    /// [`StoreError`].
    fn imported(
        &mut self,
        tenant_id: TenantId,
        source: &str,
        since: OffsetDateTime,
    ) -> Result<Vec<Imported>, StoreError>;
}

/// What the worker's books need, over all tenants.
pub trait Ledger: audit::Trail {
    /// Moves about `at_most` events from behind the watermark into buckets, and the watermark with them. MUST take only events of
    /// transactions older than every running one, and MUST do nothing when another transaction is moving events.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unexpected`] when the watermark is ahead of the database, as after a restore from a dump.
    fn move_events(&mut self, at_most: u32) -> Result<Moved, StoreError>;

    /// Reopens the days that have a part of one of `spans` and are closed, and says which days have one, closed or not. MUST hold them all
    /// until the transaction ends, and wait for whoever holds one: it may be closing it without what has just been moved.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reopen_days(&mut self, spans: &[Span]) -> Result<Vec<UsageDay>, StoreError>;

    /// The days of the same tenants whose dates, in whatever zone, are within three days of one of `spans`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn days_near(&mut self, spans: &[Span]) -> Result<Vec<UsageDay>, StoreError>;

    /// Writes days down, to be closed, in place of those of the same tenants and dates.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open_days(&mut self, days: &[UsageDay]) -> Result<(), StoreError>;

    /// Days that have ended and are not closed, the oldest first, at most `at_most`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn due_days(&mut self, now: OffsetDateTime, at_most: u32) -> Result<Vec<DueDay>, StoreError>;

    /// Whether events of the day wait for the rollup.
    ///
    /// # Errors
    /// [`StoreError`].
    fn has_unrolled(&mut self, day: &UsageDay) -> Result<bool, StoreError>;

    /// The day's totals per meter, from rollups and from raw events behind the watermark, out of one snapshot. MUST not hold up those that
    /// write events or roll them up, however long it takes.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reconcile(&mut self, day: &UsageDay) -> Result<Reconciled, StoreError>;

    /// Locks a day until the transaction ends, unless it is no longer what it was when it was due, and says whether it has events behind
    /// `mark`, rolled up or not. MUST not wait for whoever holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn hold_day(&mut self, due: &DueDay, mark: i64) -> Result<Hold, StoreError>;

    /// Marks a held day closed for the `number`th time, and replaces its daily totals.
    ///
    /// # Errors
    /// [`StoreError`].
    fn close_day(
        &mut self,
        day: &UsageDay,
        number: u32,
        drift: &BigDecimal,
        meters: &[MeterDay],
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Makes partitions up to `months_ahead` from now, and says how many are new: none, in a store that needs none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn ensure_partitions(&mut self, months_ahead: u32) -> Result<u32, StoreError>;

    /// Notes which time stored events are of, so that those of a short time are found without reading the others, and says for how many parts
    /// of them: none that are noted already, and none at all in a store that finds them anyway. MUST change nothing that can be read.
    ///
    /// # Errors
    /// [`StoreError`]; what was noted until then may stay noted.
    fn summarise_events(&mut self) -> Result<u32, StoreError>;
}

/// Takes events as they are read.
pub type Sink<'a> = &'a mut dyn FnMut(&[ArchivedEvent]) -> Result<(), StoreError>;

/// Months of events, over all tenants.
pub trait PartitionStore {
    /// Months that ended at or before this instant, the oldest first: none, in a store that keeps everything.
    ///
    /// # Errors
    /// [`StoreError`].
    fn partitions_before(&mut self, ends_at: OffsetDateTime) -> Result<Vec<Partition>, StoreError>;

    /// Why a month must stay: events of it wait for the rollup, or a day that it touches is not closed without drift. MUST give each month to
    /// one caller at a time, until its transaction ends, and tell the others to leave it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn unsettled(&mut self, partition: &Partition) -> Result<Option<String>, StoreError>;

    /// Hands every event of a month to `sink`, some at a time, and says how many there were. MUST NOT hold more of them at once.
    ///
    /// # Errors
    /// [`StoreError`], its own or the sink's.
    fn read_partition(&mut self, partition: &Partition, sink: Sink<'_>) -> Result<u64, StoreError>;

    /// Drops a month, writes down that it is gone, and says how many events it had; nothing when it is gone already. MUST refuse a month
    /// that is younger than [`MIN_KEPT`](crate::retention::MIN_KEPT) or not settled, and one that does not hold as many events as were
    /// `exported`.
    ///
    /// # Errors
    /// [`StoreError`]; the month stays.
    fn drop_partition(
        &mut self,
        partition: &Partition,
        exported: Option<u64>,
    ) -> Result<Option<u64>, StoreError>;
}

/// Keeps months of events outside of the store.
pub trait Archive: Send + Sync {
    /// What the archive holds of a month; nothing unless it holds all of it, safe from a loss of power. MUST compare what it promised with
    /// what is there.
    ///
    /// # Errors
    /// [`ArchiveError`] when it cannot be read, or is not what was promised.
    fn find(&self, partition: &Partition) -> Result<Option<Archived>, ArchiveError>;

    /// Begins a month anew. What was begun before and not finished is worthless.
    ///
    /// # Errors
    /// [`ArchiveError`].
    fn begin(&self, partition: &Partition) -> Result<Box<dyn ArchiveWriter>, ArchiveError>;
}

/// A month on its way into an archive.
pub trait ArchiveWriter {
    /// Adds events.
    ///
    /// # Errors
    /// [`ArchiveError`].
    fn write(&mut self, events: &[ArchivedEvent]) -> Result<(), ArchiveError>;

    /// Makes what was written a whole month. MUST return after it is safe from a loss of power; until then [`Archive::find`] MUST find
    /// nothing.
    ///
    /// # Errors
    /// [`ArchiveError`].
    fn finish(self: Box<Self>) -> Result<(), ArchiveError>;
}
