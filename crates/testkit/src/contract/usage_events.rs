//! `usage::Store`: each event is let in once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use kernel::{ProjectId, Scope, StoreError, TenantId};
use time::{Duration, OffsetDateTime};
use usage::{
    Aggregation, Buckets, Filter, GroupBy, Meter,
    ingest::{Appended, MeteredEvent},
    query::UsageQuery,
};
use uuid::Uuid;

use super::{Backend, fixture, run, usage_fixture::*};

const NOW: Appended = Appended::Now;

const fn before(event: &MeteredEvent<'static>) -> Appended {
    Appended::Before {
        payload_hash: event.payload_hash,
    }
}

/// How many events of a meter a tenant has, whenever they happened.
async fn number(backend: &impl Backend, tenant_id: TenantId, meter: &Meter) -> String {
    let counted = Meter {
        aggregation: Aggregation::Count,
        ..meter.clone()
    };
    let from = fixture::at(-400_000_000);
    let query = UsageQuery {
        meters: vec![counted],
        from,
        to: fixture::at(400_000_000),
        buckets: Buckets::At(vec![from]),
        group_by: GroupBy::default(),
        filter: Filter::default(),
        project_id: None,
        with_empty: true,
    };
    let rows = read(backend, tenant_id, &query, None, 10).await;
    assert_eq!(rows.len(), 1);
    rows[0].quantity.to_string()
}

/// What is sent again is told from what is new, each at its place, with the payload that was kept; whatever time the copy has.
pub async fn an_event_is_written_once_and_its_copies_are_told(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let chat = standard_meter(backend, "chat").await;
    let [a, b, c] = ["a", "b", "c"].map(|id| event(&chat, id, fixture::at(0), 1));
    let elsewhere = {
        let mut event = a.event.clone().into_owned();
        event.source = "elsewhere".to_owned();
        metered(&chat, event, fixture::at(0))
    };
    let first = vec![a.clone(), b.clone(), elsewhere.clone()];
    assert_eq!(append(backend, tenant, first).await.1, [NOW, NOW, NOW]);

    let long_before = event(&chat, "a", fixture::at(-300_000_000), 1);
    let other_meter = event(
        &standard_meter(backend, "tokens").await,
        "b",
        fixture::at(0),
        7,
    );
    let again = vec![other_meter, c, long_before, elsewhere.clone()];
    let appended = append(backend, tenant, again).await.1;
    assert_eq!(appended, [before(&b), NOW, before(&a), before(&elsewhere)]);
    assert_eq!(number(backend, tenant, &chat).await, "4");

    // Keys are a tenant's own.
    assert_eq!(append(backend, other, vec![a]).await.1, [NOW]);
    assert_eq!(number(backend, other, &chat).await, "1");
    assert_eq!(append(backend, other, Vec::new()).await.1, []);
}

/// A key is kept for 35 days after the receipt of its event, to the microsecond, over the end of any month. Then it is a new event's.
pub async fn a_key_is_kept_for_thirty_five_days(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    let sent = event(&chat, "a", fixture::at(0), 1);
    let (received_at, appended) = append(backend, tenant, vec![sent.clone()]).await;
    assert_eq!(appended, [NOW]);
    let send = |after: Duration| {
        let (event, at) = (sent.clone(), received_at + after);
        in_tenant(backend, tenant, move |store| {
            store.append_events(tenant, at, &[event])
        })
    };
    let instant = Duration::microseconds(1);
    for known in [
        Duration::days(1),
        Duration::days(31),
        Duration::days(35) - instant,
    ] {
        assert_eq!(send(known).await, Ok(vec![before(&sent)]), "{known}");
    }
    assert_eq!(send(Duration::days(35)).await, Ok(vec![NOW]));
    let again = Duration::days(35) + instant;
    assert_eq!(send(again).await, Ok(vec![before(&sent)]));
    assert_eq!(number(backend, tenant, &chat).await, "2");
}

/// What a command wrote is known to the rest of it, and gone when it fails.
pub async fn an_event_of_a_failed_command_was_never_there(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    let sent = event(&chat, "a", fixture::at(0), 1);
    let lost = sent.clone();
    let failed: Result<(), StoreError> = in_tenant(backend, tenant, move |store| {
        let at = store.open_batch(tenant, &[], &[])?.received_at;
        let lost = std::slice::from_ref(&lost);
        assert_eq!(store.append_events(tenant, at, lost)?, [NOW]);
        assert_eq!(store.append_events(tenant, at, lost)?, [before(&lost[0])]);
        Err(StoreError::Unexpected("no".to_owned()))
    })
    .await;
    assert!(failed.is_err());
    assert_eq!(number(backend, tenant, &chat).await, "0");
    assert_eq!(append(backend, tenant, vec![sent]).await.1, [NOW]);
}

