//! `identity::Store`: sessions of the built-in log-in.

use identity::{Digest256, RevokeReason, Session, UserStatus};
use kernel::{Scope, SessionId, StoreError, TenantId, UserId};
use time::{Duration, OffsetDateTime};

use super::{Backend, Seed, fixture, people, run};

/// A session that is nowhere yet, for one day.
pub(super) fn session(user_id: UserId) -> Session {
    Session {
        id: SessionId::new(fixture::at(0)),
        user_id,
        family_digest: Digest256::of(b"family"),
        turn_digest: Digest256::of(b"first"),
        created_at: fixture::at(0),
        expires_at: fixture::at(0) + Duration::days(1),
        revoked_at: None,
    }
}

/// A session that is there.
pub(super) async fn stored_session(backend: &impl Backend, user_id: UserId) -> Session {
    let session = session(user_id);
    let row = session.clone();
    run(backend.identity(), Scope::user(user_id), move |store| {
        store.insert_session(&row)
    })
    .await
    .unwrap();
    session
}

/// Everything about a session that can be compared.
type Facts = (
    UserId,
    [Digest256; 2],
    [OffsetDateTime; 2],
    Option<OffsetDateTime>,
    Option<TenantId>,
);

fn facts(session: &Session, last_tenant: Option<TenantId>) -> Facts {
    (
        session.user_id,
        [session.family_digest, session.turn_digest],
        [session.created_at, session.expires_at],
        session.revoked_at,
        last_tenant,
    )
}

async fn found(backend: &impl Backend, id: SessionId) -> Option<Facts> {
    let found = run(backend.identity(), Scope::global(), move |store| {
        store.session(id)
    });
    let found: Result<_, StoreError> = found.await;
    found
        .unwrap()
        .map(|(session, last_tenant)| facts(&session, last_tenant))
}

pub(super) async fn revoke(
    backend: &impl Backend,
    scope: Scope,
    id: SessionId,
    now: OffsetDateTime,
) -> bool {
    run(backend.identity(), scope, move |store| {
        store.revoke_session(id, RevokeReason::Logout, now)
    })
    .await
    .unwrap()
}

async fn turn(
    backend: &impl Backend,
    scope: Scope,
    id: SessionId,
    (from, to): (&[u8], &[u8]),
    now: OffsetDateTime,
) -> bool {
    let (from, to) = (Digest256::of(from), Digest256::of(to));
    run(backend.identity(), scope, move |store| {
        store.turn_session(id, &from, &to, now)
    })
    .await
    .unwrap()
}

/// With the tenant that its owner used last, whether it is over or not; and only while its owner may sign in.
pub async fn a_session_is_found_before_anybody_is_known(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    let mut session = stored_session(backend, ann).await;
    assert_eq!(
        found(backend, session.id).await,
        Some(facts(&session, None))
    );
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let moved = run(backend.identity(), Scope::user(ann), move |store| {
        store.set_last_tenant(ann, tenant)
    });
    assert_eq!(moved.await, Ok(()));
    assert!(revoke(backend, Scope::user(ann), session.id, fixture::at(7)).await);
    session.revoked_at = Some(fixture::at(7));
    for status in UserStatus::ALL {
        let user_id = ann;
        backend.seed(Seed::UserStatus { user_id, status }).await;
        let expected = status.may_sign_in().then(|| facts(&session, Some(tenant)));
        assert_eq!(found(backend, session.id).await, expected, "{status:?}");
    }
    assert_eq!(found(backend, SessionId::new(fixture::at(0))).await, None);
}

/// Only the digest of this moment turns, and only while the session is live.
pub async fn a_turn_is_taken_with_the_current_digest(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    let mut session = stored_session(backend, ann).await;
    let (id, own) = (session.id, Scope::user(ann));
    let at = fixture::at(1);
    for (step, now, turns) in [
        ((&b"never"[..], &b"x"[..]), at, false),
        ((&b"first"[..], &b"second"[..]), at, true),
        ((&b"first"[..], &b"x"[..]), at, false),
        ((&b"second"[..], &b"x"[..]), session.expires_at, false),
        ((&b"second"[..], &b"third"[..]), at, true),
    ] {
        let turned = turn(backend, own.clone(), id, step, now).await;
        assert_eq!(turned, turns, "{step:?}");
    }
    session.turn_digest = Digest256::of(b"third");
    assert_eq!(found(backend, id).await, Some(facts(&session, None)));
    assert!(revoke(backend, own.clone(), id, at).await);
    assert!(!turn(backend, own, id, (b"third", b"fourth"), at).await);
}

/// Of several who show one token at once, one gets through.
pub async fn of_several_turns_at_once_one_is_taken(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    let id = stored_session(backend, ann).await.id;
    let turning: Vec<_> = (0..6_u8)
        .map(|number| {
            let db = backend.identity();
            let (from, to) = (Digest256::of(b"first"), Digest256::of(&[number]));
            tokio::spawn(async move {
                db.run(Scope::user(ann), move |store| {
                    store.turn_session(id, &from, &to, fixture::at(1))
                })
                .await
            })
        })
        .collect();
    let mut turned = 0;
    for outcome in turning {
        let outcome: Result<bool, StoreError> = outcome.await.unwrap();
        turned += u32::from(outcome.unwrap());
    }
    assert_eq!(turned, 1);
}

/// Once; the time of the first end stays. One whose time is over can still be ended.
pub async fn a_session_ends_once(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    let mut session = stored_session(backend, ann).await;
    let (id, own) = (session.id, Scope::user(ann));
    let late = session.expires_at + Duration::days(1);
    assert!(revoke(backend, own.clone(), id, late).await);
    assert!(!revoke(backend, own.clone(), id, late + Duration::days(1)).await);
    session.revoked_at = Some(late);
    assert_eq!(found(backend, id).await, Some(facts(&session, None)));
    assert!(!revoke(backend, own, SessionId::new(fixture::at(0)), late).await);
}

/// A session is opened, turned and ended in its owner's scope, and in nobody else's.
pub async fn sessions_of_another_person_are_out_of_reach(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let ann = people::stored_member(backend, tenant, "ann", &["owner"])
        .await
        .id;
    let bob = people::stored_member(backend, tenant, "bob", &["member"])
        .await
        .id;
    let kept = stored_session(backend, ann).await;
    for scope in [Scope::user(bob), Scope::tenant(tenant), Scope::global()] {
        let row = session(ann);
        let opened = run(backend.identity(), scope.clone(), move |store| {
            store.insert_session(&row)
        });
        let opened = opened.await;
        assert!(
            matches!(opened, Err(StoreError::Unexpected(_))),
            "{opened:?}"
        );
        let step = (&b"first"[..], &b"stolen"[..]);
        assert!(!turn(backend, scope.clone(), kept.id, step, fixture::at(1)).await);
        assert!(!revoke(backend, scope, kept.id, fixture::at(1)).await);
    }
    assert_eq!(found(backend, kept.id).await, Some(facts(&kept, None)));
}
