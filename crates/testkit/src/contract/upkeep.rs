//! `app::upkeep::Upkeep`: what is found and cleaned up across tenants.

use std::time::Duration;

use app::{
    idempotency::NewKey,
    queue::{Claim, Failure, NewJob},
    upkeep::Upkeep,
};
use audit::Fact;
use billing::{Outcome, PlanChange, PlanRef, Reservation, Subscription};
use identity::{RevokeReason, Session};
use kernel::{
    Clock, ReservationId, Scope, StoreError, SystemClock, TenantId, TenantStatus, id::uuid_v7,
};
use serde_json::json;
use tenancy::InvitationStatus;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Backend, BillingSeed, fixture, invitations, people, run, sessions,
    subscribed::{tenant_on, within},
};

async fn upkeep<T: Send + 'static>(
    backend: &impl Backend,
    scope: Scope,
    command: impl FnOnce(&mut (dyn Upkeep + 'static)) -> Result<T, StoreError> + Send + 'static,
) -> T {
    run(backend.upkeep(), scope, command).await.unwrap()
}

/// A tenant that has had a status since an instant.
async fn tenant_since(
    backend: &impl Backend,
    slug: &str,
    status: TenantStatus,
    second: i64,
) -> TenantId {
    let mut tenant = fixture::stored_tenant(backend, slug).await;
    let id = tenant.id;
    tenant.status = status;
    let set = run(backend.tenants(), Scope::tenant(id), move |store| {
        store.set_tenant_status(&tenant, fixture::at(second))
    });
    set.await.unwrap();
    id
}

fn an_hour_from(now: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
    (now - time::Duration::HOUR, now + time::Duration::HOUR)
}

/// Invitations that are pending though over, the longest in front, whichever tenant's they are.
pub async fn expired_invitations_are_found(backend: &impl Backend) {
    let a = fixture::stored_tenant(backend, "acme").await.id;
    let b = fixture::stored_tenant(backend, "other").await.id;
    let mut ids = Vec::new();
    for (tenant_id, name, expires, status) in [
        (a, "third", 30, InvitationStatus::Pending),
        (b, "first", 10, InvitationStatus::Pending),
        (a, "second", 20, InvitationStatus::Pending),
        (a, "revoked", 5, InvitationStatus::Revoked),
        (b, "accepted", 6, InvitationStatus::Accepted),
        (b, "expired", 7, InvitationStatus::Expired),
    ] {
        let email = format!("{name}@example.com");
        let mut one = invitations::invitation(tenant_id, &email);
        one.expires_at = fixture::at(expires);
        invitations::insert(backend, &one).await.unwrap();
        one.status = status;
        invitations::update(backend, &one).await.unwrap();
        ids.push((tenant_id, one.id));
    }
    let (third, first, second) = (ids[0], ids[1], ids[2]);
    let expired = |at: i64, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.expired_invitations(fixture::at(at), limit)
        })
    };
    assert_eq!(expired(9, 9).await, []);
    assert_eq!(expired(10, 9).await, [first]);
    assert_eq!(expired(99, 9).await, [first, second, third]);
    assert_eq!(expired(99, 2).await, [first, second]);
}

/// Trials that had ended, the first to end in front, of tenants that are on trial still.
pub async fn ended_trials_are_found(backend: &impl Backend) {
    let mut trials = Vec::new();
    for (slug, status, ends) in [
        ("third", TenantStatus::Trial, 30),
        ("first", TenantStatus::Trial, 10),
        ("second", TenantStatus::Trial, 20),
        ("paid", TenantStatus::Active, 5),
    ] {
        let id = tenant_since(backend, slug, status, 0).await;
        let seed = BillingSeed::TrialEnd(id, fixture::at(ends));
        backend.seed_billing(seed).await;
        trials.push(id);
    }
    tenant_since(backend, "endless", TenantStatus::Trial, 0).await;
    let [third, first, second, paid] = trials[..] else {
        unreachable!();
    };
    let ended = |at: i64, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.ended_trials(fixture::at(at), limit)
        })
    };
    assert_eq!(ended(9, 9).await, []);
    assert_eq!(ended(20, 9).await, [first, second]);
    assert_eq!(ended(99, 9).await, [first, second, third]);
    assert_eq!(ended(99, 2).await, [first, second]);

    let has_ended = |scope, id, at: i64| {
        upkeep(backend, scope, move |store| {
            store.trial_has_ended(id, fixture::at(at))
        })
    };
    assert!(!has_ended(Scope::tenant(first), first, 9).await);
    assert!(has_ended(Scope::tenant(first), first, 10).await);
    assert!(!has_ended(Scope::tenant(second), first, 10).await);
    assert!(!has_ended(Scope::tenant(paid), paid, 10).await);
}

