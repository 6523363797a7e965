//! What a plan and overrides let a tenant have.

use kernel::{Denied, TenantStatus};
use plinth_billing::{
    Grant, Kind, Override,
    entitlement::ReadEntitlementsError,
    permissions::{BILLING_READ, ENTITLEMENT_READ},
};

use crate::memory_world::{FEBRUARY, FIFTEENTH, World, wish, with_permission};

#[tokio::test]
async fn the_list_has_every_key_of_the_plan_and_what_is_used() {
    let world = World::new();
    let by = world.tenant("acme", "hobby").await;
    world.put(&by, "a").await.unwrap();
    let held = wish("tasks_per_month", 40);
    world.billing.reserve(&by, held).await.unwrap();
    let reader = with_permission(&by, ENTITLEMENT_READ, TenantStatus::Active);
    let all = world.billing.entitlements(&reader).await.unwrap();
    let rows: Vec<_> = all
        .entitlements
        .iter()
        .map(|one| (one.grant.key.as_str(), one.used, one.grant.maximum))
        .collect();
    let expected = [
        ("max_agents", 1, Some(50)),
        ("max_concurrent_workflows", 0, Some(10)),
        ("max_dashboards", 0, Some(20)),
        ("max_members", 0, Some(10)),
        ("max_projects", 0, Some(5)),
        ("tasks_per_month", 40, Some(10_000)),
    ];
    assert_eq!((all.plan.as_str(), rows), ("starter", expected.to_vec()));
    let quota = world.entitlement(&by, "tasks_per_month").await;
    assert_eq!(quota.resets_at(), Some(FEBRUARY));
}

#[tokio::test]
async fn a_check_says_whether_and_takes_nothing() {
    let world = World::new();
    let by = world.tenant("acme", "free").await;
    let check = async |key: &str, quantity| {
        let check = world.billing.check(&by, key.to_owned(), quantity).await;
        check.unwrap().allowed
    };
    for _ in 0..2 {
        assert!(check("max_agents", 10).await);
        assert!(!check("max_agents", 11).await);
    }
    assert!(!check("max_widgets", 0).await, "nobody named it");
    let unbounded = world.billing.check(&by, "max_agents".to_owned(), -1).await;
    assert!(
        matches!(&unbounded, Err(ReadEntitlementsError::Invalid(error)) if error.field == "quantity"),
        "{unbounded:?}"
    );
    let other = with_permission(&by, BILLING_READ, TenantStatus::Active);
    let denied = world.billing.check(&other, "max_agents".to_owned(), 1);
    assert!(matches!(
        denied.await,
        Err(ReadEntitlementsError::Denied(Denied::Forbidden { .. }))
    ));
}

#[tokio::test]
async fn an_override_wins_until_it_expires() {
    let world = World::new();
    let by = world.tenant("acme", "free").await;
    let given = Override {
        grant: Grant::new("max_agents", Kind::Limit, Some(2)),
        expires_at: Some(FIFTEENTH),
        reason: None,
    };
    world.memory.grant_override(by.tenant_id().unwrap(), given);
    world.put(&by, "a").await.unwrap();
    world.put(&by, "b").await.unwrap();
    assert!(world.put(&by, "c").await.is_err());
    world.set_clock(FIFTEENTH);
    world.put(&by, "c").await.unwrap();
}

#[tokio::test]
async fn a_tenant_without_a_plan_may_have_nothing() {
    let world = World::new();
    let by = world.tenant_without_plan("acme").await;
    let all = world.billing.entitlements(&by).await.unwrap();
    assert_eq!((all.plan.as_str(), all.entitlements.len()), ("none", 0));
    assert!(world.put(&by, "a").await.is_err());
}
