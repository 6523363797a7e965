//! Counted things and reservations, held against the plan.

use std::sync::Arc;

use kernel::{Denied, PageRequest, Permission, TenantStatus};
use plinth_billing::{
    Outcome, Put, Wish,
    permissions::{RESOURCE_READ, RESOURCE_WRITE},
    reservation::{FinishError, ReserveError},
    resource::{PutResourceError, RemoveResourceError},
};
use time::Duration;

use crate::memory_world::{START, World, agents, wish, with_permission};

const WORKFLOWS: &str = "max_concurrent_workflows";

#[tokio::test]
async fn the_eleventh_agent_of_a_free_plan_is_refused_until_one_goes() {
    let world = World::new();
    let by = world.tenant("acme", "free").await;
    for number in 0..10 {
        let put = world.put(&by, &number.to_string()).await.unwrap();
        assert!(matches!(put, Put::Created { .. }));
    }
    let refused = world.put(&by, "more").await;
    assert!(
        matches!(&refused, Err(PutResourceError::Limit(limit))
            if (limit.limit.as_str(), limit.max, limit.used, limit.plan.as_str()) == ("max_agents", 10, 10, "free")),
        "{refused:?}"
    );
    let known = world.put(&by, "3").await.unwrap();
    assert!(matches!(known, Put::Unchanged(_)), "it has its place");

    let name = || plinth_billing::ExternalId::parse("3").unwrap();
    let remove = || world.billing.remove_resource(&by, agents(), name());
    remove().await.unwrap();
    assert!(matches!(remove().await, Err(RemoveResourceError::NotFound)));
    world.put(&by, "more").await.unwrap();
    let page = PageRequest {
        limit: 4,
        ..PageRequest::first()
    };
    let listed = world.billing.resources(&by, agents(), page).await.unwrap();
    let names: Vec<_> = listed
        .data
        .iter()
        .map(|one| one.external_id.as_str())
        .collect();
    assert_eq!(names, ["0", "1", "2", "4"]);
    let rest = PageRequest {
        limit: 100,
        cursor: listed.next_cursor,
    };
    let rest = world.billing.resources(&by, agents(), rest).await.unwrap();
    assert_eq!((rest.data.len(), rest.next_cursor), (6, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takers_at_once_get_what_is_left_and_no_more() {
    let world = Arc::new(World::new());
    let by = world.tenant("acme", "free").await;
    let takers: Vec<_> = (0..40)
        .map(|number| {
            let (world, by) = (Arc::clone(&world), by.clone());
            tokio::spawn(async move { world.put(&by, &format!("agent-{number}")).await.is_ok() })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += usize::from(taker.await.unwrap());
    }
    assert_eq!(taken, 10);
    let agents = world.entitlement(&by, "max_agents").await;
    assert_eq!((agents.used, agents.remaining()), (10, Some(0)));
}

#[tokio::test]
async fn a_hold_ends_when_it_is_given_back_or_its_lease_runs_out() {
    let world = World::new();
    let by = world.tenant("acme", "free").await;
    let reserve = |quantity| world.billing.reserve(&by, wish(WORKFLOWS, quantity));
    let used = async || world.entitlement(&by, WORKFLOWS).await.used;
    let held = reserve(2).await.unwrap();
    assert_eq!(held.reservation.expires_at, START + Duration::seconds(60));
    assert!(matches!(reserve(1).await, Err(ReserveError::Limit(_))));
    let given_back = world
        .billing
        .release(&by, held.reservation.id)
        .await
        .unwrap();
    assert_eq!((given_back.outcome, used().await), (Outcome::Released, 0));

    reserve(2).await.unwrap();
    world.set_clock(START + Duration::seconds(59));
    assert_eq!(used().await, 2);
    world.set_clock(START + Duration::seconds(60));
    assert_eq!(used().await, 0);
    reserve(2).await.unwrap();
}

#[tokio::test]
async fn a_reservation_is_finished_once_with_one_set_of_figures() {
    let world = World::new();
    let by = world.tenant("acme", "free").await;
    world.grant_quota(&by, "exports", 10);
    let held = world.billing.reserve(&by, wish("exports", 6)).await;
    let held = held.unwrap();
    let full = world.billing.reserve(&by, wish("exports", 5)).await;
    assert!(matches!(full, Err(ReserveError::Limit(limit)) if (limit.used, limit.max) == (6, 10)));

    // Also when the lease has run out: the work was done.
    world.set_clock(START + Duration::HOUR);
    let settled = world
        .billing
        .settle(&by, held.reservation.id, 9)
        .await
        .unwrap();
    assert_eq!(settled.outcome, Outcome::Settled { quantity: 9 });
    let again = world
        .billing
        .settle(&by, held.reservation.id, 9)
        .await
        .unwrap();
    assert_eq!(again, settled);
    let other = world.billing.settle(&by, held.reservation.id, 8).await;
    assert!(matches!(other, Err(FinishError::Settled)));
    let released = world.billing.release(&by, held.reservation.id).await;
    assert!(matches!(released, Err(FinishError::Settled)));
    assert_eq!(world.entitlement(&by, "exports").await.used, 9);

    let stranger = world.tenant("other", "free").await;
    let theirs = world
        .billing
        .settle(&stranger, held.reservation.id, 9)
        .await;
    assert!(matches!(theirs, Err(FinishError::NotFound)));
    let trail = world.trail(by.tenant_id().unwrap()).await;
    let of_reservations: Vec<_> = trail
        .iter()
        .filter(|action| action.starts_with("reservation."))
        .collect();
    assert_eq!(
        of_reservations,
        ["reservation.created", "reservation.settled"]
    );
}

#[tokio::test]
async fn what_is_not_counted_is_not_reserved() {
    let world = World::new();
    let by = world.tenant("acme", "free").await;
    let refused = |wish: Wish| world.billing.reserve(&by, wish);
    for (wish, code) in [
        (wish("max_members", 1), "not_reservable"),
        (wish("max_projects", 1), "not_reservable"),
        (wish(WORKFLOWS, 0), "out_of_range"),
        (
            Wish {
                ttl_seconds: 86_401,
                ..wish(WORKFLOWS, 1)
            },
            "out_of_range",
        ),
    ] {
        let refused = refused(wish).await;
        assert!(
            matches!(&refused, Err(ReserveError::Invalid(error)) if error.code == code),
            "{refused:?}"
        );
    }
    let unknown = refused(wish("gold", 1)).await;
    assert!(matches!(unknown, Err(ReserveError::Limit(limit)) if limit.max == 0));
}

#[tokio::test]
async fn only_who_may_write_takes_and_only_while_the_tenant_is_open() {
    let world = World::new();
    let by = world.tenant("acme", "free").await;
    let frozen = with_permission(&by, RESOURCE_WRITE, TenantStatus::Frozen);
    let refused = world.put(&frozen, "a").await;
    assert!(matches!(
        refused,
        Err(PutResourceError::Denied(Denied::ReadOnly { .. }))
    ));
    let reader = with_permission(&by, RESOURCE_READ, TenantStatus::Active);
    let refused = world.billing.reserve(&reader, wish(WORKFLOWS, 1)).await;
    assert!(
        matches!(&refused, Err(ReserveError::Denied(Denied::Forbidden { required }))
            if *required == Permission::of("resource.write")),
        "{refused:?}"
    );
    let page = PageRequest::first();
    let listed = world.billing.resources(&reader, agents(), page).await;
    assert_eq!(listed.unwrap().data, []);
}