/// Copies that are written at once, in different orders and with different payloads, meet: one is written, and every other sender learns
/// its payload.
pub async fn copies_that_are_written_at_once_meet(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let chat = standard_meter(backend, "chat").await;
    let batch = |copy: usize| {
        let payload = i64::try_from(copy % 2).unwrap();
        let one = |n: usize| event(&chat, &format!("e{n}"), fixture::at(0), payload);
        let mut events: Vec<MeteredEvent<'static>> = (0..60).map(one).collect();
        events.rotate_left(copy * 7);
        if copy >= 4 {
            events.reverse();
        }
        events
    };
    let sent: Vec<Vec<MeteredEvent<'static>>> = (0..8).map(batch).collect();
    let writers = sent
        .iter()
        .map(|events| append(backend, tenant, events.clone()));
    let answers = join_all(writers).await;

    let mut kept: BTreeMap<Uuid, Uuid> = BTreeMap::new();
    let told = || {
        let pairs = sent.iter().zip(&answers);
        pairs.flat_map(|(events, (_, answers))| events.iter().zip(answers))
    };
    for (event, _) in told().filter(|(_, answer)| **answer == NOW) {
        let known = kept.insert(event.dedup, event.payload_hash);
        assert_eq!(known, None, "{} was written twice", event.event.id);
    }
    assert_eq!(kept.len(), 60);
    for (event, answer) in told().filter(|(_, answer)| **answer != NOW) {
        let payload_hash = kept[&event.dedup];
        assert_eq!(*answer, Appended::Before { payload_hash });
    }
    assert_eq!(number(backend, tenant, &chat).await, "60");
}

/// A batch is opened with what it named and what is there, and with a clock that is right and does not go back.
pub async fn a_batch_opens_with_the_clock_and_what_is_there(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let own = stored_meter(backend, tenant, "seats", Aggregation::Max).await;
    let [mine, theirs, late] = [1, 2, 3].map(|second| ProjectId::new(fixture::at(second)));
    add_project(backend, tenant, mine).await;
    add_project(backend, other, theirs).await;
    let metrics = ["seats", "chat", "nonsense"].map(str::to_owned);
    let open = |scope: TenantId, tenant_id: TenantId| {
        let metrics = metrics.clone();
        in_tenant(backend, scope, move |store| {
            store.open_batch(tenant_id, &metrics, &[mine, theirs, late])
        })
    };
    let mut batch = open(tenant, tenant).await.unwrap();
    let chat = standard_meter(backend, "chat").await;
    batch.meters.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(batch.meters, [chat.clone(), own]);
    assert_eq!(batch.projects, [mine]);
    assert_eq!(
        batch.received_at.nanosecond() % 1000,
        0,
        "a store keeps microseconds"
    );

    add_project(backend, tenant, late).await;
    let later = open(tenant, tenant).await.unwrap();
    assert!(later.received_at > batch.received_at);
    assert!(later.received_at - batch.received_at < Duration::minutes(1));
    assert_eq!(
        later
            .projects
            .iter()
            .collect::<std::collections::BTreeSet<_>>(),
        [&mine, &late].into()
    );
    // From another tenant's scope nothing of this one is there.
    let foreign = open(other, tenant).await.unwrap();
    assert_eq!(foreign.meters, [chat]);
    assert_eq!(foreign.projects, []);
}

/// Events are written into the tenant in scope, and seen from there alone.
pub async fn events_of_another_tenant_are_neither_written_nor_seen(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let chat = standard_meter(backend, "chat").await;
    let write = |scope: Scope, at: OffsetDateTime| {
        let events = [event(&chat, "a", fixture::at(0), 1)];
        run(backend.usage(), scope, move |store| {
            store.append_events(tenant, at, &events)
        })
    };
    let (received_at, _) = append(backend, other, Vec::new()).await;
    for scope in [Scope::tenant(other), Scope::global()] {
        let written = write(scope, received_at).await;
        assert!(
            matches!(written, Err(StoreError::Unexpected(_))),
            "{written:?}"
        );
    }
    let written = write(Scope::tenant(tenant), received_at).await;
    assert_eq!(written, Ok(vec![NOW]));
    roll_all(backend, 1).await;
    let sent = event(&chat, "b", fixture::at(0), 1);
    append(backend, tenant, vec![sent]).await;
    let from = fixture::at(-1);
    let query = UsageQuery {
        meters: vec![chat],
        from,
        to: fixture::at(1),
        buckets: Buckets::At(vec![from]),
        group_by: GroupBy::default(),
        filter: Filter::default(),
        project_id: None,
        with_empty: false,
    };
    for (scope, rows) in [
        (Scope::tenant(tenant), 1),
        (Scope::tenant(other), 0),
        (Scope::global(), 0),
    ] {
        let query = query.clone();
        let seen = run(backend.usage(), scope, move |store| {
            store.usage(tenant, &query, None, 9)
        });
        assert_eq!(seen.await.unwrap().len(), rows);
    }
}
