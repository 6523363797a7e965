//! `billing::Thresholds` and `billing::QuotaWatch`.

use std::time::Duration as Pause;

use billing::{
    Crossing,
    threshold::{Look, Reached, Touched},
};
use kernel::{Scope, StoreError, TenantId};
use time::{Duration, OffsetDateTime};
use usage::ingest::MeteredEvent;

use super::{
    Backend, fixture, run,
    subscribed::{tenant_on, within},
    usage_fixture::{append, event, standard_meter},
};

fn reached(used: i64, thresholds: &[i16]) -> Reached {
    Reached {
        key: "tasks_per_month".to_owned(),
        period_start: fixture::at(0),
        maximum: 1_000,
        thresholds: thresholds.to_vec(),
        used,
        at: fixture::at(9),
    }
}

async fn mark(backend: &impl Backend, tenant_id: TenantId, one: Reached) -> Vec<i16> {
    let marked = within(backend, tenant_id, move |store| {
        store.mark_thresholds(tenant_id, &one)
    });
    marked.await.unwrap()
}

/// What was marked before is not answered again, and each period, limit, key and tenant has thresholds of its own.
pub async fn a_threshold_is_new_once(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    assert_eq!(mark(backend, id, reached(800, &[80])).await, [80]);
    assert_eq!(mark(backend, id, reached(1_000, &[80, 100])).await, [100]);
    assert!(
        mark(backend, id, reached(2_000, &[80, 100]))
            .await
            .is_empty()
    );
    let again = reached(1_000, &[80, 100]);
    for one in [
        Reached {
            key: "else".to_owned(),
            ..again.clone()
        },
        Reached {
            period_start: fixture::at(1),
            ..again.clone()
        },
        Reached {
            maximum: 999,
            ..again.clone()
        },
    ] {
        assert_eq!(mark(backend, id, one).await, [80, 100]);
    }
    assert_eq!(mark(backend, other, again).await, [80, 100]);
}

/// A threshold whose transaction did not commit is as if it had never been reached.
pub async fn a_threshold_goes_with_its_transaction(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let failed = within(backend, id, move |store| {
        let marked = store.mark_thresholds(id, &reached(800, &[80]))?;
        assert_eq!(marked, [80]);
        Err::<(), _>(StoreError::Unexpected("rolled back".to_owned()))
    });
    assert!(failed.await.is_err());
    assert_eq!(mark(backend, id, reached(800, &[80])).await, [80]);
}

/// Of several that reach a threshold at once, without any lock, one is answered it.
pub async fn one_of_several_reaches_a_threshold(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let marking: Vec<_> = (0..16)
        .map(|_| {
            let billing = backend.billing();
            tokio::spawn(async move {
                let one = reached(1_000, &[80, 100]);
                billing
                    .run(Scope::tenant(id), move |store| {
                        store.mark_thresholds(id, &one)
                    })
                    .await
            })
        })
        .collect();
    let mut marked = Vec::new();
    for one in marking {
        marked.extend(one.await.unwrap().unwrap());
    }
    marked.sort_unstable();
    assert_eq!(marked, [80, 100]);
}

/// Thresholds of periods that began a hundred days ago are forgotten when the next one of their entitlement is written.
pub async fn old_thresholds_are_forgotten(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let old = reached(800, &[80]);
    let after = |days| Reached {
        period_start: fixture::at(0) + Duration::days(days),
        at: fixture::at(0) + Duration::days(days),
        ..old.clone()
    };
    mark(backend, id, old.clone()).await;
    mark(backend, id, after(100)).await;
    assert!(mark(backend, id, old.clone()).await.is_empty());
    mark(backend, id, after(101)).await;
    assert_eq!(mark(backend, id, old).await, [80]);
}

async fn crossing(backend: &impl Backend, scope: TenantId, key: &'static str) -> Option<Crossing> {
    let standing = within(backend, scope, move |store| {
        store.standing(scope, key, fixture::at(5))
    });
    standing.await.unwrap().crossing
}

/// A crossing is remembered until it is ended, and one of another period takes its place. It is its tenant's and its key's.
pub async fn a_grace_is_remembered_until_it_ends(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    for period_start in [None, Some(fixture::at(0)), Some(fixture::at(2))] {
        let started = within(backend, id, move |store| {
            store.start_grace(id, "exports", period_start, fixture::at(3))
        });
        started.await.unwrap();
        let expected = Crossing {
            period_start,
            at: fixture::at(3),
        };
        assert_eq!(crossing(backend, id, "exports").await, Some(expected));
    }
    assert_eq!(crossing(backend, id, "max_agents").await, None);
    assert_eq!(crossing(backend, other, "exports").await, None);
    for _ in 0..2 {
        let ended = within(backend, id, move |store| store.end_grace(id, "exports"));
        assert_eq!(ended.await, Ok(()));
    }
    assert_eq!(crossing(backend, id, "exports").await, None);
}

