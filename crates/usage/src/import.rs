//! Bringing in what another system measured, a page at a time.
//!
//! Keys of events are looked up over 35 days, and an import may be started again at any time. So it keeps its own position, which moves in
//! the transaction that writes the events: a page is taken once, whatever happens to the process and whenever it is started again.
//!
//! An import is a principal of its own: under row-level security its transactions see its own row, and enter one tenant after another.

use std::collections::BTreeMap;

use audit::{Crud, NewEvent as NewAuditEvent, Target};
use bigdecimal::BigDecimal;
use kernel::{Principal, Quantity, Scope, StoreError, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    IngestError, Item, Options, Outcome, Status,
    ingest::{self, Admitted, ItemResult, MAX_ITEMS},
    key,
    sift::{Fresh, Pending},
};

pub use crate::ports::ImportStore;

/// Which import it is. Two of the same source and table are one, and carry on from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The source that its events carry.
    pub source: String,
    /// The table it reads.
    pub table: String,
    /// What the table's columns mean, as canonical text.
    pub mapping: String,
}

impl Identity {
    /// 128 bits of SHA-256 over source and table, each with its length in front.
    #[must_use]
    pub fn id(&self) -> Uuid {
        key::digest([&self.source, &self.table])
    }

    /// The scope of its transactions: its own row, and no tenant yet.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope {
            principal_id: Some(self.id()),
            ..Scope::global()
        }
    }
}

/// How far an import has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// Rows that are settled, from the first one on.
    pub rows: u64,
    /// A digest over those rows.
    pub digest: String,
}

/// An import as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// What its columns mean, as it began.
    pub mapping: String,
    /// How far it has come.
    pub position: Position,
    /// Settled rows that belong to no tenant here.
    pub unassigned: u64,
    /// When it began, by the store's clock. None of its events was received before.
    pub started_at: OffsetDateTime,
    /// When its last row was settled, if it was.
    pub finished_at: Option<OffsetDateTime>,
}

/// One event of a row.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The metric, as the source spells it.
    pub metric: String,
    /// How much, as far as it could be read.
    pub quantity: Option<Quantity>,
    /// The event, or why it is none.
    pub item: Item,
}

/// Rows that follow each other, to be settled in one transaction.
#[derive(Debug, Clone)]
pub struct Page {
    /// Rows before it.
    pub from: u64,
    /// The position behind it.
    pub to: Position,
    /// What its rows hold, by tenant.
    pub entries: BTreeMap<TenantId, Vec<Entry>>,
    /// Rows that belong to no tenant here.
    pub unassigned: u64,
}

/// How many events of a metric became the same, and what their quantities add up to, as far as they could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportTotal {
    /// The metric, as the source spells it.
    pub metric: String,
    /// What became of them.
    pub status: Status,
    /// How many.
    pub events: u64,
    /// Their sum.
    pub quantity: BigDecimal,
}

/// Events of one source and meter that a tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Key of the meter.
    pub metric: String,
    /// How many.
    pub events: u64,
    /// Their sum.
    pub quantity: BigDecimal,
    /// When the first of them happened.
    pub first_at: OffsetDateTime,
    /// When the last of them happened.
    pub last_at: OffsetDateTime,
}

/// Why an import does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It began with columns that meant something else.
    #[error("this import began with other columns or options: {began}")]
    OtherMapping {
        /// What they meant then.
        began: String,
    },
    /// Another process settled the page meanwhile.
    #[error("another import of the same source is running")]
    Moved,
    /// What was measured could not be taken in.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins an import, or finds how far it has come.
///
/// # Errors
/// [`ImportError::OtherMapping`], [`ImportError::Store`].
pub fn begin(store: &mut dyn ImportStore, identity: &Identity) -> Result<Import, ImportError> {
    let import = store.hold_import(identity)?;
    same_mapping(import, identity)
}

/// As [`begin`], but adds nothing. `None` when it has not begun.
///
/// # Errors
/// As [`begin`].
pub fn look_up(
    store: &mut dyn ImportStore,
    identity: &Identity,
) -> Result<Option<Import>, ImportError> {
    let import = store.import(identity.id())?;
    import
        .map(|import| same_mapping(import, identity))
        .transpose()
}

fn same_mapping(import: Import, identity: &Identity) -> Result<Import, ImportError> {
    if import.mapping == identity.mapping {
        Ok(import)
    } else {
        Err(ImportError::OtherMapping {
            began: import.mapping,
        })
    }
}

/// The tenant that the source calls `name`: its id or its slug here.
///
/// # Errors
/// [`StoreError`].
pub fn tenant_named(
    store: &mut dyn ImportStore,
    name: &str,
) -> Result<Option<TenantId>, StoreError> {
    if let Ok(tenant_id) = name.parse::<TenantId>() {
        store.enter_tenant(tenant_id)?;
        return Ok(store.has_tenant(tenant_id)?.then_some(tenant_id));
    }
    store.tenant_of_slug(name)
}