/// Tenants that have been frozen long, the longest in front; one that was frozen anew is counted anew.
pub async fn long_frozen_tenants_are_found(backend: &impl Backend) {
    let second = tenant_since(backend, "second", TenantStatus::Frozen, 20).await;
    let first = tenant_since(backend, "first", TenantStatus::Frozen, 10).await;
    let active = tenant_since(backend, "active", TenantStatus::Active, 5).await;
    let frozen = |since: i64, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.long_frozen_tenants(fixture::at(since), limit)
        })
    };
    assert_eq!(frozen(9, 9).await, []);
    assert_eq!(frozen(10, 9).await, [first]);
    assert_eq!(frozen(99, 9).await, [first, second]);
    assert_eq!(frozen(99, 1).await, [first]);

    let is_frozen = |scope, id, since: i64| {
        upkeep(backend, scope, move |store| {
            store.is_long_frozen(id, fixture::at(since))
        })
    };
    assert!(!is_frozen(Scope::tenant(first), first, 9).await);
    assert!(is_frozen(Scope::tenant(first), first, 10).await);
    assert!(!is_frozen(Scope::tenant(second), first, 10).await);
    assert!(!is_frozen(Scope::tenant(active), active, 10).await);
}

fn change(code: &str, second: i64) -> PlanChange {
    PlanChange {
        plan: PlanRef {
            code: code.to_owned(),
            version: 1,
        },
        effective_at: fixture::at(second),
    }
}

/// A tenant on the free plan that ordered another one for later.
async fn ordered_for(backend: &impl Backend, slug: &str, second: i64) -> Subscription {
    let mut one = tenant_on(backend, slug, "free").await;
    one.pending = Some(change("pro", second));
    let row = one.clone();
    let saved = within(backend, one.tenant_id, move |store| {
        store.save_subscription(&row)
    });
    saved.await.unwrap();
    one
}

/// The tenant's subscription, the plans it has had, and the code that the tenant carries.
async fn standing(
    backend: &impl Backend,
    one: &Subscription,
) -> (Option<Subscription>, Vec<PlanChange>, String) {
    let (id, row) = (one.tenant_id, one.clone());
    let now = within(backend, id, move |store| {
        let changes = store.plan_changes(&row)?;
        Ok::<_, StoreError>((store.subscription(id)?, changes))
    });
    let tenant = run(backend.tenants(), Scope::tenant(id), move |store| {
        store.tenant(id)
    });
    let ((subscription, changes), tenant) = (now.await.unwrap(), tenant.await.unwrap());
    (subscription, changes, tenant.unwrap().plan_code)
}

/// What was ordered for later and is due becomes history and the tenant's plan, once, the longest due first.
pub async fn due_plan_changes_are_written_down(backend: &impl Backend) {
    let later = ordered_for(backend, "later", 90).await;
    let mut second = ordered_for(backend, "second", 20).await;
    let mut first = ordered_for(backend, "first", 10).await;
    let apply = |at: i64, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.apply_due_plan_changes(fixture::at(at), limit)
        })
    };
    assert_eq!(apply(9, 9).await, 0);
    let unmoved = |one: &Subscription| {
        let code = "free".to_owned();
        (Some(one.clone()), vec![change("free", 0)], code)
    };
    assert_eq!(standing(backend, &first).await, unmoved(&first));
    assert_eq!(apply(20, 1).await, 1);
    assert_eq!(standing(backend, &second).await, unmoved(&second));
    assert_eq!((apply(20, 9).await, apply(20, 9).await), (1, 0));
    assert_eq!(standing(backend, &later).await, unmoved(&later));
    for (one, moved_at) in [(&mut first, 10), (&mut second, 20)] {
        let moved = change("pro", moved_at);
        (one.plan, one.pending) = (moved.plan.clone(), None);
        let history = vec![change("free", 0), moved];
        let expected = (Some(one.clone()), history, "pro".to_owned());
        assert_eq!(standing(backend, one).await, expected);
    }
}

