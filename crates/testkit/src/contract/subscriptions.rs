//! `billing::Subscriptions`.

use billing::{Interval, PlanChange, PlanRef, Subscription, subscription::Status};
use kernel::{Clock, Scope, StoreError, SubscriptionId, SystemClock, TenantId, Zone};
use time::Duration;

use super::{
    Backend, fixture, run,
    subscribed::{tenant_on, within},
};

fn plan(code: &str) -> PlanRef {
    PlanRef {
        code: code.to_owned(),
        version: 1,
    }
}

fn change(code: &str, second: i64) -> PlanChange {
    PlanChange {
        plan: plan(code),
        effective_at: fixture::at(second),
    }
}

/// A subscription with something in every field.
fn full(tenant_id: TenantId) -> Subscription {
    Subscription {
        id: SubscriptionId::new(fixture::at(0)),
        tenant_id,
        status: Status::Trialing,
        plan: plan("starter"),
        pending: Some(change("free", 60)),
        anchor: fixture::at(-5),
        zone: Zone::parse("timezone", "Asia/Kathmandu").unwrap(),
        interval: Interval::Year,
        cancel_at: Some(fixture::at(90)),
    }
}

async fn live(backend: &impl Backend, tenant_id: TenantId) -> Option<Subscription> {
    within(backend, tenant_id, move |store| {
        store.subscription(tenant_id)
    })
    .await
    .unwrap()
}

async fn insert(backend: &impl Backend, one: Subscription) -> Result<(), StoreError> {
    within(backend, one.tenant_id, move |store| {
        store.insert_subscription(&one)
    })
    .await
}

async fn save(backend: &impl Backend, one: Subscription) -> Result<(), StoreError> {
    within(backend, one.tenant_id, move |store| {
        store.save_subscription(&one)
    })
    .await
}

async fn code_of_tenant(backend: &impl Backend, tenant_id: TenantId) -> String {
    let tenants = backend.tenants();
    let tenant = tenants
        .run(Scope::tenant(tenant_id), move |store| {
            store.tenant(tenant_id)
        })
        .await;
    tenant.unwrap().unwrap().plan_code
}

/// Every field survives. Saving changes plan, pending plan, status and end; what periods are counted by stays.
pub async fn a_subscription_is_read_back_as_it_was_written(backend: &impl Backend) {
    let id = fixture::stored_tenant(backend, "acme").await.id;
    assert_eq!(live(backend, id).await, None);
    let mut one = full(id);
    insert(backend, one.clone()).await.unwrap();
    assert_eq!(live(backend, id).await, Some(one.clone()));

    (one.status, one.plan) = (Status::PastDue, plan("pro"));
    (one.pending, one.cancel_at) = (None, None);
    let saved = Subscription {
        anchor: fixture::at(7),
        zone: Zone::utc(),
        interval: Interval::Month,
        ..one.clone()
    };
    save(backend, saved).await.unwrap();
    assert_eq!(live(backend, id).await, Some(one.clone()));

    one.pending = Some(change("enterprise", 70));
    save(backend, one.clone()).await.unwrap();
    assert_eq!(live(backend, id).await, Some(one));

    let nowhere = Subscription {
        id: SubscriptionId::new(fixture::at(0)),
        ..full(id)
    };
    assert_eq!(
        save(backend, nowhere).await,
        Ok(()),
        "it is not there, which is no error"
    );
}

/// One that is not canceled is live, whatever else it is; a second is a conflict, and so is to bring one back beside it.
pub async fn a_tenant_has_one_live_subscription(backend: &impl Backend) {
    let mut first = tenant_on(backend, "acme", "free").await;
    for status in [
        Status::Trialing,
        Status::Active,
        Status::PastDue,
        Status::Paused,
        Status::Incomplete,
    ] {
        first.status = status;
        save(backend, first.clone()).await.unwrap();
        assert_eq!(live(backend, first.tenant_id).await, Some(first.clone()));
        let second = insert(backend, full(first.tenant_id)).await;
        assert!(
            matches!(&second, Err(error) if error.conflicts_with("subscriptions_live_key")),
            "{status:?}: {second:?}"
        );
    }
    first.status = Status::Canceled;
    save(backend, first.clone()).await.unwrap();
    assert_eq!(live(backend, first.tenant_id).await, None);
    let second = full(first.tenant_id);
    insert(backend, second.clone()).await.unwrap();
    assert_eq!(live(backend, first.tenant_id).await, Some(second));
    first.status = Status::Active;
    let brought_back = save(backend, first).await;
    assert!(
        matches!(&brought_back, Err(error) if error.conflicts_with("subscriptions_live_key")),
        "{brought_back:?}"
    );
}

/// The tenant carries the code of its live subscription's plan; one that ends changes nothing about it.
pub async fn the_tenant_carries_the_code_of_its_plan(backend: &impl Backend) {
    let mut one = tenant_on(backend, "acme", "hobby").await;
    assert_eq!(code_of_tenant(backend, one.tenant_id).await, "starter");
    one.plan = plan("pro");
    save(backend, one.clone()).await.unwrap();
    assert_eq!(code_of_tenant(backend, one.tenant_id).await, "pro");
    (one.plan, one.status) = (plan("free"), Status::Canceled);
    save(backend, one.clone()).await.unwrap();
    assert_eq!(code_of_tenant(backend, one.tenant_id).await, "pro");
}

