//! `billing::Counts::standing`: everything that a decision needs, in one go.

use billing::{Anchor, Grant, Kind, Override, Period, Reservation, Resource, Standing};
use kernel::{ReservationId, StoreError, TenantId};
use tenancy::InvitationStatus;
use time::{Duration, OffsetDateTime};
use usage::Aggregation;

use super::{
    Backend, BillingSeed, fixture, invitations, people, projects,
    subscribed::{tenant_on, within},
    usage_fixture::{append, event, roll_all, stored_meter},
};

const KEYS: [&str; 6] = [
    "max_agents",
    "max_members",
    "max_projects",
    "max_concurrent_workflows",
    "tasks_per_month",
    "nothing",
];

/// A tenant with some of everything, of which some is over at the 50th second.
async fn busy(backend: &impl Backend) -> TenantId {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    people::stored_member(backend, id, "ann", &["owner"]).await;
    let mut open = invitations::invitation(id, "bob@example.com");
    open.status = InvitationStatus::Pending;
    open.expires_at = fixture::at(50);
    invitations::insert(backend, &open).await.unwrap();
    projects::insert(backend, &projects::project(id, "one"))
        .await
        .unwrap();
    let written = within(backend, id, move |store| {
        for (kind, name) in [("agents", "a"), ("agents", "b"), ("else", "c")] {
            store.insert_resource(&Resource {
                tenant_id: id,
                kind: kind.to_owned(),
                external_id: name.to_owned(),
                created_at: fixture::at(0),
            })?;
        }
        for (key, quantity, second) in [
            ("max_agents", 3, 50),
            ("max_agents", 5, 99),
            ("tasks_per_month", 7, 99),
        ] {
            store.insert_reservation(&Reservation {
                id: ReservationId::new(fixture::at(0)),
                tenant_id: id,
                key: key.to_owned(),
                quantity,
                outcome: billing::Outcome::Open,
                expires_at: fixture::at(second),
                created_at: fixture::at(0),
            })?;
        }
        Ok::<_, StoreError>(())
    });
    written.await.unwrap();
    let given = Override {
        grant: Grant::new("max_agents", Kind::Limit, None),
        expires_at: Some(fixture::at(50)),
        reason: None,
    };
    backend.seed_billing(BillingSeed::Override(id, given)).await;
    id
}

async fn standing(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: &'static str,
    at: OffsetDateTime,
) -> Standing {
    let standing = within(backend, tenant_id, move |store| {
        store.standing(tenant_id, key, at)
    });
    standing.await.unwrap()
}

/// For every key and before and after things are over, a standing says what the questions one by one answer; what is counted and what is
/// held, it says alone.
pub async fn a_standing_is_what_the_other_questions_answer(backend: &impl Backend) {
    let id = busy(backend).await;
    for at in [fixture::at(49), fixture::at(50)] {
        for key in KEYS {
            let asked = within(backend, id, move |store| {
                let granted = store.granted(id, Some(key), at)?;
                let subscription = store.subscription(id)?.unwrap();
                let standing = store.standing(id, key, at)?;
                let expected = Standing {
                    plan: granted.plan.clone(),
                    grant: granted.in_force(at).pop(),
                    anchor: Some(Anchor {
                        at: subscription.anchor,
                        zone: subscription.zone,
                    }),
                    zone: store.tenant_zone(id)?,
                    things: standing.things,
                    held: standing.held,
                    crossing: None,
                    counted: None,
                    watermark: standing.watermark.clone(),
                };
                assert!(!standing.watermark.is_empty());
                Ok::<_, StoreError>((standing, expected))
            });
            let (standing, expected) = asked.await.unwrap();
            assert_eq!(standing, expected, "{key} at {at}");
        }
    }
    let before = standing(backend, id, "max_agents", fixture::at(49)).await;
    let after = standing(backend, id, "max_agents", fixture::at(50)).await;
    assert_eq!((before.things, before.held), (2, 8));
    assert_eq!((after.things, after.held), (2, 5));
    assert_eq!(before.grant.unwrap().maximum, None);
    assert_eq!(after.grant.unwrap().maximum, Some(10));
    let members = |second| standing(backend, id, "max_members", fixture::at(second));
    assert_eq!((members(49).await.things, members(50).await.things), (2, 1));
    let tasks = standing(backend, id, "tasks_per_month", fixture::at(49)).await;
    assert_eq!((tasks.things, tasks.held), (0, 7));
}

/// Without a subscription nothing is granted and no month is anchored; a tenant that is not in scope is not there.
pub async fn a_standing_is_of_a_tenant_in_scope(backend: &impl Backend) {
    let id = busy(backend).await;
    let other = fixture::stored_tenant(backend, "other").await.id;
    let none = standing(backend, other, "max_agents", fixture::at(0)).await;
    assert_eq!(
        (none.plan, none.grant, none.anchor, none.things, none.held),
        (None, None, None, 0, 0)
    );
    let theirs = within(backend, other, move |store| {
        store.standing(id, "max_agents", fixture::at(0))
    });
    assert!(matches!(theirs.await, Err(StoreError::Unexpected(_))));
}

