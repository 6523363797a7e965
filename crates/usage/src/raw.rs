//! Events as they were sent, one by one.

use kernel::{
    Cursor, Denied, FieldError, Page, PageRequest, Principal, ProjectId, Quantity, StoreError,
    page, text,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Meter, Store,
    event::{DEFAULT_SOURCE, MAX_TEXT},
    ingest::EPOCH,
    key, permissions,
    query::{END, ReadUsageError, check_range, micros, named_meters, to_micros},
};

/// An event that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The id that the sender gave it.
    pub id: String,
    /// Who made the id.
    pub source: String,
    /// Key of the meter.
    pub metric: String,
    /// How much.
    pub quantity: Quantity,
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// When it was received.
    pub received_at: OffsetDateTime,
    /// In which project.
    pub project_id: Option<ProjectId>,
    /// By whom: the sender's own name for a user.
    pub user_id: Option<String>,
    /// With which model.
    pub model: Option<String>,
    /// Whatever else the sender said: a JSON object.
    pub metadata: Option<String>,
    /// See [`NewEvent::dedup`](crate::NewEvent::dedup).
    pub dedup: Uuid,
}

impl StoredEvent {
    /// Where the event stands among those of its tenant.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place {
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            dedup: self.dedup,
        }
    }
}

/// A place in the order of a tenant's events. No two of them have the same, and none ever changes its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// When it was received: an id counts again after 35 days, with whatever time.
    pub received_at: OffsetDateTime,
    /// See [`NewEvent::dedup`](crate::NewEvent::dedup).
    pub dedup: Uuid,
}

/// A place as a cursor holds it: two instants in microseconds since 1970, and the rest.
type Key = (i64, i64, Uuid);

impl Place {
    /// The place before which everything happened earlier than `at`, and nothing else.
    #[must_use]
    pub const fn before(at: OffsetDateTime) -> Self {
        Self {
            occurred_at: at,
            received_at: OffsetDateTime::UNIX_EPOCH,
            dedup: Uuid::nil(),
        }
    }

    fn key(&self) -> Key {
        (
            micros(self.occurred_at),
            micros(self.received_at),
            self.dedup,
        )
    }

    fn of((occurred_at, received_at, dedup): Key) -> Result<Self, FieldError> {
        Ok(Self {
            occurred_at: page::instant(i128::from(occurred_at) * 1000)?,
            received_at: page::instant(i128::from(received_at) * 1000)?,
            dedup,
        })
    }
}

/// Which events a client wants. Empty fields do not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsRequest {
    /// Keys of meters.
    pub metrics: Vec<String>,
    /// Happened at or after this instant.
    pub from: Option<OffsetDateTime>,
    /// Happened before this instant.
    pub to: Option<OffsetDateTime>,
    /// Who made the id.
    pub source: Option<String>,
    /// By whom.
    pub user_id: Option<String>,
    /// In which project.
    pub project_id: Option<ProjectId>,
}

/// Which events a store looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsQuery {
    /// The meters.
    pub meters: Vec<Meter>,
    /// First instant, to the microsecond.
    pub from: OffsetDateTime,
    /// Who made the id.
    pub source: Option<String>,
    /// By whom.
    pub user_id: Option<String>,
    /// In which project.
    pub project_id: Option<ProjectId>,
}

/// What a store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Events, the latest first.
    pub events: Vec<StoredEvent>,
    /// Where to look on: every event that matches and is not among `events` is behind this place. Nothing when there is none.
    pub next: Option<Place>,
}

/// A page of events, the latest first. A page may be short, or empty, and still have a cursor: a store looks through a bounded number of
/// events for each.
///
/// # Errors
/// See [`ReadUsageError`].
pub fn list(
    store: &mut dyn Store,
    request: EventsRequest,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<StoredEvent>, ReadUsageError> {
    let tenant_id = by.may(&permissions::USAGE_READ)?;
    let from = to_micros(request.from.unwrap_or(EPOCH));
    let to = to_micros(request.to.unwrap_or(END));
    check_range(from, to)?;
    for (field, value) in [("source", &request.source), ("user_id", &request.user_id)] {
        text::check(field, value.as_deref().unwrap_or_default(), MAX_TEXT)?;
    }
    let meters = named_meters(store, &request.metrics, by)?;
    let cursor = page.key::<Key>()?.map(Place::of).transpose()?;
    let behind = cursor.map_or(Place::before(to), |cursor| cursor.min(Place::before(to)));
    let own = by.grant.as_ref().and_then(|grant| grant.project_id);
    if let (Some(own), Some(wanted)) = (own, request.project_id)
        && own != wanted
    {
        return Ok(Page::from_rows(Vec::new(), page.limit, |_| ()));
    }
    let query = EventsQuery {
        meters,
        from,
        source: request.source,
        user_id: request.user_id,
        project_id: own.or(request.project_id),
    };
    let found = store.events(tenant_id, &query, &behind, page.limit)?;
    Ok(Page {
        data: found.events,
        next_cursor: found.next.map(|place| Cursor::after(&place.key())),
    })
}

/// Why an event was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindEventError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The principal's tenant, or its project, has no such event, or does not have it any more.
    #[error("there is no such event")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The event with this id of this source, or of the source that plain events have; the last one received when the id was used again after
/// 35 days.
///
/// # Errors
/// See [`FindEventError`].
pub fn find(
    store: &mut dyn Store,
    id: &str,
    source: Option<&str>,
    by: &Principal,
) -> Result<StoredEvent, FindEventError> {
    let tenant_id = by.may(&permissions::USAGE_READ)?;
    let own = by.grant.as_ref().and_then(|grant| grant.project_id);
    let dedup = key::of(source.unwrap_or(DEFAULT_SOURCE), id);
    store
        .event(tenant_id, dedup)?
        .filter(|event| own.is_none() || event.project_id == own)
        .ok_or(FindEventError::NotFound)
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    #[test]
    fn a_place_survives_a_cursor() {
        let place = Place {
            occurred_at: datetime!(2026-11-01 00:00:00.000001 UTC),
            received_at: datetime!(2026-11-01 00:00:01 UTC),
            dedup: Uuid::from_u128(7),
        };
        assert_eq!(Place::of(place.key()), Ok(place));
        for key in [(-1, 0, Uuid::nil()), (0, i64::MAX, Uuid::nil())] {
            assert_eq!(Place::of(key).unwrap_err().code, "invalid_cursor");
        }
    }

    #[test]
    fn the_place_before_an_instant_parts_what_is_earlier_from_the_rest() {
        let at = datetime!(2026-11-01 00:00 UTC);
        let place = |occurred_at| Place {
            occurred_at,
            received_at: at,
            dedup: Uuid::from_u128(1),
        };
        assert!(place(at) > Place::before(at));
        assert!(place(at - Duration::MICROSECOND) < Place::before(at));
    }
}
