//! Nobody gets more than the plan allows, however many ask at once: the rules of `billing` on a store.

use billing::{
    ExternalId, Put, ResourceKind, Store, Wish, reservation, reservation::ReserveError, resource,
    resource::PutResourceError,
};
use kernel::{LimitReached, Scope, StoreError, TenantId};
use time::OffsetDateTime;

use super::{
    Backend, fixture,
    subscribed::{principal, tenant_on, within},
};

const WORKFLOWS: &str = "max_concurrent_workflows";

fn wish(key: &str, quantity: i64) -> Wish {
    Wish {
        key: key.to_owned(),
        quantity,
        ttl_seconds: 60,
    }
}

/// Many tasks at once register a thing each, or reserve one. Answers how many got it; every other must have met the limit.
async fn takers(backend: &impl Backend, tenant_id: TenantId, put: usize, reserve: usize) -> usize {
    let takers: Vec<_> = (0..put + reserve)
        .map(|number| {
            let billing = backend.billing();
            let taken = async move {
                billing
                    .run(Scope::tenant(tenant_id), move |store| {
                        if number < put {
                            put_one(store, tenant_id, number)
                        } else {
                            reserve_one(store, tenant_id)
                        }
                    })
                    .await
            };
            tokio::spawn(taken)
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        match taker.await.unwrap() {
            Ok(()) => taken += 1,
            Err(Refused::Limit(limit)) => {
                assert_eq!(
                    (limit.max, limit.used, limit.plan.as_str()),
                    (10, 10, "free")
                );
            }
            Err(Refused::Failed(why)) => panic!("{why}"),
        }
    }
    taken
}

fn put_one(store: &mut dyn Store, tenant_id: TenantId, number: usize) -> Result<(), Refused> {
    let kind = ResourceKind::parse("agents").unwrap();
    let name = ExternalId::parse(&number.to_string()).unwrap();
    let put = resource::put(store, &kind, &name, &principal(tenant_id), fixture::at(1))?;
    assert!(matches!(put, Put::Created { .. }), "{put:?}");
    Ok(())
}

fn reserve_one(store: &mut dyn Store, tenant_id: TenantId) -> Result<(), Refused> {
    let (wish, by) = (wish("max_agents", 1), principal(tenant_id));
    reservation::reserve(store, wish, &by, fixture::at(1))?;
    Ok(())
}

enum Refused {
    Limit(LimitReached),
    Failed(String),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<PutResourceError> for Refused {
    fn from(error: PutResourceError) -> Self {
        match error {
            PutResourceError::Limit(limit) => Self::Limit(limit),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<ReserveError> for Refused {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Limit(limit) => Self::Limit(limit),
            other => Self::Failed(other.to_string()),
        }
    }
}

async fn gauge(backend: &impl Backend, tenant_id: TenantId, at: OffsetDateTime) -> (i64, i64) {
    let standing = within(backend, tenant_id, move |store| {
        store.standing(tenant_id, "max_agents", at)
    });
    let standing = standing.await.unwrap();
    (standing.things, standing.held)
}

/// Twenty-four register things at once, ten are allowed: ten get one.
pub async fn takers_never_get_one_too_many(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    assert_eq!(takers(backend, id, 24, 0).await, 10);
    assert_eq!(gauge(backend, id, fixture::at(1)).await, (10, 0));
}

/// Things that are there and things that are reserved fill one limit between them.
pub async fn things_and_reservations_share_a_limit(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    assert_eq!(takers(backend, id, 12, 12).await, 10);
    let (things, reserved) = gauge(backend, id, fixture::at(1)).await;
    assert_eq!(things + reserved, 10);
}

/// Two places are allowed. What is held comes back by itself when the lease runs out, and at once when it is given back.
pub async fn what_is_held_comes_back(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let reserve = |second: i64| {
        within(backend, id, move |store| {
            let by = principal(id);
            let at = fixture::at(second);
            reservation::reserve(store, wish(WORKFLOWS, 1), &by, at)
        })
    };
    reserve(0).await.unwrap();
    let second = reserve(10).await.unwrap();
    let full = reserve(59).await;
    assert!(
        matches!(&full, Err(ReserveError::Limit(limit)) if (limit.max, limit.used) == (2, 2)),
        "{full:?}"
    );
    reserve(60).await.unwrap();
    assert!(matches!(reserve(61).await, Err(ReserveError::Limit(_))));
    let given_back = within(backend, id, move |store| {
        reservation::release(
            store,
            second.reservation.id,
            &principal(id),
            fixture::at(62),
        )
    });
    given_back.await.unwrap();
    reserve(62).await.unwrap();
    assert!(matches!(reserve(62).await, Err(ReserveError::Limit(_))));
}

/// A limit of one tenant is no other's, and a tenant without a plan may have nothing.
pub async fn each_tenant_has_its_own_limit(backend: &impl Backend) {
    let full = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    let none = fixture::stored_tenant(backend, "none").await.id;
    let reserve = |tenant_id: TenantId, quantity: i64| {
        within(backend, tenant_id, move |store| {
            let (wish, by) = (wish(WORKFLOWS, quantity), principal(tenant_id));
            reservation::reserve(store, wish, &by, fixture::at(1))
        })
    };
    reserve(full, 2).await.unwrap();
    reserve(other, 2).await.unwrap();
    let refused = reserve(none, 1).await;
    assert!(
        matches!(&refused, Err(ReserveError::Limit(limit)) if (limit.max, limit.plan.as_str()) == (0, "none")),
        "{refused:?}"
    );
}