/// A subscription is to a version that was published, of a tenant that is there.
pub async fn a_subscription_names_what_is_there(backend: &impl Backend) {
    let id = fixture::stored_tenant(backend, "acme").await.id;
    let unknown_plan = Subscription {
        plan: plan("gold"),
        ..full(id)
    };
    let unknown_pending = Subscription {
        pending: Some(change("gold", 60)),
        ..full(id)
    };
    let nobody = full(TenantId::new(fixture::at(1)));
    for (one, constraint) in [
        (unknown_plan, "subscriptions_plan_code_plan_version_fkey"),
        (
            unknown_pending,
            "subscriptions_pending_plan_code_pending_plan_version_fkey",
        ),
        (nobody, "subscriptions_tenant_id_fkey"),
    ] {
        let outcome = insert(backend, one).await;
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with(constraint)),
            "{constraint}: {outcome:?}"
        );
    }
}

/// So does a change of plan: a version that was published, and a subscription that is there.
pub async fn a_change_of_plan_names_what_is_there(backend: &impl Backend) {
    let known = tenant_on(backend, "acme", "free").await;
    let nowhere = full(known.tenant_id);
    for (one, code, constraint) in [
        (
            known,
            "gold",
            "subscription_changes_plan_code_plan_version_fkey",
        ),
        (
            nowhere,
            "free",
            "subscription_changes_tenant_id_subscription_id_fkey",
        ),
    ] {
        let outcome = within(backend, one.tenant_id, move |store| {
            store.add_plan_change(&one, &change(code, 1))
        });
        let outcome = outcome.await;
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with(constraint)),
            "{constraint}: {outcome:?}"
        );
    }
}

/// Changes come in order of time, whatever order they were written in; the later word about an instant replaces the earlier.
pub async fn the_history_of_plans_is_in_order_of_time(backend: &impl Backend) {
    let one = tenant_on(backend, "acme", "free").await;
    let other = tenant_on(backend, "other", "pro").await;
    let written = one.clone();
    let history = within(backend, one.tenant_id, move |store| {
        for (code, second) in [("pro", 20), ("starter", 10), ("enterprise", 20)] {
            store.add_plan_change(&written, &change(code, second))?;
        }
        store.plan_changes(&written)
    });
    let expected = vec![
        change("free", 0),
        change("starter", 10),
        change("enterprise", 20),
    ];
    assert_eq!(history.await, Ok(expected));
    let history = within(backend, other.tenant_id, move |store| {
        store.plan_changes(&other)
    });
    assert_eq!(history.await, Ok(vec![change("pro", 0)]));
}

/// Subscriptions of another tenant are not there: nothing is read, nothing changed, nothing added.
pub async fn subscriptions_of_another_tenant_are_not_there(backend: &impl Backend) {
    let one = tenant_on(backend, "acme", "free").await;
    let stranger = fixture::stored_tenant(backend, "other").await.id;
    let mut changed = one.clone();
    changed.plan = plan("enterprise");
    let id = one.tenant_id;
    let read = within(backend, stranger, move |store| {
        store.save_subscription(&changed)?;
        Ok::<_, StoreError>((store.subscription(id)?, store.plan_changes(&changed)?))
    });
    assert_eq!(read.await, Ok((None, Vec::new())));
    assert_eq!(live(backend, id).await, Some(one.clone()));
    assert_eq!(code_of_tenant(backend, id).await, "free");

    let (row, new) = (one.clone(), full(id));
    let attempts: [Result<(), StoreError>; 4] = [
        within(backend, stranger, move |store| {
            store.insert_subscription(&new)
        })
        .await,
        within(backend, stranger, move |store| {
            store.add_plan_change(&row, &change("pro", 1))
        })
        .await,
        within(backend, stranger, move |store| {
            store.lock_tenant(id).map(drop)
        })
        .await,
        within(backend, stranger, move |store| {
            store.tenant_zone(id).map(drop)
        })
        .await,
    ];
    for outcome in attempts {
        assert!(
            matches!(outcome, Err(StoreError::Unexpected(_))),
            "{outcome:?}"
        );
    }
}

/// The zone of a tenant is what its row says.
pub async fn a_tenant_lives_in_its_zone(backend: &impl Backend) {
    let mut tenant = fixture::stored_tenant(backend, "acme").await;
    let id = tenant.id;
    tenant.timezone = Zone::parse("timezone", "Europe/Paris").unwrap();
    let moved = tenant.timezone.clone();
    let update = run(backend.tenants(), Scope::tenant(id), move |store| {
        store.update_tenant(&tenant)
    });
    update.await.unwrap();
    let zone = within(backend, id, move |store| store.tenant_zone(id));
    assert_eq!(zone.await, Ok(moved));
}

/// Those who lock a tenant see what the one before them wrote, and learn when their own transaction began.
pub async fn callers_that_lock_a_tenant_take_turns(backend: &impl Backend) {
    const CALLERS: i64 = 12;
    let one = tenant_on(backend, "acme", "free").await;
    let id = one.tenant_id;
    let before = SystemClock.now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (one, billing) = (one.clone(), backend.billing());
            let command = async move {
                billing
                    .run(Scope::tenant(id), move |store| {
                        let began_at = store.lock_tenant(id)?;
                        let changes = i64::try_from(store.plan_changes(&one)?.len()).unwrap();
                        store.add_plan_change(&one, &change("pro", changes))?;
                        Ok::<_, StoreError>(began_at)
                    })
                    .await
            };
            tokio::spawn(command)
        })
        .collect();
    for caller in callers {
        let began_at = caller.await.unwrap().unwrap();
        let slack = Duration::seconds(1);
        assert!(before - slack <= began_at && began_at <= SystemClock.now() + slack);
    }
    let history = within(backend, id, move |store| store.plan_changes(&one));
    let history = history.await.unwrap();
    assert_eq!(i64::try_from(history.len()).unwrap(), CALLERS + 1);
    assert_eq!(history.last(), Some(&change("pro", CALLERS)));
}
