//! What happens at a limit: the rules of `billing` on a store.

use app::outbox::StoredFact;
use billing::{
    Check, Cycle, Enforcement, ExternalId, Grace, Grant, Kind, NewOverride, Put, ResourceKind,
    Wish, entitlement, entitlement_override,
    reservation::{self, ReserveError, Reserved},
    resource::{self, PutResourceError},
    threshold,
};
use kernel::{Scope, StoreError, TenantId};
use serde_json::json;
use time::Duration;

use super::{
    Backend, fixture, run,
    subscribed::{principal, tenant_on, within},
};

const WORKFLOWS: &str = "max_concurrent_workflows";

/// What an operator gives: `maximum` of a key, enforced like this.
fn give(key: &str, maximum: Option<i64>, enforcement: Enforcement) -> NewOverride {
    NewOverride {
        key: key.to_owned(),
        maximum,
        kind: None,
        metric: None,
        value: None,
        cycle: None,
        enforcement: Some(enforcement),
        reason: None,
        expires_at: None,
    }
}

async fn given(backend: &impl Backend, tenant_id: TenantId, new: NewOverride) {
    given_at(backend, tenant_id, new, 0).await;
}

async fn given_at(backend: &impl Backend, tenant_id: TenantId, new: NewOverride, second: i64) {
    let put = within(backend, tenant_id, move |store| {
        let (by, at) = (principal(tenant_id), fixture::at(second));
        entitlement_override::put(store, tenant_id, new, &by, at)
    });
    put.await.unwrap();
}

