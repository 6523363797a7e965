//! How long events themselves are kept.
//!
//! Events are kept by the month in which they were received. A month goes when it is older than the deployment wants, when everything in it
//! is rolled up, and when each day that it touches is closed without drift; and, where there is an archive, after the archive has it whole.
//! Rollups and daily totals stay. They answer whatever is asked in whole quarters of an hour; a question that would need the events
//! themselves is refused.

use std::sync::Arc;

use kernel::{FieldError, Scope, StoreError, TenantId, UnitOfWork};
use time::{Duration, OffsetDateTime};

use crate::{Store, query::ReadUsageError, raw::StoredEvent, rollup::quarter_of};

pub use crate::ports::{Archive, ArchiveWriter, PartitionStore, Sink};

/// Events are kept for at least this long after their month: twice as long as an id counts once.
pub const MIN_KEPT: Duration = Duration::days(70);

/// A month of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name in the store.
    pub name: String,
    /// Its events were received at or after this instant.
    pub starts_at: OffsetDateTime,
    /// Its events were received before this instant.
    pub ends_at: OffsetDateTime,
}

/// An event on its way to an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedEvent {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The event.
    pub event: StoredEvent,
}

/// Why a month was not archived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the archive: {0}")]
pub struct ArchiveError(pub String);

/// What an archive holds of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// How many events.
    pub events: u64,
    /// Where they are, for people.
    pub place: String,
}

impl From<ArchiveError> for StoreError {
    fn from(error: ArchiveError) -> Self {
        Self::Unexpected(error.to_string())
    }
}

/// What became of a month that is older than is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Dropped {
        /// How many events it had.
        events: u64,
        /// What the archive has of it.
        archived: Option<Archived>,
    },
    /// It stays for now, for this reason.
    Kept(String),
    /// Another worker dropped it.
    Gone,
}

/// Lets a month go, if nothing speaks against it. In one transaction, which changes nothing before its end: wherever it breaks off, the month
/// is there, or it is gone and the archive has it.
///
/// # Errors
/// [`StoreError`]; the month stays.
pub fn let_go(
    store: &mut dyn PartitionStore,
    archive: Option<&dyn Archive>,
    partition: &Partition,
) -> Result<Fate, StoreError> {
    if let Some(reason) = store.unsettled(partition)? {
        return Ok(Fate::Kept(reason));
    }
    let archived = archive
        .map(|archive| archived(store, archive, partition))
        .transpose()?;
    let exported = archived.as_ref().map(|archived| archived.events);
    let dropped = store.drop_partition(partition, exported)?;
    Ok(dropped.map_or(Fate::Gone, |events| Fate::Dropped { events, archived }))
}

fn archived(
    store: &mut dyn PartitionStore,
    archive: &dyn Archive,
    partition: &Partition,
) -> Result<Archived, StoreError> {
    if let Some(archived) = archive.find(partition)? {
        return Ok(archived);
    }
    let mut writer = archive.begin(partition)?;
    store.read_partition(partition, &mut |events| Ok(writer.write(events)?))?;
    writer.finish()?;
    // What is believed is what is there, and not what was written.
    let archived = archive.find(partition)?;
    let missing = || ArchiveError(format!("{} was written and is not there", partition.name));
    Ok(archived.ok_or_else(missing)?)
}

/// Retention, for the worker.
#[derive(Clone)]
pub struct Retention {
    db: Arc<dyn UnitOfWork<dyn PartitionStore>>,
    archive: Option<Arc<dyn Archive>>,
    kept: Duration,
}

impl Retention {
    /// A façade over `db`, whose role sees the usage of all tenants. Events are kept for `kept` after the end of their month, and never for
    /// less than [`MIN_KEPT`].
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn PartitionStore>>, kept: Duration) -> Self {
        Self {
            db,
            archive: None,
            kept: kept.max(MIN_KEPT),
        }
    }

    /// The same, but nothing goes before `archive` has it.
    #[must_use]
    pub fn with_archive(self, archive: Arc<dyn Archive>) -> Self {
        Self {
            archive: Some(archive),
            ..self
        }
    }

    /// Months that are older than is wanted at `now`, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn old(&self, now: OffsetDateTime) -> Result<Vec<Partition>, StoreError> {
        let before = now.saturating_sub(self.kept);
        let work =
            move |store: &mut (dyn PartitionStore + 'static)| store.partitions_before(before);
        self.db.run(Scope::global(), work).await
    }

    /// Lets a month go, in one transaction; see [`let_go`].
    ///
    /// # Errors
    /// [`StoreError`]; the month stays.
    pub async fn let_go(&self, partition: &Partition) -> Result<Fate, StoreError> {
        let (archive, partition) = (self.archive.clone(), partition.clone());
        let work = move |store: &mut (dyn PartitionStore + 'static)| {
            let_go(store, archive.as_deref(), &partition)
        };
        self.db.run(Scope::global(), work).await
    }
}

/// Refuses an answer that events which are not kept any more would belong to: a range that begins or ends amid a quarter of an hour is
/// answered from the events of that quarter. Asked after the answer was read, so that nothing goes between. What happened lately is kept, and
/// the store is not asked.
pub(crate) fn check(
    store: &mut dyn Store,
    from: OffsetDateTime,
    to: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), ReadUsageError> {
    // A day for clocks that differ.
    let lately = now.saturating_sub(MIN_KEPT - Duration::DAY);
    for (field, at) in [("from", from), ("to", to)] {
        if quarter_of(at) != at && at < lately && !store.keeps_quarter(at)? {
            let rule =
                "must be on a quarter of an hour: the events around it are not kept any more";
            return Err(FieldError::new(field, "not_kept", rule).into());
        }
    }
    Ok(())
}
