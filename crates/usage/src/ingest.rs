//! Taking events in: what becomes of each, and the rules that need the meter, the project or the clock.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use kernel::{Denied, MeterId, Principal, ProjectId, Quantity, StoreError};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::{
    Aggregation, Item, Meter, NewEvent, Rejection, Store, permissions, reading::parse_quantity,
};

/// Events that one request may hold.
pub const MAX_ITEMS: usize = 1_000;
/// How far ahead of the store's clock an event may be.
pub const MAX_AHEAD: Duration = Duration::minutes(5);
/// How far back an event may be without backfill.
pub const MAX_AGE: Duration = Duration::days(35);
/// Nothing is measured before: from here on every time zone keeps to quarters of an hour, and so do rollups.
pub const EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);

/// How a request wants its events to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Events may be older than [`MAX_AGE`]. Needs `usage.backfill`.
    pub backfill: bool,
    /// All or nothing: an event that is neither accepted nor a duplicate undoes the request.
    pub strict: bool,
}

/// What becomes of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is written, and counts.
    Accepted,
    /// It was written before, and counts once.
    Duplicate,
    /// Another event was written before under its source and id. That one stays.
    Conflict,
    /// It breaks a rule.
    Rejected(Rejection),
}

/// What became of the event at the same place in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemResult {
    /// The event's id, as far as it could be read.
    pub id: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request. When the caller holds one, everything accepted in it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// One result per event, in the order of the request.
    pub results: Vec<ItemResult>,
}

impl Receipt {
    /// How many events were accepted, were duplicates, were in conflict and were rejected.
    #[must_use]
    pub fn counts(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        let [accepted, duplicates, conflicts, rejected] = &mut counts;
        for result in &self.results {
            match result.outcome {
                Outcome::Accepted => *accepted += 1,
                Outcome::Duplicate => *duplicates += 1,
                Outcome::Conflict => *conflicts += 1,
                Outcome::Rejected(_) => *rejected += 1,
            }
        }
        counts
    }
}

/// Why a request was refused as a whole. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// More events than [`MAX_ITEMS`].
    #[error("a request holds at most {MAX_ITEMS} events, and this one has {0}")]
    TooMany(usize),
    /// The request is strict, and these events, by place, are neither accepted nor duplicates.
    #[error("{} events of a strict request were not taken", .0.len())]
    Strict(Vec<(usize, Rejection)>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the store knows that a batch of events needs, read in the transaction that writes them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The store's clock.
    pub received_at: OffsetDateTime,
    /// Meters, of those that the events name.
    pub meters: Vec<Meter>,
    /// Projects of the tenant, of those that the events name.
    pub projects: Vec<ProjectId>,
}

/// An event with nothing left to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeteredEvent {
    /// What it counts towards.
    pub meter_id: MeterId,
    /// See [`NewEvent::dedup`].
    pub dedup: Uuid,
    /// See [`NewEvent::payload_hash`].
    pub payload_hash: Uuid,
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// How much.
    pub quantity: Quantity,
    /// The event as the sender wrote it.
    pub event: NewEvent,
}

/// What the store made of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Written now.
    Now,
    /// Written before, with this payload.
    Before {
        /// See [`NewEvent::payload_hash`].
        payload_hash: Uuid,
    },
}

/// Takes events in. Facts are never refused for a quota.
///
/// # Errors
/// See [`IngestError`]; whatever is wrong with one event alone is in its result.
pub fn ingest(
    store: &mut dyn Store,
    items: Vec<Item>,
    options: Options,
    by: &Principal,
) -> Result<Receipt, IngestError> {
    let tenant_id = by.may(&permissions::USAGE_WRITE)?;
    if options.backfill {
        by.may(&permissions::USAGE_BACKFILL)?;
    }
    if items.len() > MAX_ITEMS {
        return Err(IngestError::TooMany(items.len()));
    }
    let items = bind_to_project(items, by.grant.as_ref().and_then(|grant| grant.project_id));
    let events = || items.iter().filter_map(|item| item.event.as_ref().ok());
    let metrics: BTreeSet<&str> = events().map(|event| event.metric.as_str()).collect();
    let metrics: Vec<String> = metrics.into_iter().map(ToOwned::to_owned).collect();
    let projects: BTreeSet<ProjectId> = events().filter_map(|event| event.project_id).collect();
    let projects: Vec<ProjectId> = projects.into_iter().collect();
    let batch = store.open_batch(tenant_id, &metrics, &projects)?;
    let (pending, fresh) = sift(items, &batch, options);
    let written = if fresh.is_empty() {
        Vec::new()
    } else {
        store.append_events(tenant_id, batch.received_at, &fresh)?
    };
    if written.len() != fresh.len() {
        let message = format!("{} events were written as {}", fresh.len(), written.len());
        return Err(StoreError::Unexpected(message).into());
    }
    let results = settle(pending, &fresh, &written);
    if options.strict {
        refuse_failures(&results)?;
    }
    Ok(Receipt { results })
}

/// A principal of one project sends that project's events, and no other's.
fn bind_to_project(mut items: Vec<Item>, bound: Option<ProjectId>) -> Vec<Item> {
    let Some(bound) = bound else { return items };
    for item in &mut items {
        if let Ok(event) = &mut item.event
            && *event.project_id.get_or_insert(bound) != bound
        {
            item.event = Err(unknown_project());
        }
    }
    items
}

fn unknown_project() -> Rejection {
    Rejection::new(
        "usage.unknown_project",
        "project_id",
        "must be a project of the tenant",
    )
}

/// An event on its way: settled, or a copy of the fresh event at a place of the batch.
enum Pending {
    Settled(ItemResult),
    Copy {
        id: String,
        payload_hash: Uuid,
        of: usize,
        first: bool,
    },
}