/// Keys that were made before an instant are forgotten, whoever's they are, the oldest first.
pub async fn old_idempotency_keys_are_deleted(backend: &impl Backend) {
    let reserve = |number: u128, second: i64| {
        let new = NewKey {
            id: uuid_v7(fixture::at(0)),
            principal_id: Uuid::from_u128(number),
            key: "k".to_owned(),
            fingerprint: Vec::new(),
            lease_until: fixture::at(second),
        };
        let scope = Scope {
            principal_id: Some(new.principal_id),
            ..Scope::global()
        };
        run(backend.idempotency(), scope, move |store| {
            store.reserve(&new, fixture::at(second))
        })
    };
    for (number, second) in [(1, 10), (2, 20), (3, 30)] {
        assert_eq!(reserve(number, second).await, Ok(None));
    }
    let delete = |before: i64, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.delete_idempotency_keys(fixture::at(before), limit)
        })
    };
    assert_eq!(delete(10, 9).await, 0);
    assert_eq!(delete(30, 1).await, 1);
    assert_eq!(reserve(1, 30).await, Ok(None), "the oldest is gone");
    assert!(reserve(2, 30).await.unwrap().is_some());
    assert_eq!((delete(30, 9).await, delete(30, 9).await), (1, 0));
    assert!(reserve(3, 30).await.unwrap().is_some());
}

/// Sessions are forgotten some time after they expired, revoked or not and whosever they are, the oldest first; what ended early waits for
/// its deadline.
pub async fn sessions_that_are_over_are_deleted(backend: &impl Backend) {
    let mut stored = Vec::new();
    for (name, expires, is_revoked) in [
        ("second", 20, true),
        ("first", 10, false),
        ("live", 99, false),
        ("revoked", 99, true),
    ] {
        let user_id = people::stored_user(backend, name).await.id;
        let row = Session {
            expires_at: fixture::at(expires),
            ..sessions::session(user_id)
        };
        let id = row.id;
        let written = run(backend.identity(), Scope::user(user_id), move |store| {
            store.insert_session(&row)?;
            if is_revoked {
                store.revoke_session(id, RevokeReason::Logout, fixture::at(1))?;
            }
            Ok::<_, StoreError>(())
        });
        written.await.unwrap();
        stored.push(id);
    }
    let delete = |before: i64, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.delete_sessions(fixture::at(before), limit)
        })
    };
    let are_there = || async {
        let mut there = Vec::new();
        for id in stored.clone() {
            let found = run(backend.identity(), Scope::global(), move |store| {
                store.session(id)
            });
            let found: Result<_, StoreError> = found.await;
            there.push(found.unwrap().is_some());
        }
        there
    };
    assert_eq!(delete(10, 9).await, 0);
    assert_eq!(delete(30, 1).await, 1);
    assert_eq!(are_there().await, [true, false, true, true]);
    assert_eq!((delete(30, 9).await, delete(30, 9).await), (1, 0));
    assert_eq!(are_there().await, [false, false, true, true]);
}

/// A reservation with a lease until an instant, finished at another one.
async fn reserved(
    backend: &impl Backend,
    tenant_id: TenantId,
    expires: i64,
    finished: Option<i64>,
) -> ReservationId {
    let one = Reservation {
        id: ReservationId::new(fixture::at(0)),
        tenant_id,
        key: "jobs".to_owned(),
        quantity: 1,
        outcome: Outcome::Open,
        expires_at: fixture::at(expires),
        created_at: fixture::at(0),
    };
    let id = one.id;
    let written = within(backend, tenant_id, move |store| {
        store.insert_reservation(&one)?;
        let Some(second) = finished else {
            return Ok(());
        };
        let one = Reservation {
            outcome: Outcome::Released,
            ..one
        };
        store.finish_reservation(&one, fixture::at(second))
    });
    written.await.unwrap();
    id
}

