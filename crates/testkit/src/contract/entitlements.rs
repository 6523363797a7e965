//! `billing::Counts`: what a tenant may have, and what it uses.

use billing::{
    Grant, Granted, Grid, Interval, Kind, Outcome, Override, Period, PlanChange, PlanRef,
    Reservation, Resource, Subscription, subscription::Status,
};
use kernel::{Quantity, ReservationId, StoreError, TenantId, Zone};
use serde_json::json;
use tenancy::InvitationStatus;
use time::{Duration, OffsetDateTime, macros::datetime};
use usage::Aggregation;

use super::{
    Backend, BillingSeed, Seed, fixture, invitations, people, projects,
    subscribed::{tenant_on, within},
    usage_fixture::{append, event, roll_all, stored_meter},
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
    Grant::new(key, Kind::Limit, maximum)
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
        reason: None,
    };
    let region = Override {
        grant: Grant {
            kind: Kind::Static,
            value: Some(json!({"name": "eu"})),
            ..limit("region", None)
        },
        expires_at: None,
        reason: None,
    };
    let calls = Override {
        grant: Grant {
            kind: Kind::Quota,
            metric: Some("api_calls".to_owned()),
            ..limit("calls", Some(7))
        },
        expires_at: Some(fixture::at(99)),
        reason: None,
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
        assert_eq!(gauge(backend, id, key, fixture::at(0)).await, used, "{key}");
    }
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
    for (second, held) in [(0, 7), (9, 7), (10, 0)] {
        let standing = within(backend, id, move |store| {
            store.standing(id, "jobs", fixture::at(second))
        });
        assert_eq!(standing.await.unwrap().held, held, "{second}");
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

async fn gauge(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: &'static str,
    at: OffsetDateTime,
) -> i64 {
    let standing = within(backend, tenant_id, move |store| {
        store.standing(tenant_id, key, at)
    });
    standing.await.unwrap().things
}

/// Active members and invitations that are open at the instant; nobody who was removed or suspended, and nothing of another tenant.
pub async fn members_and_open_invitations_are_counted(backend: &impl Backend) {
    let tenant_id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    assert_eq!(
        gauge(backend, tenant_id, "max_members", fixture::at(0)).await,
        0
    );
    people::stored_member(backend, tenant_id, "owner", &["owner"]).await;
    people::stored_member(backend, tenant_id, "active", &["member"]).await;
    let removed = people::stored_member(backend, tenant_id, "removed", &["member"]).await;
    people::leave(backend, tenant_id, removed.id).await;
    let suspended = people::stored_member(backend, tenant_id, "suspended", &["member"]).await;
    let user_id = suspended.id;
    backend.seed(Seed::Suspension { tenant_id, user_id }).await;
    let open = invitations::invitation(tenant_id, "open@example.com");
    invitations::insert(backend, &open).await.unwrap();
    for (name, status) in [
        ("revoked", InvitationStatus::Revoked),
        ("accepted", InvitationStatus::Accepted),
        ("expired", InvitationStatus::Expired),
    ] {
        let email = format!("{name}@example.com");
        let mut over = invitations::invitation(tenant_id, &email);
        invitations::insert(backend, &over).await.unwrap();
        over.status = status;
        invitations::update(backend, &over).await.unwrap();
    }
    let deadline = open.expires_at;
    for (at, counted) in [(deadline - Duration::SECOND, 3), (deadline, 2)] {
        let members = gauge(backend, tenant_id, "max_members", at).await;
        assert_eq!(members, counted, "at {at}");
    }
    assert_eq!(gauge(backend, other, "max_members", deadline).await, 0);
}

/// Projects that are neither archived nor the default one, of this tenant alone.
pub async fn open_projects_but_the_default_one_are_counted(backend: &impl Backend) {
    let tenant_id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    let mut default = projects::project(tenant_id, "default");
    default.is_default = true;
    projects::insert(backend, &default).await.unwrap();
    assert_eq!(
        gauge(backend, tenant_id, "max_projects", fixture::at(0)).await,
        0
    );
    for slug in ["first", "second"] {
        projects::stored_project(backend, tenant_id, slug).await;
    }
    let mut archived = projects::stored_project(backend, tenant_id, "archived").await;
    archived.is_archived = true;
    projects::update(backend, &archived).await.unwrap();
    for (id, counted) in [(tenant_id, 2), (other, 0)] {
        assert_eq!(
            gauge(backend, id, "max_projects", fixture::at(0)).await,
            counted
        );
    }
}

async fn watermark(backend: &impl Backend, tenant_id: TenantId) -> String {
    let read = within(backend, tenant_id, billing::Counts::watermark);
    read.await.unwrap()
}

async fn metered(
    backend: &impl Backend,
    tenant_id: TenantId,
    metric: &'static str,
    period: Period,
    watermark: &str,
) -> Quantity {
    let watermark = watermark.to_owned();
    let counted = within(backend, tenant_id, move |store| {
        store.metered(tenant_id, metric, period, &watermark)
    });
    counted.await.unwrap()
}

/// What came later changes no answer about an earlier watermark, be it rolled up since or not; a later watermark sees it.
pub async fn a_watermark_gives_the_same_quantity_for_ever(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    let sum = stored_meter(backend, id, "tasks", Aggregation::Sum).await;
    let max = stored_meter(backend, id, "peak", Aggregation::Max).await;
    let elsewhere = stored_meter(backend, other, "tasks", Aggregation::Sum).await;
    let period = Period {
        start: fixture::at(0),
        end: fixture::at(100),
    };
    append(
        backend,
        other,
        vec![event(&elsewhere, "a", fixture::at(1), 1000)],
    )
    .await;
    let mut marks = vec![(watermark(backend, id).await, 0, 0)];
    for (name, quantity, total) in [("a", 5, 5), ("b", 7, 12), ("c", 9, 21)] {
        let at = fixture::at(50);
        let batch = vec![
            event(&sum, name, at, quantity),
            event(&max, &format!("{name}-peak"), at, quantity),
        ];
        append(backend, id, batch).await;
        marks.push((watermark(backend, id).await, total, quantity));
    }
    for has_rolled in [false, true] {
        if has_rolled {
            roll_all(backend, 7).await;
        }
        for (mark, total, peak) in &marks {
            for (metric, expected) in [("tasks", *total), ("peak", *peak)] {
                let counted = metered(backend, id, metric, period, mark).await;
                let expected = Quantity::from(expected);
                assert_eq!(
                    counted, expected,
                    "{metric} at {mark}, rolled up: {has_rolled}"
                );
            }
        }
    }
}

/// A month of a tenant's zone is counted from its first instant to before its last, whatever the month is elsewhere.
pub async fn a_month_is_that_of_its_zone(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let meter = stored_meter(backend, id, "tasks", Aggregation::Sum).await;
    let zone = Zone::parse("timezone", "Asia/Kathmandu").unwrap();
    let start = datetime!(2026-05-01 00:00 +5:45);
    let end = datetime!(2026-06-01 00:00 +5:45);
    let month = Grid::new(start, &zone, Interval::Month).period_at(datetime!(2026-05-20 12:00 UTC));
    assert_eq!(month, Period { start, end });
    let moment = Duration::MICROSECOND;
    let batch = [
        ("before", start - moment, 1),
        ("first", start, 10),
        ("last", end - moment, 100),
        ("behind", end, 1000),
    ]
    .map(|(name, at, quantity)| event(&meter, name, at, quantity));
    append(backend, id, batch.to_vec()).await;
    let mark = watermark(backend, id).await;
    for has_rolled in [false, true] {
        if has_rolled {
            roll_all(backend, 4).await;
        }
        let counted = metered(backend, id, "tasks", month, &mark).await;
        assert_eq!(counted, Quantity::from(110), "rolled up: {has_rolled}");
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
