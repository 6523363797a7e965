//! Parting the events that can be written, each once, from those that cannot: the rules that need the meter, the project or the clock.

use std::{borrow::Cow, collections::HashMap};

use kernel::StoreError;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    Item, Meter, NewEvent, Rejection, dimension,
    ingest::{
        Appended, Batch, EPOCH, ItemResult, MAX_AGE, MAX_AHEAD, MeteredEvent, Options, Outcome,
        unknown_project,
    },
    value,
};

/// An event on its way: settled, or a copy of the fresh event at a place.
pub(crate) enum Pending {
    Settled(ItemResult),
    Copy {
        id: String,
        payload_hash: Uuid,
        of: usize,
        first: bool,
    },
}

/// Events of one tenant to be written, with different keys.
#[derive(Default)]
pub(crate) struct Fresh<'a> {
    pub(crate) events: Vec<MeteredEvent<'a>>,
    /// Where the event of a key is.
    places: HashMap<Uuid, usize>,
}

impl<'a> Fresh<'a> {
    /// Adds what can be written of a request, and answers for every event of it, in order. An event that an earlier request brought is not
    /// added again.
    pub(crate) fn sift(
        &mut self,
        items: &'a [Item],
        batch: &Batch,
        options: Options,
    ) -> Vec<Pending> {
        let meters: HashMap<&str, &Meter> = batch
            .meters
            .iter()
            .map(|meter| (meter.key.as_str(), meter))
            .collect();
        self.events.reserve(items.len());
        self.places.reserve(items.len());
        let sifted = items.iter().enumerate().map(|(place, item)| {
            let metered = item.event.as_ref().map_err(Clone::clone);
            let metered = metered.and_then(|event| {
                let meter = meters.get(event.metric.as_str()).copied();
                let meter = meter.ok_or_else(unknown_metric)?;
                meter_event(event, meter, batch, place, options)
            });
            match metered {
                Ok(event) => self.add(event),
                Err(rejection) => Pending::Settled(ItemResult {
                    id: item.id.clone(),
                    outcome: Outcome::Rejected(rejection),
                }),
            }
        });
        sifted.collect()
    }

    fn add(&mut self, event: MeteredEvent<'a>) -> Pending {
        let (id, payload_hash) = (event.event.id.clone(), event.payload_hash);
        let next = self.events.len();
        let of = *self.places.entry(event.dedup).or_insert(next);
        let first = of == next;
        if first {
            self.events.push(event);
        }
        Pending::Copy {
            id,
            payload_hash,
            of,
            first,
        }
    }

    /// What became of the events of one request, by what the store says of all that were added.
    pub(crate) fn settle(
        &self,
        pending: Vec<Pending>,
        written: &[Appended],
    ) -> Result<Vec<ItemResult>, StoreError> {
        if written.len() != self.events.len() {
            let message = format!(
                "{} events were written as {}",
                self.events.len(),
                written.len()
            );
            return Err(StoreError::Unexpected(message));
        }
        let settled = |pending| match pending {
            Pending::Settled(result) => result,
            Pending::Copy {
                id,
                payload_hash,
                of,
                first,
            } => ItemResult {
                id: Some(id),
                outcome: self.outcome(written.get(of), of, payload_hash, first),
            },
        };
        Ok(pending.into_iter().map(settled).collect())
    }

    fn outcome(
        &self,
        written: Option<&Appended>,
        of: usize,
        payload_hash: Uuid,
        first: bool,
    ) -> Outcome {
        let kept = match written {
            Some(Appended::Before { payload_hash }) => Some(*payload_hash),
            _ => self.events.get(of).map(|event| event.payload_hash),
        };
        let now = written == Some(&Appended::Now);
        match (now && first, kept == Some(payload_hash)) {
            (true, _) => Outcome::Accepted,
            (false, true) => Outcome::Duplicate,
            (false, false) => Outcome::Conflict,
        }
    }
}

fn unknown_metric() -> Rejection {
    Rejection::new(
        "usage.unknown_metric",
        "metric",
        "must be the key of a meter",
    )
}

fn meter_event<'a>(
    event: &'a NewEvent,
    meter: &Meter,
    batch: &Batch,
    place: usize,
    options: Options,
) -> Result<MeteredEvent<'a>, Rejection> {
    if event
        .project_id
        .is_some_and(|id| !batch.projects.contains(&id))
    {
        return Err(unknown_project());
    }
    let quantity = value::quantity_of(meter, event)?;
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
        occurred_at: time_of(event, batch.received_at, place, options)?,
        quantity,
        dims: dimension::dims_of(meter, event)?,
        value_hash: value::value_hash(meter, event)?,
        event: Cow::Borrowed(event),
    })
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