/// A plan grants what its version says, to whoever has that version, whatever is sold now.
pub async fn a_standing_is_of_the_version_in_force(backend: &impl Backend) {
    let early = tenant_on(backend, "early", "starter").await.tenant_id;
    backend.seed_billing(BillingSeed::Catalogue("prd37")).await;
    let late = tenant_on(backend, "late", "starter").await.tenant_id;
    for (id, members, projects) in [(early, Some(10), Some(5)), (late, Some(1), None)] {
        for (key, expected) in [("max_members", members), ("max_projects", projects)] {
            let standing = standing(backend, id, key, fixture::at(0)).await;
            let granted = standing.grant.map(|grant| grant.maximum);
            assert_eq!(granted, expected.map(Some), "{key}");
        }
    }
}

/// What is used of a quota, and the period that it was counted in.
async fn used(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: &'static str,
    at: OffsetDateTime,
) -> (i64, Period) {
    let measured = within(backend, tenant_id, move |store| {
        let standing = store.standing(tenant_id, key, at)?;
        let quota = standing.grant.clone().unwrap();
        standing.measure(store, tenant_id, quota, at)
    });
    let entitlement = measured.await.unwrap();
    (entitlement.used, entitlement.period)
}

async fn give_quota(backend: &impl Backend, tenant_id: TenantId, key: &str, metric: Option<&str>) {
    let mut grant = Grant::new(key, Kind::Quota, Some(100));
    grant.metric = metric.map(str::to_owned);
    let given = Override {
        grant,
        expires_at: None,
        reason: None,
    };
    backend
        .seed_billing(BillingSeed::Override(tenant_id, given))
        .await;
}

/// Read again and again, a quota counts what came since: once, of its own metric, tenant and period, and whether it was rolled up or not.
pub async fn a_quota_counts_what_came_since(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    let elsewhere = stored_meter(backend, other, "sums", Aggregation::Sum).await;
    let mut meters = Vec::new();
    for (key, aggregation) in [
        ("sums", Aggregation::Sum),
        ("counts", Aggregation::Count),
        ("peaks", Aggregation::Max),
    ] {
        meters.push(stored_meter(backend, id, key, aggregation).await);
        give_quota(backend, id, key, Some(key)).await;
    }
    let at = fixture::at(60);
    let (_, period) = used(backend, id, "sums", at).await;
    let mut expected = [0, 0, 0];
    for round in 1..=6 {
        for (key, expected) in ["sums", "counts", "peaks"].into_iter().zip(expected) {
            for _again in 0..2 {
                let used = used(backend, id, key, at).await;
                assert_eq!(used, (expected, period), "{key} in round {round}");
            }
        }
        let mut batch = Vec::new();
        for meter in &meters {
            for (name, at) in [
                ("in", at),
                ("last", period.end - Duration::MICROSECOND),
                ("before", period.start - Duration::MICROSECOND),
                ("behind", period.end),
            ] {
                let name = format!("{}-{name}-{round}", meter.key);
                batch.push(event(meter, &name, at, round));
            }
        }
        append(backend, id, batch).await;
        let theirs = event(&elsewhere, &round.to_string(), at, 1000);
        append(backend, other, vec![theirs]).await;
        expected = [expected[0] + 2 * round, expected[1] + 2, round];
        if round == 3 {
            roll_all(backend, 3 * 13).await;
        }
    }
}

/// What reservations settled is counted from one period to the next.
pub async fn a_quota_counts_what_was_settled(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    give_quota(backend, id, "exports", None).await;
    let at = fixture::at(0);
    let mut settled = 0;
    for quantity in [0, 3, 4] {
        let written = within(backend, id, move |store| {
            let mut reservation = Reservation {
                id: ReservationId::new(at),
                tenant_id: id,
                key: "exports".to_owned(),
                quantity: 9,
                outcome: billing::Outcome::Open,
                expires_at: at + Duration::HOUR,
                created_at: at,
            };
            store.insert_reservation(&reservation)?;
            reservation.outcome = billing::Outcome::Settled { quantity };
            store.finish_reservation(&reservation, at)
        });
        written.await.unwrap();
        settled += quantity;
        for (at, expected) in [(at, settled), (at + Duration::days(40), 0)] {
            let (used, period) = used(backend, id, "exports", at).await;
            assert_eq!(used, expected, "at {at}");
            assert!(period.contains(at));
            let standing = within(backend, id, move |store| store.standing(id, "exports", at));
            let counted = standing.await.unwrap().counted.unwrap();
            assert_eq!(
                (counted.quantity, counted.period),
                (expected.into(), period)
            );
        }
    }
}

/// What reservations settled is part of the first standing that is read already: with what is held, out of one snapshot.
pub async fn what_was_settled_comes_with_what_is_held(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    give_quota(backend, id, "exports", None).await;
    let at = fixture::at(0);
    let standing = within(backend, id, move |store| store.standing(id, "exports", at));
    let standing = standing.await.unwrap();
    assert_eq!(standing.held, 0);
    assert_eq!(standing.counted.unwrap().quantity, 0.into());
}