/// Takes a page in and moves the import behind it. Answers for each entry, in order.
///
/// # Errors
/// [`ImportError::Moved`] when the import does not stand at the beginning of the page; and see [`ImportError`]. Nothing was taken then.
pub fn take(
    store: &mut dyn ImportStore,
    identity: &Identity,
    page: Page,
) -> Result<BTreeMap<TenantId, Vec<Outcome>>, ImportError> {
    let id = identity.id();
    let import = same_mapping(store.hold_import(identity)?, identity)?;
    if import.position.rows != page.from {
        return Err(ImportError::Moved);
    }
    let mut outcomes = BTreeMap::new();
    // In the order of their ids: whoever writes for many tenants at once waits for others in one direction only.
    for (tenant_id, entries) in page.entries {
        store.enter_tenant(tenant_id)?;
        let settled = take_of_tenant(store, tenant_id, &entries)?;
        store.add_import_totals(tenant_id, id, &totals(&entries, &settled))?;
        outcomes.insert(tenant_id, settled);
    }
    store.move_import(id, &page.to, page.unassigned, false)?;
    Ok(outcomes)
}

fn take_of_tenant(
    store: &mut dyn ImportStore,
    tenant_id: TenantId,
    entries: &[Entry],
) -> Result<Vec<Outcome>, ImportError> {
    let by = principal(tenant_id);
    let mut outcomes = Vec::with_capacity(entries.len());
    for entries in entries.chunks(MAX_ITEMS) {
        let items: Vec<Item> = entries.iter().map(|entry| entry.item.clone()).collect();
        let receipt = ingest::ingest(store, items, OPTIONS, &by)?;
        outcomes.extend(receipt.results.into_iter().map(|result| result.outcome));
    }
    Ok(outcomes)
}

/// What the rules say of a page, without writing it: whether an event is there already is not asked.
///
/// # Errors
/// [`ImportError::Ingest`], [`ImportError::Store`].
pub fn check(
    store: &mut dyn ImportStore,
    page: Page,
) -> Result<BTreeMap<TenantId, Vec<Outcome>>, ImportError> {
    let mut outcomes = BTreeMap::new();
    for (tenant_id, entries) in page.entries {
        store.enter_tenant(tenant_id)?;
        let mut checked = Vec::with_capacity(entries.len());
        for entries in entries.chunks(MAX_ITEMS) {
            checked.extend(check_of_tenant(store, tenant_id, entries)?);
        }
        outcomes.insert(tenant_id, checked);
    }
    Ok(outcomes)
}

fn check_of_tenant(
    store: &mut dyn ImportStore,
    tenant_id: TenantId,
    entries: &[Entry],
) -> Result<Vec<Outcome>, ImportError> {
    let items = entries.iter().map(|entry| entry.item.clone()).collect();
    let request = Admitted::new(items, OPTIONS, &principal(tenant_id))?;
    let names = request.names();
    let batch = store.open_batch(tenant_id, &names.metrics(), &names.projects())?;
    let pending = Fresh::default().sift(&request.items, &batch, OPTIONS);
    let outcome = |pending| match pending {
        Pending::Settled(ItemResult { outcome, .. }) => outcome,
        Pending::Copy { .. } => Outcome::Accepted,
    };
    Ok(pending.into_iter().map(outcome).collect())
}

/// Marks an import whose rows are all settled as finished, and leaves a trace with each of its tenants. Does nothing when it was finished.
///
/// # Errors
/// [`ImportError::Moved`] when the import stands elsewhere, [`ImportError::Store`].
pub fn finish(
    store: &mut dyn ImportStore,
    identity: &Identity,
    at: &Position,
    tenants: &[TenantId],
    now: OffsetDateTime,
) -> Result<(), ImportError> {
    let import = same_mapping(store.hold_import(identity)?, identity)?;
    if import.position.rows != at.rows {
        return Err(ImportError::Moved);
    }
    if import.finished_at.is_some() {
        return Ok(());
    }
    store.move_import(identity.id(), at, 0, true)?;
    for &tenant_id in tenants {
        store.enter_tenant(tenant_id)?;
        let target = Target::new("usage_import", identity.id(), identity.source.as_str());
        store.record(NewAuditEvent::new(
            tenant_id,
            "usage.imported",
            Crud::Create,
            target,
            &principal(tenant_id),
            now,
        ))?;
    }
    Ok(())
}

const OPTIONS: Options = Options {
    backfill: true,
    strict: false,
};

fn principal(tenant_id: TenantId) -> Principal {
    Principal::system("backfill", Some(tenant_id))
}

/// Adds up what became of entries, by metric.
#[must_use]
pub fn totals(entries: &[Entry], outcomes: &[Outcome]) -> Vec<ImportTotal> {
    let mut totals: BTreeMap<(&str, Status), (u64, BigDecimal)> = BTreeMap::new();
    for (entry, outcome) in entries.iter().zip(outcomes) {
        let (events, quantity) = totals.entry((&entry.metric, outcome.status())).or_default();
        *events += 1;
        if let Some(more) = &entry.quantity {
            *quantity += more.as_decimal();
        }
    }
    let totals = totals.into_iter();
    totals
        .map(|((metric, status), (events, quantity))| ImportTotal {
            metric: metric.to_owned(),
            status,
            events,
            quantity,
        })
        .collect()
}
