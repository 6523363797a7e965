//! `usage::Store`: events as they were sent. Pages are compared with what was written.

use std::cmp::Reverse;

use kernel::{ProjectId, Scope, StoreError, TenantId};
use time::{Duration, OffsetDateTime, macros::datetime};
use usage::{
    Aggregation, Item, Meter, StoredEvent,
    ingest::MeteredEvent,
    raw::{EventsQuery, Found, Place},
    retention::Partition,
};

use super::{Backend, fixture, run, usage_fixture::*};

/// Later than any event.
const END: OffsetDateTime = datetime!(2040-01-01 00:00 UTC);

fn everything(meters: &[Meter]) -> EventsQuery {
    EventsQuery {
        meters: meters.to_vec(),
        from: datetime!(2000-01-01 00:00 UTC),
        source: None,
        user_id: None,
        project_id: None,
    }
}

async fn page(
    backend: &impl Backend,
    tenant_id: TenantId,
    query: &EventsQuery,
    behind: Place,
    limit: u32,
) -> Found {
    let query = query.clone();
    let read = in_tenant(backend, tenant_id, move |store| {
        store.events(tenant_id, &query, &behind, limit)
    });
    let found = read.await.unwrap();
    assert!(found.events.len() <= limit as usize);
    let places = found.events.iter().map(StoredEvent::place);
    let next = found
        .next
        .unwrap_or(Place::before(datetime!(1971-01-01 00:00 UTC)));
    for place in places {
        assert!(
            place < behind && place >= next,
            "{place:?} is on another page"
        );
    }
    found
}

/// Every page until the last one.
async fn pages(
    backend: &impl Backend,
    tenant_id: TenantId,
    query: &EventsQuery,
    to: OffsetDateTime,
    limit: u32,
) -> Vec<StoredEvent> {
    let (mut events, mut behind) = (Vec::new(), Place::before(to));
    for _ in 0..2_000 {
        let found = page(backend, tenant_id, query, behind, limit).await;
        events.extend(found.events);
        match found.next {
            Some(next) => behind = next,
            None => return events,
        }
    }
    panic!("the pages never end");
}

/// What a store must tell of an event that it took at `received_at`.
fn as_sent(event: &MeteredEvent, received_at: OffsetDateTime) -> StoredEvent {
    let said = &event.event;
    StoredEvent {
        id: said.id.clone(),
        source: said.source.clone(),
        metric: said.metric.clone(),
        quantity: event.quantity.clone(),
        occurred_at: event.occurred_at,
        received_at,
        project_id: said.project_id,
        user_id: said.user_id.clone(),
        model: said.model.clone(),
        metadata: said.metadata.as_json().map(str::to_owned),
        dedup: event.dedup,
    }
}

/// Writes events and says what must be read of them.
async fn write(
    backend: &impl Backend,
    tenant_id: TenantId,
    events: Vec<MeteredEvent<'static>>,
) -> Vec<StoredEvent> {
    let (received_at, _) = append(backend, tenant_id, events.clone()).await;
    let sent = events.iter().map(|event| as_sent(event, received_at));
    sent.collect()
}

fn in_order(mut events: Vec<StoredEvent>) -> Vec<StoredEvent> {
    events.sort_by_key(|event| Reverse(event.place()));
    events
}

