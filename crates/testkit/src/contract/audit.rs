//! `audit::Trail` and `audit::Store`.

use ::audit::{AuditEvent, Crud, EventFilter, Fact, NewEvent, Target};
use kernel::{PageRequest, Scope, StoreError, TenantId};
use serde_json::json;

use super::{Backend, fixture, run};

fn event(tenant_id: TenantId, action: &'static str, second: i64) -> NewEvent {
    let target = Target::new("project", second, "Rockets");
    NewEvent::new(
        tenant_id,
        action,
        Crud::Create,
        target,
        &fixture::system(),
        fixture::at(second),
    )
    .field("size", "large")
    .changed("name", "Rocket", "Rockets")
}

async fn record(backend: &impl Backend, event: NewEvent) -> Result<(), StoreError> {
    run(
        backend.audit(),
        Scope::tenant(event.tenant_id),
        move |store| store.record(event),
    )
    .await
}

async fn read(
    backend: &impl Backend,
    tenant_id: TenantId,
    filter: EventFilter,
    limit: u32,
    after: Option<&AuditEvent>,
) -> Vec<AuditEvent> {
    let (page, after) = (
        PageRequest {
            limit,
            cursor: None,
        },
        after.map(|event| (event.created_at, event.id)),
    );
    run(backend.audit(), Scope::tenant(tenant_id), move |store| {
        store.events(tenant_id, &filter, &page, after)
    })
    .await
    .unwrap()
}

/// One event more than the page holds is read, so that the caller knows whether there is another page.
pub async fn events_come_newest_first_a_page_at_a_time(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let mut written = Vec::new();
    for second in [3, 1, 4, 1, 5] {
        let event = event(tenant, "project.created", second);
        written.push((event.created_at, event.id));
        record(backend, event).await.unwrap();
    }
    record(backend, event(other, "project.created", 9))
        .await
        .unwrap();
    written.sort();
    written.reverse();

    let mut seen: Vec<AuditEvent> = Vec::new();
    loop {
        let mut page = read(backend, tenant, EventFilter::default(), 2, seen.last()).await;
        let is_last = page.len() < 3;
        page.truncate(2);
        seen.extend(page);
        if is_last {
            break;
        }
    }
    let order: Vec<_> = seen
        .iter()
        .map(|event| (event.created_at, event.id))
        .collect();
    assert_eq!(order, written);
    assert_eq!(seen[0].fields, json!({ "size": "large" }));
    assert_eq!(seen[0].diff, Some(json!({ "name": ["Rocket", "Rockets"] })));
    assert_eq!(
        read(backend, other, EventFilter::default(), 9, None)
            .await
            .len(),
        1
    );
}

/// Each filter leaves out what does not match, and all of them together what any of them leaves out. A wildcard is one at the end only.
pub async fn filters_narrow_and_add_up(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    for (action, second) in [
        ("project.created", 1),
        ("project.updated", 2),
        ("projectX.created", 3),
        ("api_key.created", 4),
    ] {
        record(backend, event(tenant, action, second))
            .await
            .unwrap();
    }
    let action = |text: &str| EventFilter {
        action: Some(text.to_owned()),
        ..EventFilter::default()
    };
    let actor = fixture::system().id.to_string();
    for (filter, expected) in [
        (action("project.*"), vec![2, 1]),
        (action("project.created"), vec![1]),
        (action("%"), vec![]),
        (action("api_key.*"), vec![4]),
        (action("apiXkey.*"), vec![]),
        (action("*"), vec![4, 3, 2, 1]),
        (
            EventFilter {
                target: Some("3".to_owned()),
                ..EventFilter::default()
            },
            vec![3],
        ),
        (
            EventFilter {
                actor: Some(actor),
                ..EventFilter::default()
            },
            vec![4, 3, 2, 1],
        ),
        (
            EventFilter {
                actor: Some("nobody".to_owned()),
                ..EventFilter::default()
            },
            vec![],
        ),
        (
            EventFilter {
                from: Some(fixture::at(2)),
                to: Some(fixture::at(4)),
                ..EventFilter::default()
            },
            vec![3, 2],
        ),
        (
            EventFilter {
                from: Some(fixture::at(2)),
                ..action("project.*")
            },
            vec![2],
        ),
    ] {
        let found = read(backend, tenant, filter.clone(), 9, None).await;
        let seconds: Vec<i64> = found
            .iter()
            .map(|event| (event.created_at - fixture::at(0)).whole_seconds())
            .collect();
        assert_eq!(seconds, expected, "{filter:?}");
    }
}

/// A repeated key of a topic is dropped without a word; a fact without a key, and one of another tenant, stands for itself. What was
/// relayed does not come again.
pub async fn a_fact_with_a_key_is_published_once_and_relayed_once(backend: &impl Backend) {
    let (a, b) = (
        fixture::stored_tenant(backend, "aaa").await.id,
        fixture::stored_tenant(backend, "bbb").await.id,
    );
    let fact = |tenant_id: TenantId, topic: &'static str, key: Option<&str>| Fact {
        tenant_id,
        topic,
        key: key.map(str::to_owned),
        payload: json!({ "n": 1 }),
        occurred_at: fixture::at(1),
    };
    for fact in [
        fact(a, "usage.day_closed", Some("one")),
        fact(a, "usage.day_closed", Some("one")),
        fact(a, "usage.day_closed", Some("two")),
        fact(a, "usage.day_reopened", Some("one")),
        fact(b, "usage.day_closed", Some("one")),
        fact(a, "usage.day_closed", None),
        fact(a, "usage.day_closed", None),
    ] {
        let scope = Scope::tenant(fact.tenant_id);
        run(backend.audit(), scope, move |store| store.publish(fact))
            .await
            .unwrap();
    }
    let unrelayed = || async {
        let outbox = backend.outbox();
        let facts = outbox
            .run(Scope::global(), |store| store.unrelayed(9))
            .await;
        facts.unwrap()
    };
    let facts = unrelayed().await;
    let of = |tenant_id: TenantId| facts.iter().filter(move |fact| fact.tenant_id == tenant_id);
    assert_eq!((of(a).count(), of(b).count()), (5, 1));

    let relayed = facts[..4].to_vec();
    run(backend.outbox(), Scope::global(), move |store| {
        store.mark_relayed(&relayed)
    })
    .await
    .unwrap();
    assert_eq!(unrelayed().await, facts[4..]);
}
