//! `billing::Counts`: what a tenant may have, and what it uses.

use billing::{
    Grant, Granted, Kind, Outcome, Override, Period, PlanChange, PlanRef, Reservation, Resource,
    Subscription, subscription::Status,
};
use kernel::{Quantity, ReservationId, StoreError, TenantId};
use serde_json::json;
use time::OffsetDateTime;

use super::{
    Backend, BillingSeed, fixture,
    subscribed::{tenant_on, within},
};

async fn granted(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: Option<&'static str>,
    at: OffsetDateTime,
) -> Granted {
    within(backend, tenant_id, move |store| {
        store.granted(tenant_id, key, at)
    })
    .await
    .unwrap()
}

async fn save(backend: &impl Backend, one: &Subscription) {
    let one = one.clone();
    let saved = within(backend, one.tenant_id, move |store| {
        store.save_subscription(&one)
    });
    saved.await.unwrap();
}

fn limit(key: &str, maximum: Option<i64>) -> Grant {
    Grant {
        key: key.to_owned(),
        kind: Kind::Limit,
        maximum,
        metric: None,
        value: None,
    }
}

/// All that a plan grants, by key, or what it says about one; nothing without a subscription.
pub async fn a_plan_grants_what_it_says(backend: &impl Backend) {
    let one = tenant_on(backend, "acme", "free").await;
    let id = one.tenant_id;
    let all = granted(backend, id, None, fixture::at(0)).await;
    assert_eq!(all.plan.as_deref(), Some("free"));
    let limits: Vec<_> = all
        .by_plan
        .iter()
        .map(|grant| (grant.key.as_str(), grant.maximum))
        .collect();
    let expected = [
        ("max_agents", Some(10)),
        ("max_concurrent_workflows", Some(2)),
        ("max_dashboards", Some(5)),
        ("max_members", Some(3)),
        ("max_projects", Some(1)),
        ("tasks_per_month", Some(1_000)),
    ];
    assert_eq!(limits, expected);
    let agents = granted(backend, id, Some("max_agents"), fixture::at(0)).await;
    assert_eq!(agents.by_plan, [limit("max_agents", Some(10))]);
    let unknown = granted(backend, id, Some("max_widgets"), fixture::at(0)).await;
    assert_eq!((unknown.plan, unknown.by_plan), (all.plan, Vec::new()));

    let without = fixture::stored_tenant(backend, "other").await.id;
    let nothing = granted(backend, without, None, fixture::at(0)).await;
    let expected = Granted {
        plan: None,
        by_plan: Vec::new(),
        overrides: Vec::new(),
    };
    assert_eq!(nothing, expected);
}

/// A plan that was ordered for later grants from its instant on, and a subscription that ends grants until then.
pub async fn the_plan_in_force_depends_on_the_instant(backend: &impl Backend) {
    let mut one = tenant_on(backend, "acme", "free").await;
    one.pending = Some(PlanChange {
        plan: PlanRef {
            code: "pro".to_owned(),
            version: 1,
        },
        effective_at: fixture::at(10),
    });
    one.cancel_at = Some(fixture::at(20));
    save(backend, &one).await;
    for (second, plan, agents) in [
        (9, Some("free"), Some(10)),
        (10, Some("pro"), Some(100)),
        (19, Some("pro"), Some(100)),
        (20, None, None),
    ] {
        let key = Some("max_agents");
        let granted = granted(backend, one.tenant_id, key, fixture::at(second)).await;
        assert_eq!(granted.plan.as_deref(), plan, "{second}");
        let maximum = granted.by_plan.first().and_then(|grant| grant.maximum);
        assert_eq!(maximum, agents, "{second}");
    }
}

/// A subscription that waits for its first payment grants nothing, and one that is canceled neither. The others do.
pub async fn what_grants_depends_on_the_status(backend: &impl Backend) {
    let mut one = tenant_on(backend, "acme", "free").await;
    for (status, grants) in [
        (Status::Trialing, true),
        (Status::PastDue, true),
        (Status::Paused, true),
        (Status::Incomplete, false),
        (Status::Active, true),
        (Status::Canceled, false),
    ] {
        one.status = status;
        save(backend, &one).await;
        let granted = granted(backend, one.tenant_id, None, fixture::at(0)).await;
        assert_eq!(granted.plan.is_some(), grants, "{status:?}");
        assert_eq!(!granted.by_plan.is_empty(), grants, "{status:?}");
    }
}

/// Overrides are told beside the plan, those that have expired too: what wins is the rule's to say.
pub async fn overrides_are_told_beside_the_plan(backend: &impl Backend) {
    let one = tenant_on(backend, "acme", "free").await;
    let other = tenant_on(backend, "other", "free").await;
    let id = one.tenant_id;
    let agents = Override {
        grant: limit("max_agents", None),
        expires_at: Some(fixture::at(-1)),
    };
    let region = Override {
        grant: Grant {
            kind: Kind::Static,
            value: Some(json!({"name": "eu"})),
            ..limit("region", None)
        },
        expires_at: None,
    };
    let calls = Override {
        grant: Grant {
            kind: Kind::Quota,
            metric: Some("api_calls".to_owned()),
            ..limit("calls", Some(7))
        },
        expires_at: Some(fixture::at(99)),
    };
    for given in [&agents, &region, &calls] {
        let seed = BillingSeed::Override(id, given.clone());
        backend.seed_billing(seed).await;
    }
    let mut all = granted(backend, id, None, fixture::at(0)).await;
    all.overrides.sort_by(|a, b| a.grant.key.cmp(&b.grant.key));
    assert_eq!(all.overrides, [calls, agents, region.clone()]);
    assert_eq!(all.by_plan.len(), 6);
    let about = granted(backend, id, Some("region"), fixture::at(0)).await;
    assert_eq!((about.by_plan, about.overrides), (Vec::new(), vec![region]));
    let others = granted(backend, other.tenant_id, None, fixture::at(0)).await;
    assert_eq!(others.overrides, []);
}

