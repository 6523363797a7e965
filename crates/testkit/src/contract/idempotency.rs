//! `app::idempotency::Store`, and what `kernel::UnitOfWork` promises of a command: whoever lost its lease does not commit.

use app::idempotency::{Answer, LEASE, NewKey, RETENTION, Store, UsedKey};
use kernel::{CommandRef, Scope, StoreError, TenantId, id::uuid_v7};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Backend, fixture, run};

const ADA: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);

fn key(principal_id: Uuid, text: &str) -> NewKey {
    NewKey {
        id: uuid_v7(fixture::at(0)),
        principal_id,
        key: text.to_owned(),
        fingerprint: vec![0, 1, 255],
        lease_until: fixture::at(0) + LEASE,
    }
}

fn used(key: &NewKey) -> UsedKey {
    UsedKey {
        id: key.id,
        fingerprint: key.fingerprint.clone(),
        lease_until: key.lease_until,
        committed: false,
        answer: None,
    }
}

fn answer() -> Answer {
    Answer {
        status: 201,
        headers: vec![
            ("location".to_owned(), "/v1/projects/1".to_owned()),
            ("etag".to_owned(), "\"1\"".to_owned()),
        ],
        body: vec![b'{', 0, 200, b'}'],
    }
}

/// Runs a command in the scope of a principal.
async fn of<T: Send + 'static>(
    backend: &impl Backend,
    principal_id: Uuid,
    command: impl FnOnce(&mut (dyn Store + 'static)) -> Result<T, StoreError> + Send + 'static,
) -> T {
    let scope = Scope {
        principal_id: Some(principal_id),
        ..Scope::global()
    };
    run(backend.idempotency(), scope, command).await.unwrap()
}

async fn reserve(backend: &impl Backend, new: &NewKey, now: OffsetDateTime) -> Option<UsedKey> {
    let new = new.clone();
    of(backend, new.principal_id, move |store| {
        store.reserve(&new, now)
    })
    .await
}

/// What is known of a key, by asking for it under another id.
async fn known(backend: &impl Backend, of: &NewKey) -> Option<UsedKey> {
    let probe = key(of.principal_id, &of.key);
    reserve(backend, &probe, fixture::at(1)).await
}

async fn take_over(backend: &impl Backend, by: Uuid, used: UsedKey, second: i64) -> bool {
    of(backend, by, move |store| {
        store.take_over(&used, fixture::at(second))
    })
    .await
}

async fn complete(backend: &impl Backend, by: Uuid, id: Uuid) {
    of(backend, by, move |store| store.complete(id, &answer())).await;
}

async fn release(backend: &impl Backend, by: Uuid, id: Uuid) {
    of(backend, by, move |store| store.release(id)).await;
}

/// The first gets the key, and who comes after them what is known of it. Another's key of the same text is another key.
pub async fn a_key_is_reserved_once_by_its_principal(backend: &impl Backend) {
    let first = key(ADA, "k");
    assert_eq!(reserve(backend, &first, fixture::at(0)).await, None);
    let mut second = key(ADA, "k");
    second.fingerprint = vec![9];
    let seen = reserve(backend, &second, fixture::at(1)).await;
    assert_eq!(seen, Some(used(&first)));
    for other in [key(ADA, "l"), key(BOB, "k")] {
        assert_eq!(reserve(backend, &other, fixture::at(1)).await, None);
    }
}

/// Of several requests with one key at once, one is the first, and all others learn of that one.
pub async fn one_of_several_requests_is_the_first(backend: &impl Backend) {
    let requests: Vec<_> = (0..8)
        .map(|_| {
            let (store, new) = (backend.idempotency(), key(ADA, "k"));
            let scope = Scope {
                principal_id: Some(ADA),
                ..Scope::global()
            };
            tokio::spawn(async move {
                let id = new.id;
                let seen = store.run(scope, move |store| store.reserve(&new, fixture::at(0)));
                seen.await.map(|seen| (id, seen))
            })
        })
        .collect();
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for request in requests {
        match request.await.unwrap().unwrap() {
            (id, None) => first.push(id),
            (_, Some(seen)) => others.push(seen.id),
        }
    }
    assert_eq!(first.len(), 1);
    assert_eq!(others, vec![first[0]; 7]);
}

/// A key means something for [`RETENTION`]; then it is as good as new.
pub async fn a_key_is_kept_for_its_retention(backend: &impl Backend) {
    let first = key(ADA, "k");
    reserve(backend, &first, fixture::at(0)).await;
    complete(backend, ADA, first.id).await;
    let second = key(ADA, "k");
    let last_day = fixture::at(0) + RETENTION;
    let seen = reserve(backend, &second, last_day).await;
    assert_eq!(seen.map(|seen| seen.id), Some(first.id));
    let day_after = last_day + time::Duration::microseconds(1);
    assert_eq!(reserve(backend, &second, day_after).await, None);
    let seen = reserve(backend, &key(ADA, "k"), day_after).await;
    assert_eq!(seen, Some(used(&second)), "nothing of the first is left");
}

/// An answer is kept byte for byte, and with it the key is nobody's to take over.
pub async fn an_answer_is_kept_as_it_was_given(backend: &impl Backend) {
    let first = key(ADA, "k");
    reserve(backend, &first, fixture::at(0)).await;
    let before = used(&first);
    complete(backend, ADA, first.id).await;
    let expected = UsedKey {
        answer: Some(answer()),
        ..before.clone()
    };
    assert_eq!(known(backend, &first).await, Some(expected));
    assert!(!take_over(backend, ADA, before, 99).await);
}

/// Of several who take a row over, one succeeds; and only from the lease that it was seen under.
pub async fn one_of_several_takes_a_key_over(backend: &impl Backend) {
    let first = key(ADA, "k");
    reserve(backend, &first, fixture::at(0)).await;
    let seen = used(&first);
    let takers: Vec<_> = (1..=8)
        .map(|number| {
            let (store, seen) = (backend.idempotency(), seen.clone());
            let scope = Scope {
                principal_id: Some(ADA),
                ..Scope::global()
            };
            tokio::spawn(async move {
                let until = fixture::at(100 + number);
                let taken = store.run(scope, move |store| store.take_over(&seen, until));
                taken.await.map(|taken| taken.then_some(until))
            })
        })
        .collect();
    let mut winners = Vec::new();
    for taker in takers {
        winners.extend(taker.await.unwrap().unwrap());
    }
    assert_eq!(winners.len(), 1);
    let now = known(backend, &first).await.unwrap();
    assert_eq!((now.id, now.lease_until), (first.id, winners[0]));
    assert!(!take_over(backend, ADA, seen, 200).await);
    assert!(take_over(backend, ADA, now, 200).await);
}

/// A key whose request did nothing is forgotten, and may be used again.
pub async fn a_released_key_is_free(backend: &impl Backend) {
    let first = key(ADA, "k");
    reserve(backend, &first, fixture::at(0)).await;
    release(backend, ADA, first.id).await;
    release(backend, ADA, first.id).await;
    assert!(!take_over(backend, ADA, used(&first), 99).await);
    assert_eq!(known(backend, &first).await, None);
}

/// Nobody reaches another's keys, and nobody reserves for another.
pub async fn keys_of_another_principal_are_not_there(backend: &impl Backend) {
    let first = key(ADA, "k");
    reserve(backend, &first, fixture::at(0)).await;
    complete(backend, BOB, first.id).await;
    release(backend, BOB, first.id).await;
    assert!(!take_over(backend, BOB, used(&first), 99).await);
    assert_eq!(known(backend, &first).await, Some(used(&first)));
    let scope = Scope {
        principal_id: Some(BOB),
        ..Scope::global()
    };
    let forged = run(backend.idempotency(), scope, |store| {
        store.reserve(&key(ADA, "l"), fixture::at(0))
    });
    let forged = forged.await;
    assert!(
        matches!(forged, Err(StoreError::Unexpected(_))),
        "{forged:?}"
    );
}

fn command(key: &NewKey) -> CommandRef {
    CommandRef {
        id: key.id,
        principal_id: key.principal_id,
        lease_until: key.lease_until,
    }
}

/// Makes a tenant, as the command of a key.
async fn carry_out(
    backend: &impl Backend,
    command: CommandRef,
    slug: &str,
    outcome: Result<(), StoreError>,
) -> (TenantId, Result<(), StoreError>) {
    let tenant = fixture::tenant(slug);
    let id = tenant.id;
    let scope = Scope {
        command: Some(command),
        ..Scope::tenant(id)
    };
    let done = run(backend.tenants(), scope, move |store| {
        store.insert_tenant(&tenant)?;
        outcome
    });
    (id, done.await)
}

async fn is_there(backend: &impl Backend, id: TenantId) -> bool {
    let tenant = run(backend.tenants(), Scope::tenant(id), move |store| {
        store.tenant(id)
    });
    tenant.await.unwrap().is_some()
}

/// The commit that does the work marks its key. Then nobody takes it over, and it is not forgotten.
pub async fn a_commit_marks_its_key(backend: &impl Backend) {
    let first = key(ADA, "k");
    reserve(backend, &first, fixture::at(0)).await;
    let failed = Err(StoreError::Unexpected("no".to_owned()));
    let (id, done) = carry_out(backend, command(&first), "acme", failed.clone()).await;
    assert_eq!(
        (done, is_there(backend, id).await),
        (failed, false),
        "the command's own error"
    );
    assert_eq!(known(backend, &first).await, Some(used(&first)));

    let (id, done) = carry_out(backend, command(&first), "acme", Ok(())).await;
    assert_eq!((done, is_there(backend, id).await), (Ok(()), true));
    let committed = UsedKey {
        committed: true,
        ..used(&first)
    };
    assert_eq!(known(backend, &first).await, Some(committed.clone()));
    assert!(!take_over(backend, ADA, committed.clone(), 99).await);
    release(backend, ADA, first.id).await;
    assert_eq!(known(backend, &first).await, Some(committed));
}

/// Whoever was taken over, whose key is gone, or who names another's, does not commit: nothing of their work is left.
pub async fn whoever_lost_the_lease_does_not_commit(backend: &impl Backend) {
    let first = key(ADA, "k");
    reserve(backend, &first, fixture::at(0)).await;
    let lost = command(&first);
    assert!(take_over(backend, ADA, used(&first), 99).await);
    let held = CommandRef {
        lease_until: fixture::at(99),
        ..lost.clone()
    };
    let stolen = CommandRef {
        principal_id: BOB,
        ..held.clone()
    };
    let forgotten = command(&key(ADA, "l"));
    for (slug, command) in [("lost", lost), ("stolen", stolen), ("forgotten", forgotten)] {
        let (id, done) = carry_out(backend, command, slug, Ok(())).await;
        assert!(
            matches!(&done, Err(error) if error.conflicts_with("idempotency_lease")),
            "{slug}: {done:?}"
        );
        assert!(!is_there(backend, id).await, "{slug}");
    }
    assert!(!known(backend, &first).await.unwrap().committed);
    let (id, done) = carry_out(backend, held, "held", Ok(())).await;
    assert_eq!((done, is_there(backend, id).await), (Ok(()), true));
}