fn ids(events: &[StoredEvent]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

/// Every field comes back, found by its key or on a page. Of an id that was used again after 35 days the last event is found, and both are
/// listed.
pub async fn an_event_is_read_back_as_it_was_sent(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    let project = ProjectId::new(fixture::at(1));
    add_project(backend, tenant, project).await;
    let full = serde_json::json!({
        "id": "a/1", "metric": "chat", "source": "/agents/7", "quantity": "0.000000000001", "user_id": "ü", "model": "m",
        "project_id": project, "metadata": { "b": [1, null], "a": "x" },
    });
    let full = Item::parse_plain(&full.to_string()).event.unwrap();
    let full = metered(&chat, full, fixture::at(3) + Duration::MICROSECOND);
    let bare = event(&chat, "bare", fixture::at(2), 0);
    let sent = write(backend, tenant, vec![full.clone(), bare]).await;
    let find = |dedup| in_tenant(backend, tenant, move |store| store.event(tenant, dedup));
    let query = everything(&[chat]);
    let same = |told: &StoredEvent, sent: &StoredEvent| {
        let parsed = |metadata: &Option<String>| -> Option<serde_json::Value> {
            metadata
                .as_deref()
                .map(|text| serde_json::from_str(text).unwrap())
        };
        assert_eq!(parsed(&told.metadata), parsed(&sent.metadata));
        let metadata = sent.metadata.clone();
        assert_eq!(
            StoredEvent {
                metadata,
                ..told.clone()
            },
            *sent
        );
    };
    for sent in &sent {
        same(&find(sent.dedup).await.unwrap().unwrap(), sent);
    }
    let listed = pages(backend, tenant, &query, END, 10).await;
    assert_eq!(ids(&listed), ["a/1", "bare"]);
    same(&listed[0], &sent[0]);
    assert_eq!(find(uuid::Uuid::from_u128(7)).await.unwrap(), None);

    let again = sent[0].received_at + Duration::days(35);
    let copy = full.clone();
    let written = in_tenant(backend, tenant, move |store| {
        store.append_events(tenant, again, &[copy])
    });
    written.await.unwrap();
    let last = find(full.dedup).await.unwrap().unwrap();
    assert_eq!(last.received_at, again);
    let listed = pages(backend, tenant, &query, END, 1).await;
    assert_eq!(ids(&listed), ["a/1", "a/1", "bare"]);
    assert_eq!(listed[0].received_at, again);
}

/// Events over a year, many at one instant, of several meters, projects, users and sources: whatever is asked for, the pages hold what
/// matches, in order and once, whether nothing, a part or everything is rolled up.
pub async fn pages_hold_every_event_once_at_any_moment(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut meters = vec![standard_meter(backend, "chat").await];
    meters.push(stored_meter(backend, tenant, "own", Aggregation::Sum).await);
    let projects = [1, 2].map(|second| ProjectId::new(fixture::at(second)));
    for project in projects {
        add_project(backend, tenant, project).await;
    }
    let mut dice = Dice(0x5eed);
    let (mut sent, mut rolled) = (Vec::new(), 0);
    for batch in 0..6_u64 {
        let mut events = Vec::new();
        for number in 0..60 {
            let start = fixture::at(0) - Duration::days(73 * i64::try_from(dice.roll(5)).unwrap());
            let into = dice.pick(&[0, 1, 900_000_000, 4_000_000_000, 90_000_000_000]);
            let into = i64::try_from(dice.roll(into + 1)).unwrap();
            let at = start + Duration::microseconds(into);
            let mut one = event(&dice.pick(&meters), &format!("{batch}-{number}"), at, 1)
                .event
                .into_owned();
            one.user_id = dice.pick(&[None, Some("u1".to_owned()), Some("u2".to_owned())]);
            one.project_id = dice.pick(&[None, Some(projects[0]), Some(projects[1])]);
            one.source = dice
                .pick(&["plinth", "rare", "plinth", "plinth"])
                .to_owned();
            let meter = meters.iter().find(|meter| meter.key == one.metric);
            events.push(metered(meter.unwrap(), one, at));
        }
        sent.extend(write(backend, tenant, events).await);
        if dice.roll(2) == 0 {
            roll_all(backend, sent.len() as u64 - rolled).await;
            rolled = sent.len() as u64;
        }
        for _ in 0..6 {
            let query = EventsQuery {
                meters: dice.pick(&[meters.clone(), meters[1..].to_vec()]),
                from: dice.pick(&[
                    everything(&[]).from,
                    fixture::at(-12_614_400) + Duration::SECOND,
                ]),
                source: dice.pick(&[None, None, Some("rare".to_owned())]),
                user_id: dice.pick(&[None, None, Some("u1".to_owned()), Some("nobody".to_owned())]),
                project_id: dice.pick(&[None, None, Some(projects[1])]),
            };
            let to = dice.pick(&[END, dice_instant(&sent, batch)]);
            let limit = dice.pick(&[1, 7, 100]);
            let mut wanted = sent.clone();
            wanted.retain(|event| {
                query.meters.iter().any(|meter| meter.key == event.metric)
                    && event.occurred_at >= query.from
                    && event.occurred_at < to
                    && query
                        .source
                        .as_ref()
                        .is_none_or(|source| *source == event.source)
                    && (query.user_id.is_none() || query.user_id == event.user_id)
                    && (query.project_id.is_none() || query.project_id == event.project_id)
            });
            let found = pages(backend, tenant, &query, to, limit).await;
            assert_eq!(
                ids(&found),
                ids(&in_order(wanted)),
                "{query:?} before {to}, by {limit}"
            );
        }
    }
}

/// The instant of an event: a range that ends there leaves it out.
fn dice_instant(sent: &[StoredEvent], at: u64) -> OffsetDateTime {
    sent[usize::try_from(at * 37).unwrap() % sent.len()].occurred_at
}

/// Thousands of events in one quarter, nearly all in one second of it, and few that are asked for.
pub async fn a_dense_quarter_is_paged_too(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    let mut sent = Vec::new();
    for batch in 0..4_i64 {
        let one = |number: i64| {
            let micros = if number % 50 == 0 {
                number * 500_000
            } else {
                7_000_000 + number / 3
            };
            let at = fixture::at(0) + Duration::microseconds(micros);
            let mut one = event(&chat, &format!("{batch}-{number}"), at, 1)
                .event
                .into_owned();
            if number % 400 == 0 {
                one.source = "rare".to_owned();
            }
            metered(&chat, one, at)
        };
        sent.extend(write(backend, tenant, (0..800).map(one).collect()).await);
    }
    roll_all(backend, 3_200).await;
    let query = everything(&[chat]);
    let found = pages(backend, tenant, &query, END, 100).await;
    let wanted = in_order(sent);
    assert_eq!(ids(&found), ids(&wanted));
    let rare = EventsQuery {
        source: Some("rare".to_owned()),
        ..query
    };
    let found = pages(backend, tenant, &rare, END, 3).await;
    assert_eq!(found.len(), 8);
    assert!(found.iter().all(|event| event.source == "rare"));
}

/// Between two pages events come in, earlier and later than where the reader is, and everything is rolled up: what was there when the
/// reader began comes once.
pub async fn pages_are_stable_while_events_come_in(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    let one = |id: String, second: i64| event(&chat, &id, fixture::at(second), 1);
    let first = (0..40).map(|n| one(format!("first-{n}"), n * 200));
    write(backend, tenant, first.collect()).await;
    let query = everything(std::slice::from_ref(&chat));
    let (mut seen, mut behind) = (Vec::new(), Place::before(END));
    for round in 0..20 {
        let found = page(backend, tenant, &query, behind, 4).await;
        seen.extend(found.events.into_iter().map(|event| event.id));
        let Some(next) = found.next else { break };
        behind = next;
        let fresh = [9_000 - round, 4_100, round].map(|at| one(format!("late-{round}-{at}"), at));
        write(backend, tenant, fresh.to_vec()).await;
        roll_all(backend, if round == 0 { 43 } else { 3 }).await;
    }
    let known: Vec<&String> = seen.iter().filter(|id| id.starts_with("first")).collect();
    let wanted: Vec<String> = (0..40).rev().map(|n| format!("first-{n}")).collect();
    assert_eq!(known, wanted.iter().collect::<Vec<_>>());
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "an event came twice");
}