async fn reserve(
    backend: &impl Backend,
    tenant_id: TenantId,
    (key, quantity): (&'static str, i64),
    second: i64,
) -> Result<Reserved, ReserveError> {
    within(backend, tenant_id, move |store| {
        let wish = Wish {
            key: key.to_owned(),
            quantity,
            ttl_seconds: 80_000,
        };
        reservation::reserve(store, wish, &principal(tenant_id), fixture::at(second))
    })
    .await
}

async fn put(
    backend: &impl Backend,
    tenant_id: TenantId,
    number: i64,
) -> Result<Put, PutResourceError> {
    within(backend, tenant_id, move |store| {
        let kind = ResourceKind::parse("agents").unwrap();
        let name = ExternalId::parse(&number.to_string()).unwrap();
        resource::put(
            store,
            &kind,
            &name,
            &principal(tenant_id),
            fixture::at(number),
        )
    })
    .await
}

async fn check(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: &'static str,
    second: i64,
) -> Check {
    let checked = within(backend, tenant_id, move |store| {
        entitlement::check(store, key, 1, &principal(tenant_id), fixture::at(second))
    });
    checked.await.unwrap()
}

/// Thresholds that were told of a tenant, as (key, limit, threshold, used), in that order: facts of one instant have none of their own.
pub(super) async fn told(
    backend: &impl Backend,
    tenant_id: TenantId,
) -> Vec<(String, i64, i64, i64)> {
    let facts: Result<Vec<StoredFact>, StoreError> =
        run(backend.outbox(), Scope::global(), |store| {
            store.unrelayed(100)
        })
        .await;
    let facts = facts.unwrap().into_iter();
    let mut told: Vec<_> = facts
        .filter(|fact| fact.tenant_id == tenant_id && fact.topic == threshold::TOPIC)
        .map(|fact| {
            let number = |name: &str| fact.payload[name].as_i64().unwrap();
            let key = fact.payload["key"].as_str().unwrap().to_owned();
            (key, number("limit"), number("threshold"), number("used"))
        })
        .collect();
    told.sort();
    told
}

/// Everything is let through, and what goes beyond the limit is told so.
pub async fn a_soft_limit_lets_through_and_tells(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    given(backend, id, give("max_agents", Some(2), Enforcement::Soft)).await;
    for number in 1..=4 {
        let put = put(backend, id, number).await.unwrap();
        let is_told = matches!(put, Put::Created { is_over: true, .. });
        assert_eq!(is_told, number > 2, "{number}");
    }
    let checked = check(backend, id, "max_agents", 9).await;
    assert!(checked.allowed && checked.is_over, "{checked:?}");
    let entitlement = checked.entitlement.unwrap();
    assert!(entitlement.is_over());
    assert_eq!((entitlement.used, entitlement.remaining()), (4, Some(0)));
    let held = reserve(backend, id, ("max_agents", 1), 9).await.unwrap();
    assert!(held.is_over);
}

/// Twenty percent beyond ten are two, and not a third.
pub async fn grace_reaches_so_far(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let grace = Enforcement::Grace(Grace {
        percent: Some(20),
        lasts: None,
    });
    given(backend, id, give("max_agents", Some(10), grace)).await;
    for number in 1..=12 {
        let put = put(backend, id, number).await.unwrap();
        let is_told = matches!(put, Put::Created { is_over: true, .. });
        assert_eq!(is_told, number > 10, "{number}");
    }
    let refused = put(backend, id, 13).await;
    assert!(
        matches!(&refused, Err(PutResourceError::Limit(limit)) if (limit.max, limit.used) == (10, 12)),
        "{refused:?}"
    );
    assert!(!check(backend, id, "max_agents", 13).await.allowed);
}

/// Grace starts when the limit is first crossed, whatever comes after, ends by itself, and is had anew once use came back within the limit.
pub async fn grace_lasts_from_the_first_crossing(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let grace = Enforcement::Grace(Grace {
        percent: None,
        lasts: Some(Duration::seconds(100)),
    });
    given(backend, id, give(WORKFLOWS, Some(2), grace)).await;
    let one = (WORKFLOWS, 1);
    reserve(backend, id, (WORKFLOWS, 2), 0).await.unwrap();
    let first = reserve(backend, id, one, 10).await.unwrap();
    let second = reserve(backend, id, one, 60).await.unwrap();
    assert!(first.is_over && second.is_over);
    let checked = check(backend, id, WORKFLOWS, 109).await;
    assert!(checked.allowed && checked.is_over);
    let ends_at = checked.entitlement.unwrap().grace_ends_at;
    assert_eq!(ends_at, Some(fixture::at(110)));
    assert!(!check(backend, id, WORKFLOWS, 110).await.allowed);
    let refused = reserve(backend, id, one, 110).await;
    assert!(
        matches!(refused, Err(ReserveError::Limit(_))),
        "{refused:?}"
    );

    for held in [first, second] {
        let released = within(backend, id, move |store| {
            let (by, at) = (principal(id), fixture::at(120));
            reservation::release(store, held.reservation.id, &by, at)
        });
        released.await.unwrap();
    }
    let refused = reserve(backend, id, one, 121).await;
    assert!(
        matches!(refused, Err(ReserveError::Limit(_))),
        "nothing was taken within the limit: {refused:?}"
    );
}

/// An override counts from its commit on and until the instant it expires at; nobody has to come by.
pub async fn an_override_counts_until_it_expires(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let new = NewOverride {
        expires_at: Some(fixture::at(50)),
        ..give(WORKFLOWS, None, Enforcement::Hard)
    };
    given(backend, id, new).await;
    reserve(backend, id, (WORKFLOWS, 1_000), 1).await.unwrap();
    reserve(backend, id, (WORKFLOWS, 1), 49).await.unwrap();
    let refused = reserve(backend, id, (WORKFLOWS, 1), 50).await;
    assert!(
        matches!(&refused, Err(ReserveError::Limit(limit)) if (limit.max, limit.used) == (2, 1_001)),
        "{refused:?}"
    );
}

/// A quota by the day starts anew with the tenant's day, and knows nothing of the day before.
pub async fn a_quota_starts_anew_with_its_period(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let new = NewOverride {
        cycle: Some(Cycle::CalendarDay),
        ..give("exports", Some(5), Enforcement::Hard)
    };
    given(backend, id, new).await;
    let held = reserve(backend, id, ("exports", 5), 0).await.unwrap();
    let settled = within(backend, id, move |store| {
        let (by, at) = (principal(id), fixture::at(1));
        reservation::settle(store, held.reservation.id, 5, &by, at)
    });
    settled.await.unwrap();
    let midnight = check(backend, id, "exports", 2).await.entitlement.unwrap();
    let midnight = (midnight.period.end - fixture::at(0)).whole_seconds();
    assert!((1..=86_400).contains(&midnight));
    for (second, allowed) in [(midnight - 1, false), (midnight, true)] {
        assert_eq!(check(backend, id, "exports", second).await.allowed, allowed);
    }
    reserve(backend, id, ("exports", 5), midnight)
        .await
        .unwrap();
}

/// Each threshold is told once, with the use that reached it, however many take at once, and in the transaction that takes.
pub async fn thresholds_are_told_once_by_takers(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let takers: Vec<_> = (0..16)
        .map(|number| {
            let billing = backend.billing();
            tokio::spawn(async move {
                let taken = billing.run(Scope::tenant(id), move |store| {
                    let kind = ResourceKind::parse("agents").unwrap();
                    let name = ExternalId::parse(&number.to_string()).unwrap();
                    resource::put(store, &kind, &name, &principal(id), fixture::at(1))
                });
                taken.await.is_ok()
            })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += usize::from(taker.await.unwrap());
    }
    assert_eq!(taken, 10);
    let agents = |threshold, used| ("max_agents".to_owned(), 10, threshold, used);
    assert_eq!(told(backend, id).await, [agents(80, 8), agents(100, 10)]);

    // What is settled beyond what was held is taken too.
    given(backend, id, give("exports", Some(100), Enforcement::Hard)).await;
    let held = reserve(backend, id, ("exports", 10), 2).await.unwrap();
    let settled = within(backend, id, move |store| {
        let (by, at) = (principal(id), fixture::at(3));
        reservation::settle(store, held.reservation.id, 85, &by, at)
    });
    settled.await.unwrap();
    let exports = ("exports".to_owned(), 100, 80, 85);
    let expected = [exports, agents(80, 8), agents(100, 10)];
    assert_eq!(told(backend, id).await, expected);
}

/// What is given and taken away is in the trail, with what changed.
pub async fn overrides_leave_a_trace(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let twenty = give("max_agents", Some(20), Enforcement::Hard);
    given_at(backend, id, twenty.clone(), 1).await;
    given_at(backend, id, twenty, 2).await;
    given_at(backend, id, give("max_agents", None, Enforcement::Soft), 3).await;
    let removed = within(backend, id, move |store| {
        let by = principal(id);
        entitlement_override::remove(store, id, "max_agents", &by, fixture::at(4))
    });
    removed.await.unwrap();
    let found = run(backend.audit(), Scope::tenant(id), move |store| {
        let filter = ::audit::EventFilter {
            action: Some("entitlement.*".to_owned()),
            ..Default::default()
        };
        store.events(id, &filter, &kernel::PageRequest::first(), None)
    });
    let found: Result<Vec<::audit::AuditEvent>, StoreError> = found.await;
    let mut traces = found.unwrap();
    traces.sort_by_key(|event| event.created_at);
    assert_eq!(traces.len(), 3);
    let limits: Vec<_> = traces
        .iter()
        .map(|event| {
            let diff = event.diff.as_ref().unwrap();
            (
                event.action.as_str(),
                event.target.id.as_str(),
                &diff["limit"],
            )
        })
        .collect();
    let (set, removed) = ("entitlement.override_set", "entitlement.override_removed");
    let expected = [
        (set, "max_agents", &json!([null, 20])),
        (set, "max_agents", &json!([20, -1])),
        (removed, "max_agents", &json!([-1, null])),
    ];
    assert_eq!(limits, expected);
}

/// Seats and projects are taken elsewhere, and their thresholds are told all the same.
pub async fn a_seat_and_a_project_are_told_as_well(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let by = principal(id);
    for name in ["ann", "bob", "cay"] {
        let by = by.clone();
        let invited = run(backend.tenancy(), Scope::tenant(id), move |store| {
            let email = kernel::Email::parse("email", &format!("{name}@example.com")).unwrap();
            tenancy::invitation::invite(store, &email, "member", &by, fixture::at(1))
        });
        invited.await.unwrap();
    }
    let made = run(backend.tenancy(), Scope::tenant(id), move |store| {
        let name = kernel::Name::parse("name", "One").unwrap();
        tenancy::project::create(store, name, None, &by, fixture::at(2))
    });
    made.await.unwrap();
    let told = told(backend, id).await;
    let expected = [
        ("max_members", 3, 80, 3),
        ("max_members", 3, 100, 3),
        ("max_projects", 1, 80, 1),
        ("max_projects", 1, 100, 1),
    ];
    let expected =
        expected.map(|(key, limit, threshold, used)| (key.to_owned(), limit, threshold, used));
    assert_eq!(told, expected);
}

/// A boolean and a value are not counted, and cannot be reserved.
pub async fn what_is_not_counted_is_not_taken(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    for kind in [Kind::Boolean, Kind::Static] {
        let new = NewOverride {
            kind: Some(kind),
            ..give("sso", Some(1), Enforcement::Hard)
        };
        given(backend, id, new).await;
        let refused = reserve(backend, id, ("sso", 1), 1).await;
        assert!(
            matches!(&refused, Err(ReserveError::Invalid(error)) if error.code == "not_reservable"),
            "{refused:?}"
        );
        assert!(check(backend, id, "sso", 1).await.allowed);
    }
    let by_plan = Grant::new("max_agents", Kind::Limit, Some(10));
    let granted = check(backend, id, "max_agents", 1).await.entitlement;
    assert_eq!(granted.unwrap().grant, by_plan);
}
