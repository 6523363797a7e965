//! `billing::Watch`: metered use that reaches a threshold.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use billing::{QuotaWatch, Watch, watch::STEP};
use kernel::{BoxFuture, Clock, Scope, StoreError, TenantId, UnitOfWork, Work};
use time::{Duration, OffsetDateTime};

use super::{
    Backend,
    enforcement::told,
    fixture,
    subscribed::tenant_on,
    usage_fixture::{append, event, standard_meter},
};

struct Fixed(OffsetDateTime);

impl Clock for Fixed {
    fn now(&self) -> OffsetDateTime {
        self.0
    }
}

/// A watch of a worker at an instant.
fn watch(backend: &impl Backend, at: OffsetDateTime) -> Watch {
    let marks: Arc<dyn UnitOfWork<dyn QuotaWatch>> = backend.quota_watch();
    Watch::new(marks, backend.billing_of_worker(), Arc::new(Fixed(at)))
}

/// Looks, two workers at a time, until so many thresholds were told of a tenant.
async fn told_by_watching(
    backend: &impl Backend,
    tenant_id: TenantId,
    at: OffsetDateTime,
    wanted: usize,
) -> Vec<(String, i64, i64, i64)> {
    for _ in 0..1_000 {
        let (one, other) = (watch(backend, at), watch(backend, at));
        let (one, other) = tokio::join!(one.look(STEP), other.look(STEP));
        one.unwrap();
        other.unwrap();
        let told = told(backend, tenant_id).await;
        if told.len() >= wanted {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("fewer than {wanted} thresholds were told");
}

/// Metered use is noticed by whoever watches: once, also when it comes late, and in the period that it belongs to.
pub async fn thresholds_of_metered_use_are_told_once_by_watchers(backend: &impl Backend) {
    let subscription = tenant_on(backend, "acme", "free").await;
    let id = subscription.tenant_id;
    let meter = standard_meter(backend, "task_completed").await;
    let next = subscription.period_at(fixture::at(0)).end;
    let tasks = |threshold, used| ("tasks_per_month".to_owned(), 1_000, threshold, used);

    append(backend, id, vec![event(&meter, "a", fixture::at(1), 850)]).await;
    let first = told_by_watching(backend, id, fixture::at(9), 1).await;
    assert_eq!(first, [tasks(80, 850)]);
    append(backend, id, vec![event(&meter, "b", fixture::at(2), 10)]).await;
    // A month later the rest of the month before arrives, and a day's worth of the new one.
    let late = vec![
        event(&meter, "c", fixture::at(3), 140),
        event(&meter, "d", next, 900),
    ];
    append(backend, id, late).await;
    let now = next + Duration::HOUR;
    let expected = [tasks(80, 850), tasks(80, 900), tasks(100, 1_000)];
    assert_eq!(told_by_watching(backend, id, now, 3).await, expected);
    for _ in 0..3 {
        watch(backend, now).look(STEP).await.unwrap();
    }
    assert_eq!(told(backend, id).await, expected);
}

/// A database that cannot be had: for work of one tenant, or for all but the first.
struct Away<S: ?Sized> {
    db: Arc<dyn UnitOfWork<S>>,
    of: Option<TenantId>,
    asked: AtomicBool,
}

impl<S: ?Sized> Away<S> {
    fn new(db: Arc<dyn UnitOfWork<S>>, of: Option<TenantId>) -> Arc<Self> {
        let asked = AtomicBool::new(false);
        Arc::new(Self { db, of, asked })
    }
}

impl<S: ?Sized> UnitOfWork<S> for Away<S> {
    fn execute(&self, scope: Scope, work: Work<S>) -> BoxFuture<'_, Result<(), StoreError>> {
        let is_first = !self.asked.swap(true, Ordering::Relaxed);
        let is_there = match self.of {
            Some(tenant_id) => scope.tenant_id != Some(tenant_id),
            None => is_first,
        };
        if is_there {
            self.db.execute(scope, work)
        } else {
            Box::pin(async { Err(StoreError::Unavailable("on purpose".to_owned())) })
        }
    }
}

/// A tenant that cannot be looked at keeps nobody else from being told. When it is the database that went away, all is looked at again.
pub async fn a_tenant_that_cannot_be_looked_at_holds_up_nobody(backend: &impl Backend) {
    let slow = tenant_on(backend, "slow", "free").await.tenant_id;
    let other = tenant_on(backend, "other", "free").await.tenant_id;
    let meter = standard_meter(backend, "task_completed").await;
    let at = fixture::at(9);
    let send = async |id: &str| {
        for tenant_id in [slow, other] {
            append(
                backend,
                tenant_id,
                vec![event(&meter, id, fixture::at(1), 425)],
            )
            .await;
        }
    };
    let clock = || Arc::new(Fixed(at));
    let tasks = |threshold, used| ("tasks_per_month".to_owned(), 1_000, threshold, used);

    send("a").await;
    send("b").await;
    let gone = Watch::new(
        Away::new(backend.quota_watch(), None),
        Away::new(backend.billing_of_worker(), Some(slow)),
        clock(),
    );
    // Nothing is seen, and nothing asked for twice, while the transactions of others hold the end back.
    while gone.look(STEP).await.is_ok() {}
    assert_eq!(
        told_by_watching(backend, slow, at, 1).await,
        [tasks(80, 850)]
    );
    assert_eq!(
        told_by_watching(backend, other, at, 1).await,
        [tasks(80, 850)]
    );

    send("c").await;
    let without = Away::new(backend.billing_of_worker(), Some(slow));
    let watch = Watch::new(backend.quota_watch(), without, clock());
    for _ in 0..1_000 {
        watch.look(STEP).await.unwrap();
        if told(backend, other).await.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(
        told(backend, other).await,
        [tasks(80, 850), tasks(100, 1_275)]
    );
    assert_eq!(told(backend, slow).await, [tasks(80, 850)]);
    send("d").await;
    let expected = [tasks(80, 850), tasks(100, 1_700)];
    assert_eq!(told_by_watching(backend, slow, at, 2).await, expected);
}