/// From another tenant's scope, and from none, nothing of this one is there, by whatever key.
pub async fn events_of_another_tenant_are_not_there(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let chat = standard_meter(backend, "chat").await;
    let sent = write(backend, tenant, vec![event(&chat, "a", fixture::at(0), 1)]).await;
    roll_all(backend, 1).await;
    let behind = Place::before(END);
    for (scope, rows) in [
        (Scope::tenant(tenant), 1),
        (Scope::tenant(other), 0),
        (Scope::global(), 0),
    ] {
        let (query, dedup) = (everything(std::slice::from_ref(&chat)), sent[0].dedup);
        let read = run(backend.usage(), scope, move |store| {
            let listed = store.events(tenant, &query, &behind, 9)?;
            Ok((listed.events.len(), store.event(tenant, dedup)?.is_some()))
        });
        let read: Result<_, StoreError> = read.await;
        assert_eq!(read, Ok((rows, rows == 1)));
    }
    let query = everything(&[chat]);
    let own = page(backend, other, &query, behind, 9).await;
    assert_eq!(own, Found::default());
    let find = in_tenant(backend, other, move |store| {
        store.event(other, sent[0].dedup)
    });
    assert_eq!(find.await.unwrap(), None);
}

/// A month that is younger than an id is remembered for stays, whoever asks, and what it holds is kept.
pub async fn what_is_young_is_kept(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    let sent = write(backend, tenant, vec![event(&chat, "a", fixture::at(0), 1)]).await;
    roll_all(backend, 1).await;
    let (at, received_at) = (sent[0].occurred_at, sent[0].received_at);
    let months = run(backend.partitions(), Scope::global(), move |store| {
        store.partitions_before(received_at + Duration::days(70))
    });
    let months: Result<_, StoreError> = months.await;
    for month in months.unwrap() {
        let dropped = run(backend.partitions(), Scope::global(), move |store| {
            let mut read = 0;
            let number = store.read_partition(&month, &mut |events| {
                read += events.len() as u64;
                Ok(())
            })?;
            assert_eq!(number, read);
            store.drop_partition(&month, None)
        });
        let dropped: Result<_, StoreError> = dropped.await;
        assert!(
            matches!(dropped, Err(StoreError::Unexpected(_))),
            "{dropped:?}"
        );
    }
    let nothing = Partition {
        name: "usage_events_1999_01".to_owned(),
        starts_at: datetime!(1999-01-01 00:00 UTC),
        ends_at: datetime!(1999-02-01 00:00 UTC),
    };
    let none = run(backend.partitions(), Scope::global(), move |store| {
        assert_eq!(store.unsettled(&nothing)?, None);
        store.drop_partition(&nothing, Some(0))
    });
    let none: Result<_, StoreError> = none.await;
    assert_eq!(none, Ok(None), "a month that is not there");
    let kept = in_tenant(backend, tenant, move |store| store.keeps_quarter(at));
    assert_eq!(kept.await, Ok(true));
    let listed = pages(backend, tenant, &everything(&[chat]), END, 9).await;
    assert_eq!(ids(&listed), ["a"]);
}