/// Parts the events that can be written, each once, from those that cannot.
fn sift(items: Vec<Item>, batch: &Batch, options: Options) -> (Vec<Pending>, Vec<MeteredEvent>) {
    let meters: HashMap<&str, &Meter> = batch
        .meters
        .iter()
        .map(|meter| (meter.key.as_str(), meter))
        .collect();
    let mut fresh: Vec<MeteredEvent> = Vec::with_capacity(items.len());
    let mut places: HashMap<Uuid, usize> = HashMap::with_capacity(items.len());
    let mut pending = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        let metered = item.event.and_then(|event| {
            let meter = meters.get(event.metric.as_str()).copied().ok_or_else(|| {
                Rejection::new(
                    "usage.unknown_metric",
                    "metric",
                    "must be the key of a meter",
                )
            })?;
            meter_event(event, meter, batch, place, options)
        });
        pending.push(match metered {
            Err(rejection) => Pending::Settled(ItemResult {
                id: item.id,
                outcome: Outcome::Rejected(rejection),
            }),
            Ok(event) => {
                let (id, payload_hash) = (event.event.id.clone(), event.payload_hash);
                let next = fresh.len();
                let of = *places.entry(event.dedup).or_insert(next);
                let first = of == next;
                if first {
                    fresh.push(event);
                }
                Pending::Copy {
                    id,
                    payload_hash,
                    of,
                    first,
                }
            }
        });
    }
    (pending, fresh)
}

fn meter_event(
    event: NewEvent,
    meter: &Meter,
    batch: &Batch,
    place: usize,
    options: Options,
) -> Result<MeteredEvent, Rejection> {
    if event
        .project_id
        .is_some_and(|id| !batch.projects.contains(&id))
    {
        return Err(unknown_project());
    }
    let quantity = value_of(&event, meter)?;
    if quantity.is_negative() && !meter.allows_negative {
        return Err(Rejection::new(
            "usage.negative_quantity",
            "quantity",
            "must not be negative",
        ));
    }
    Ok(MeteredEvent {
        meter_id: meter.id,
        dedup: event.dedup(),
        payload_hash: event.payload_hash(),
        occurred_at: time_of(&event, batch.received_at, place, options)?,
        quantity,
        event,
    })
}

fn value_of(event: &NewEvent, meter: &Meter) -> Result<Quantity, Rejection> {
    let Some(name) = &meter.value_field else {
        return Ok(event.quantity.clone());
    };
    let missing = || {
        let field = Cow::Owned(format!("metadata.{name}"));
        Rejection::new("usage.missing_value", field, "must hold the meter's value")
    };
    let of_event = match name.as_str() {
        "user_id" => event.user_id.is_some(),
        "model" => event.model.is_some(),
        "project_id" => event.project_id.is_some(),
        _ => false,
    };
    let value = event.metadata.field(name);
    if meter.aggregation == Aggregation::Unique {
        let present = of_event || value.is_some();
        return if present {
            Ok(event.quantity.clone())
        } else {
            Err(missing())
        };
    }
    parse_quantity(
        Cow::Owned(format!("metadata.{name}")),
        &value.ok_or_else(missing)?,
    )
}

fn time_of(
    event: &NewEvent,
    received_at: OffsetDateTime,
    place: usize,
    options: Options,
) -> Result<OffsetDateTime, Rejection> {
    let Some(at) = event.occurred_at else {
        // A microsecond apart, so that the last of a request is the latest.
        let place = i64::try_from(place).unwrap_or(0);
        return Ok(received_at.saturating_add(Duration::microseconds(place)));
    };
    if at > received_at.saturating_add(MAX_AHEAD) {
        return Err(Rejection::new(
            "usage.too_far_in_the_future",
            "occurred_at",
            "must be at most 5 minutes ahead",
        ));
    }
    let oldest = if options.backfill {
        EPOCH
    } else {
        received_at.saturating_sub(MAX_AGE)
    };
    if at < oldest {
        return Err(Rejection::new(
            "usage.too_old",
            "occurred_at",
            "must be at most 35 days ago, or since 2000 with backfill",
        ));
    }
    Ok(at)
}

fn settle(pending: Vec<Pending>, fresh: &[MeteredEvent], written: &[Appended]) -> Vec<ItemResult> {
    let settled = |pending| match pending {
        Pending::Settled(result) => result,
        Pending::Copy {
            id,
            payload_hash,
            of,
            first,
        } => {
            let kept = match written.get(of) {
                Some(Appended::Before { payload_hash }) => Some(*payload_hash),
                _ => fresh.get(of).map(|event| event.payload_hash),
            };
            let now = written.get(of) == Some(&Appended::Now);
            let outcome = match (now && first, kept == Some(payload_hash)) {
                (true, _) => Outcome::Accepted,
                (false, true) => Outcome::Duplicate,
                (false, false) => Outcome::Conflict,
            };
            ItemResult {
                id: Some(id),
                outcome,
            }
        }
    };
    pending.into_iter().map(settled).collect()
}

fn refuse_failures(results: &[ItemResult]) -> Result<(), IngestError> {
    let failures: Vec<(usize, Rejection)> = results
        .iter()
        .enumerate()
        .filter_map(|(place, result)| match &result.outcome {
            Outcome::Accepted | Outcome::Duplicate => None,
            Outcome::Rejected(rejection) => Some((place, rejection.clone())),
            Outcome::Conflict => Some((
                place,
                Rejection::new("usage.conflict", "id", "stands for another event already"),
            )),
        })
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(IngestError::Strict(failures))
    }
}