/// `max_<kind>` counts registered things of the kind; what counts nothing is nought.
pub async fn a_gauge_counts_the_things_of_its_kind(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    let add = |tenant_id, kind: &'static str, name: &'static str| {
        within(backend, tenant_id, move |store| {
            store.insert_resource(&Resource {
                tenant_id,
                kind: kind.to_owned(),
                external_id: name.to_owned(),
                created_at: fixture::at(0),
            })
        })
    };
    add(id, "agents", "a").await.unwrap();
    add(id, "agents", "b").await.unwrap();
    add(id, "dashboards", "a").await.unwrap();
    add(other, "agents", "a").await.unwrap();
    for (key, used) in [
        ("max_agents", 2),
        ("max_dashboards", 1),
        ("max_widgets", 0),
        ("max_members", 0),
        ("max_projects", 0),
        ("tasks_per_month", 0),
        ("agents", 0),
    ] {
        let counted = within(backend, id, move |store| {
            store.gauge_used(id, key, fixture::at(0))
        });
        assert_eq!(counted.await, Ok(used), "{key}");
    }
    let counted = within(backend, other, move |store| {
        store.gauge_used(id, "max_agents", fixture::at(0))
    });
    assert_eq!(counted.await, Ok(0), "out of scope");
}

async fn hold(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: &str,
    quantity: i64,
) -> Reservation {
    let one = Reservation {
        id: ReservationId::new(fixture::at(0)),
        tenant_id,
        key: key.to_owned(),
        quantity,
        outcome: Outcome::Open,
        expires_at: fixture::at(10),
        created_at: fixture::at(0),
    };
    let row = one.clone();
    let inserted = within(backend, tenant_id, move |store| {
        store.insert_reservation(&row)
    });
    inserted.await.unwrap();
    one
}

async fn finish(backend: &impl Backend, one: &Reservation, outcome: Outcome, second: i64) {
    let row = Reservation {
        outcome,
        ..one.clone()
    };
    let finished = within(backend, one.tenant_id, move |store| {
        store.finish_reservation(&row, fixture::at(second))
    });
    finished.await.unwrap();
}

/// An open reservation holds its quantity until its lease runs out, and then gives it back by itself; a finished one holds nothing.
pub async fn open_reservations_hold_until_they_expire(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    hold(backend, id, "jobs", 3).await;
    hold(backend, id, "jobs", 4).await;
    hold(backend, id, "else", 50).await;
    hold(backend, other, "jobs", 60).await;
    let released = hold(backend, id, "jobs", 100).await;
    let settled = hold(backend, id, "jobs", 200).await;
    finish(backend, &released, Outcome::Released, 1).await;
    finish(backend, &settled, Outcome::Settled { quantity: 200 }, 1).await;
    for (scope, second, held) in [(id, 0, 7), (id, 9, 7), (id, 10, 0), (other, 0, 0)] {
        let reserved = within(backend, scope, move |store| {
            store.reserved(id, "jobs", fixture::at(second))
        });
        assert_eq!(reserved.await, Ok(held), "{second}");
    }
}

/// What was settled counts in the period that it was settled in: from its first instant to before its last.
pub async fn what_was_settled_counts_in_its_period(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    for (key, second, outcome) in [
        ("jobs", 99, Outcome::Settled { quantity: 1 }),
        ("jobs", 100, Outcome::Settled { quantity: 20 }),
        ("jobs", 199, Outcome::Settled { quantity: 300 }),
        ("jobs", 200, Outcome::Settled { quantity: 4_000 }),
        ("jobs", 150, Outcome::Settled { quantity: 0 }),
        ("jobs", 150, Outcome::Released),
        ("else", 150, Outcome::Settled { quantity: 50_000 }),
    ] {
        let one = hold(backend, id, key, 7).await;
        finish(backend, &one, outcome, second).await;
    }
    hold(backend, id, "jobs", 600_000).await;
    let period = Period {
        start: fixture::at(100),
        end: fixture::at(200),
    };
    for (scope, counted) in [(id, 320), (other, 0)] {
        let settled = within(backend, scope, move |store| {
            store.settled(id, "jobs", period)
        });
        assert_eq!(settled.await, Ok(counted));
    }
}

/// A metric that nobody defined, or that nobody used, counts nothing, however far usage is read.
pub async fn what_was_not_measured_counts_nothing(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let period = Period {
        start: fixture::at(0),
        end: fixture::at(100),
    };
    for metric in ["task_completed", "gold"] {
        let counted = within(backend, id, move |store| {
            let watermark = store.watermark()?;
            let once = store.metered(id, metric, period, &watermark)?;
            let again = store.metered(id, metric, period, &watermark)?;
            Ok::<_, StoreError>((watermark.is_empty(), once, again))
        });
        let nothing = Quantity::zero();
        assert_eq!(counted.await, Ok((false, nothing.clone(), nothing)));
    }
}
