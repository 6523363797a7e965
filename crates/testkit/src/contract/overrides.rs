//! `billing::Overrides`.

use billing::{Cycle, Enforcement, Grace, Grant, Kind, Override};
use kernel::{Scope, StoreError, TenantId, UserId};
use serde_json::json;
use time::Duration;

use super::{
    Backend, Seed, fixture, people, run,
    subscribed::{tenant_on, within},
};

fn given(key: &str) -> Override {
    Override {
        grant: Grant {
            metric: Some("api_calls".to_owned()),
            value: Some(json!({ "region": "eu" })),
            cycle: Cycle::CalendarDay,
            enforcement: Enforcement::Grace(Grace {
                percent: Some(20),
                lasts: Some(Duration::hours(3)),
            }),
            ..Grant::new(key, Kind::Quota, Some(7))
        },
        expires_at: Some(fixture::at(60)),
        reason: Some("asked nicely".to_owned()),
    }
}

async fn put(backend: &impl Backend, tenant_id: TenantId, one: &Override) {
    let one = one.clone();
    let put = within(backend, tenant_id, move |store| {
        store.put_override(tenant_id, &one)
    });
    put.await.unwrap();
}

async fn listed(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: Option<&'static str>,
) -> Vec<Override> {
    let listed = within(backend, tenant_id, move |store| {
        store.overrides(tenant_id, key)
    });
    listed.await.unwrap()
}

/// Every field survives, of each enforcement; overrides come by key, and the one of a key alone when that is asked.
pub async fn an_override_is_read_back_as_it_was_written(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let soft = Override {
        grant: Grant {
            enforcement: Enforcement::Soft,
            ..Grant::new("b", Kind::Limit, None)
        },
        expires_at: None,
        reason: None,
    };
    let hard = Override {
        grant: Grant::new("B", Kind::Static, Some(0)),
        ..soft.clone()
    };
    let all = [hard, given("a"), soft];
    for one in all.iter().rev() {
        put(backend, id, one).await;
    }
    assert_eq!(listed(backend, id, None).await, all);
    assert_eq!(listed(backend, id, Some("a")).await, [given("a")]);
    assert_eq!(listed(backend, id, Some("c")).await, []);
}

/// A key has one override: the last.
pub async fn an_override_takes_the_place_of_the_one_before(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    put(backend, id, &given("a")).await;
    let other = Override {
        grant: Grant::new("a", Kind::Boolean, Some(1)),
        expires_at: None,
        reason: None,
    };
    put(backend, id, &other).await;
    assert_eq!(listed(backend, id, None).await, [other]);
    for _ in 0..2 {
        let removed = within(backend, id, move |store| store.delete_override(id, "a"));
        assert_eq!(removed.await, Ok(()));
    }
    assert_eq!(listed(backend, id, None).await, []);
}

/// A person writes overrides with a role over the deployment that says so, and not as the owner of the tenant.
pub async fn persons_need_a_role_over_the_deployment(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let owner = people::stored_member(backend, id, "ann", &["owner"]).await;
    let biller = people::stored_user(backend, "bill").await;
    let helper = people::stored_user(backend, "sue").await;
    for (user_id, role) in [
        (biller.id, "platform_billing"),
        (helper.id, "platform_support"),
    ] {
        backend.seed(Seed::GlobalRole { user_id, role }).await;
    }
    let by = |user_id: UserId| Scope {
        tenant_id: Some(id),
        ..Scope::user(user_id)
    };
    for (user, may) in [(owner.id, false), (helper.id, false), (biller.id, true)] {
        let put = run(backend.billing(), by(user), move |store| {
            store.put_override(id, &given("a"))
        });
        let put = put.await;
        assert_eq!(put.is_ok(), may, "{put:?}");
        assert_eq!(listed(backend, id, None).await.len(), usize::from(may));
    }
    for (user, left) in [(owner.id, 1), (helper.id, 1), (biller.id, 0)] {
        let removed = run(backend.billing(), by(user), move |store| {
            store.delete_override(id, "a")
        });
        let removed: Result<(), StoreError> = removed.await;
        assert_eq!(removed.is_ok(), left == 0, "{removed:?}");
        assert_eq!(listed(backend, id, None).await.len(), left);
    }
}

/// A tenant that is not in scope is not there, and neither are its overrides.
pub async fn overrides_of_another_tenant_are_not_there(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let stranger = tenant_on(backend, "other", "free").await.tenant_id;
    put(backend, id, &given("a")).await;
    let seen = within(backend, stranger, move |store| {
        store.delete_override(id, "a")?;
        let (mine, theirs) = (store.has_tenant(stranger)?, store.has_tenant(id)?);
        Ok::<_, StoreError>((mine, theirs, store.overrides(id, None)?))
    });
    assert_eq!(seen.await, Ok((true, false, Vec::new())));
    assert_eq!(listed(backend, id, None).await, [given("a")]);
}
