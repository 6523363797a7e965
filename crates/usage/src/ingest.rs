//! Taking events in: which requests are admitted, and what becomes of each event.

use std::{borrow::Cow, collections::BTreeSet};

use kernel::{Denied, MeterId, Principal, ProjectId, Quantity, StoreError, TenantId};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::{Item, Meter, NewEvent, Rejection, Store, permissions, sift::Fresh};

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

impl Outcome {
    /// Why the event was not taken, as the rules say it. `None` when it counts.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Accepted | Self::Duplicate => None,
            Self::Conflict => Some(Rejection::new(
                "usage.conflict",
                "id",
                "stands for another event already",
            )),
            Self::Rejected(rejection) => Some(rejection.clone()),
        }
    }

    /// The same without the reason.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Accepted => Status::Accepted,
            Self::Duplicate => Status::Duplicate,
            Self::Conflict => Status::Conflict,
            Self::Rejected(_) => Status::Rejected,
        }
    }
}

/// What became of one event, without the reason. Ordered as the texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// See [`Outcome::Accepted`].
    Accepted,
    /// See [`Outcome::Conflict`].
    Conflict,
    /// See [`Outcome::Duplicate`].
    Duplicate,
    /// See [`Outcome::Rejected`].
    Rejected,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Accepted,
        Self::Conflict,
        Self::Duplicate,
        Self::Rejected,
    ];

    /// The text for stores and clients.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
        }
    }

    /// Reads the text of [`Status::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
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
    /// Too many events wait to be written. Send the same request again a moment later.
    #[error("too many events wait to be written")]
    Busy,
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
pub struct MeteredEvent<'a> {
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
    /// See [`dims_of`](crate::dimension::dims_of).
    pub dims: Option<String>,
    /// See [`value_hash`](crate::value::value_hash).
    pub value_hash: Option<Uuid>,
    /// The event as the sender wrote it.
    pub event: Cow<'a, NewEvent>,
}

impl MeteredEvent<'_> {
    /// The same, for whoever keeps it longer than the request.
    #[must_use]
    pub fn into_owned(self) -> MeteredEvent<'static> {
        MeteredEvent {
            event: Cow::Owned(self.event.into_owned()),
            ..self
        }
    }
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

/// A request whose principal may send it: what is left to look at are its events.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Whose events they are.
    pub(crate) tenant_id: TenantId,
    /// The events, read or refused one by one.
    pub(crate) items: Vec<Item>,
    /// How they are to be taken.
    pub(crate) options: Options,
}

impl Admitted {
    /// Admits the events of `by`.
    ///
    /// # Errors
    /// [`IngestError::Denied`] and [`IngestError::TooMany`].
    pub fn new(items: Vec<Item>, options: Options, by: &Principal) -> Result<Self, IngestError> {
        let tenant_id = by.may(&permissions::USAGE_WRITE)?;
        if options.backfill {
            by.may(&permissions::USAGE_BACKFILL)?;
        }
        if items.len() > MAX_ITEMS {
            return Err(IngestError::TooMany(items.len()));
        }
        let bound = by.grant.as_ref().and_then(|grant| grant.project_id);
        Ok(Self {
            tenant_id,
            items: bind_to_project(items, bound),
            options,
        })
    }

    /// Whose events they are.
    #[must_use]
    pub const fn tenant_id(&self) -> TenantId {
        self.tenant_id
    }

    /// How many events there are, good or bad.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// About how many bytes the request keeps for as long as it waits.
    #[must_use]
    pub fn weight(&self) -> usize {
        let of_event = |event: &NewEvent| {
            let texts = [
                Some(&event.id),
                Some(&event.source),
                event.user_id.as_ref(),
                event.model.as_ref(),
            ];
            let metadata = event.metadata.as_json().map_or(0, str::len);
            texts.iter().flatten().map(|text| text.len()).sum::<usize>() + metadata
        };
        let of_item = |item: &Item| {
            let id = item.id.as_ref().map_or(0, String::len);
            id + match &item.event {
                Ok(event) => of_event(event),
                Err(refused) => refused.field.len(),
            }
        };
        let items = self.items.iter();
        items.map(|item| size_of::<Item>() + of_item(item)).sum()
    }

    /// Metrics and projects that the events name, each once.
    pub(crate) fn names(&self) -> Names<'_> {
        let events = || {
            self.items
                .iter()
                .filter_map(|item| item.event.as_ref().ok())
        };
        Names {
            metrics: events().map(|event| event.metric.as_str()).collect(),
            projects: events().filter_map(|event| event.project_id).collect(),
        }
    }
}

/// What events name, and the store must know.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    pub(crate) metrics: BTreeSet<&'a str>,
    pub(crate) projects: BTreeSet<ProjectId>,
}

impl Names<'_> {
    pub(crate) fn metrics(&self) -> Vec<String> {
        self.metrics.iter().map(|key| (*key).to_owned()).collect()
    }

    pub(crate) fn projects(&self) -> Vec<ProjectId> {
        self.projects.iter().copied().collect()
    }
}

/// Takes the events of one request in, in a transaction of their own. Facts are never refused for a quota.
///
/// # Errors
/// See [`IngestError`]; whatever is wrong with one event alone is in its result.
pub fn ingest(
    store: &mut dyn Store,
    items: Vec<Item>,
    options: Options,
    by: &Principal,
) -> Result<Receipt, IngestError> {
    let request = Admitted::new(items, options, by)?;
    let tenant_id = request.tenant_id;
    let names = request.names();
    let batch = store.open_batch(tenant_id, &names.metrics(), &names.projects())?;
    let mut fresh = Fresh::default();
    let pending = fresh.sift(&request.items, &batch, options);
    let written = if fresh.events.is_empty() {
        Vec::new()
    } else {
        store.append_events(tenant_id, batch.received_at, &fresh.events)?
    };
    let results = fresh.settle(pending, &written)?;
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

pub(crate) fn unknown_project() -> Rejection {
    Rejection::new(
        "usage.unknown_project",
        "project_id",
        "must be a project of the tenant",
    )
}

fn refuse_failures(results: &[ItemResult]) -> Result<(), IngestError> {
    let failures: Vec<(usize, Rejection)> = results
        .iter()
        .enumerate()
        .filter_map(|(place, result)| Some((place, result.outcome.rejection()?)))
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(IngestError::Strict(failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_event_weighs_what_is_kept_of_it() {
        let long = "x".repeat(100_000);
        let weight = |event: String| {
            let items = vec![Item::parse_plain(&event)];
            assert!(items[0].event.is_err());
            let by = Principal::system("test", Some(TenantId::from(uuid::Uuid::nil())));
            Admitted::new(items, Options::default(), &by)
                .unwrap()
                .weight()
        };
        assert!(weight(format!(r#"{{"id":"{long}","metric":"chat"}}"#)) > long.len());
        assert!(weight(format!(r#"{{"id":"a","metric":"chat","{long}":1}}"#)) > long.len());
    }
}