async fn look(backend: &impl Backend) -> Look {
    look_at(backend, 1_000).await
}

async fn look_at(backend: &impl Backend, at_most: u32) -> Look {
    let look = run(backend.quota_watch(), Scope::global(), move |store| {
        store.look(at_most)
    });
    let look: Result<Look, StoreError> = look.await;
    look.unwrap()
}

/// Looks until something was found of a tenant. On a database that is shared, the transactions of others hold the end back for moments.
async fn found(backend: &impl Backend, tenant_id: TenantId) -> (Look, Vec<Touched>) {
    for _ in 0..1_000 {
        let look = look(backend).await;
        let of = look.touched.iter();
        let of: Vec<Touched> = of
            .filter(|one| one.tenant_id == tenant_id)
            .cloned()
            .collect();
        if !of.is_empty() {
            return (look, of);
        }
        tokio::time::sleep(Pause::from_millis(10)).await;
    }
    panic!("nothing was found");
}

async fn looked(backend: &impl Backend, look: Look) {
    let looked = run(backend.quota_watch(), Scope::global(), move |store| {
        store.looked(&look)
    });
    let looked: Result<(), StoreError> = looked.await;
    looked.unwrap();
}

/// What came in of meters that quotas count is found until the mark has moved, whoever looks, and then no more. What came in since is found.
pub async fn metered_use_is_found_until_the_mark_moves(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let tasks = standard_meter(backend, "task_completed").await;
    let searches = standard_meter(backend, "search").await;
    let at = |second: i64| -> OffsetDateTime { fixture::at(second) };
    let first = vec![
        event(&tasks, "a", at(20), 1),
        event(&tasks, "b", at(10), 1),
        event(&searches, "c", at(5), 1),
    ];
    append(backend, id, first).await;
    let touched = |first_at, last_at| {
        vec![Touched {
            tenant_id: id,
            metric: "task_completed".to_owned(),
            first_at,
            last_at,
        }]
    };
    let (_, of) = found(backend, id).await;
    assert_eq!(of, touched(at(10), at(20)));
    let (first, of) = found(backend, id).await;
    assert_eq!(of, touched(at(10), at(20)));
    looked(backend, first.clone()).await;
    assert_eq!(look(backend).await.touched, []);

    append(backend, id, vec![event(&tasks, "d", at(30), 1)]).await;
    let (_, of) = found(backend, id).await;
    assert_eq!(of, touched(at(30), at(30)));
    // Somebody who looked long ago moves nothing.
    looked(backend, first).await;
    let (_, of) = found(backend, id).await;
    assert_eq!(of, touched(at(30), at(30)));
}

/// A long backlog is looked at step by step. Each step begins where the one before ended, and together they find everything; a transaction
/// that is larger than a step is a step.
pub async fn a_backlog_is_looked_at_step_by_step(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let tasks = standard_meter(backend, "task_completed").await;
    let mut second = 0;
    for events in [2, 7, 1, 2] {
        let sent = (0..events).map(|_| {
            second += 1;
            event(&tasks, &second.to_string(), fixture::at(second), 1)
        });
        let sent: Vec<MeteredEvent<'static>> = sent.collect();
        append(backend, id, sent).await;
    }
    let (mut steps, mut seen, mut from) = (0, 0, None);
    for _ in 0..1_000 {
        let look = look_at(backend, 3).await;
        assert!(from.is_none_or(|from| from == look.from), "a gap");
        assert!(!look.more || look.to > look.from, "it gets nowhere");
        from = Some(look.to);
        for touched in look.touched.iter().filter(|one| one.tenant_id == id) {
            assert_eq!(touched.first_at, fixture::at(seen + 1));
            steps += 1;
            seen = (touched.last_at - fixture::at(0)).whole_seconds();
        }
        // On a database that is shared, the transactions of others hold the end back for moments.
        let pause = if look.more { 0 } else { 10 };
        looked(backend, look).await;
        if seen == second {
            assert!(steps >= 3, "{steps}");
            return;
        }
        tokio::time::sleep(Pause::from_millis(pause)).await;
    }
    panic!("not everything was found");
}