/// Reservations are forgotten some time after they were over: finished, or their lease run out, whichever tenant's they are.
pub async fn reservations_that_are_over_are_deleted(backend: &impl Backend) {
    let a = tenant_on(backend, "acme", "free").await.tenant_id;
    let b = tenant_on(backend, "other", "free").await.tenant_id;
    let ids = [
        (a, reserved(backend, a, 10, None).await, false),
        (b, reserved(backend, b, 99, Some(20)).await, false),
        (a, reserved(backend, a, 5, Some(40)).await, true),
        (b, reserved(backend, b, 30, None).await, true),
    ];
    let delete = |before: i64, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.delete_reservations(fixture::at(before), limit)
        })
    };
    assert_eq!(delete(10, 9).await, 0);
    assert_eq!((delete(30, 1).await, delete(30, 9).await), (1, 1));
    assert_eq!(delete(30, 9).await, 0);
    for (tenant_id, id, there) in ids {
        let found = within(backend, tenant_id, move |store| {
            store.reservation_for_update(tenant_id, id)
        });
        assert_eq!(found.await.unwrap().is_some(), there);
    }
}

/// Jobs that are done and jobs that are dead are kept for times of their own; others stay.
pub async fn finished_jobs_are_deleted(backend: &impl Backend) {
    let claim = Claim {
        queue: "default".to_owned(),
        kinds: vec!["probe".to_owned()],
        limit: 5,
        lease: Duration::from_secs(60),
    };
    let prepared = run(backend.worker(), Scope::global(), move |store| {
        for _ in 0..6 {
            store.enqueue(NewJob::new("probe", None, json!({}), fixture::at(0)))?;
        }
        let jobs = store.claim(&claim)?;
        let leases: Vec<_> = jobs.iter().map(|job| job.lease).collect();
        store.complete(&leases[..2])?;
        let failures = leases[2..4].iter().map(|lease| Failure {
            lease: *lease,
            error: "no".to_owned(),
            retry_after: None,
        });
        let failures: Vec<_> = failures.collect();
        store.fail(&failures)
    });
    assert_eq!(prepared.await.unwrap().len(), 2);
    let (before, after) = an_hour_from(SystemClock.now());
    let delete = |done, dead, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.delete_finished_jobs(done, dead, limit)
        })
    };
    assert_eq!(delete(before, before, 9).await, 0);
    assert_eq!(delete(after, before, 1).await, 1);
    assert_eq!(delete(after, before, 9).await, 1, "the dead stay");
    assert_eq!(delete(before, after, 9).await, 2);
    assert_eq!(delete(after, after, 9).await, 0, "one runs, one waits");
}

/// Facts that were relayed are forgotten some time after; those that wait are not, however old they are.
pub async fn relayed_facts_are_deleted(backend: &impl Backend) {
    let id = fixture::stored_tenant(backend, "acme").await.id;
    let published = run(backend.audit(), Scope::tenant(id), move |store| {
        (0..4).try_for_each(|second| {
            store.publish(Fact {
                tenant_id: id,
                topic: "tenancy.renamed",
                key: None,
                payload: json!(second),
                occurred_at: fixture::at(second),
            })
        })
    });
    published.await.unwrap();
    let relayed = run(backend.outbox(), Scope::global(), |store| {
        let facts = store.unrelayed(3)?;
        store.mark_relayed(&facts)
    });
    relayed.await.unwrap();
    let (before, after) = an_hour_from(SystemClock.now());
    let delete = |at, limit| {
        upkeep(backend, Scope::global(), move |store| {
            store.delete_relayed_facts(at, limit)
        })
    };
    assert_eq!(delete(before, 9).await, 0);
    assert_eq!((delete(after, 2).await, delete(after, 9).await), (2, 1));
    assert_eq!(delete(after, 9).await, 0);
    let waiting = run(backend.outbox(), Scope::global(), |store| {
        store.unrelayed(9)
    });
    let waiting = waiting.await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].payload, json!(3));
}

/// Who has just made the partitions of the trail has none to make.
pub async fn partitions_are_made_once(backend: &impl Backend) {
    let make = || {
        upkeep(backend, Scope::global(), |store| {
            store.ensure_audit_partitions()
        })
    };
    make().await;
    assert_eq!(make().await, 0);
}
