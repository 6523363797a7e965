//! What an `Idempotency-Key` stood for.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use kernel::{Clock, CommandRef, Principal, Scope, StoreError, UnitOfWork, id::uuid_v7};
use sha2::Sha256;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long the first request may run before another may take its place, if nothing was committed by then. Whoever lost their place
/// cannot commit any more.
pub const LEASE: Duration = Duration::seconds(15);
/// How long an answer is kept.
pub const RETENTION: Duration = Duration::hours(24);

/// An answer, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to the answer and not to the connection.
    pub headers: Vec<(String, String)>,
    /// The body, without what is shown once.
    pub body: Vec<u8>,
}

/// A key that somebody wants to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Id of the row.
    pub id: Uuid,
    /// Whose key it is.
    pub principal_id: Uuid,
    /// The key.
    pub key: String,
    /// Keyed digest of method, path, tenant and body.
    pub fingerprint: Vec<u8>,
    /// Until when the request may run.
    pub lease_until: OffsetDateTime,
}

impl NewKey {
    /// The reference that the transaction which does the work carries: row `id`, under this lease.
    fn command(&self, id: Uuid) -> CommandRef {
        CommandRef {
            id,
            principal_id: self.principal_id,
            lease_until: self.lease_until,
        }
    }
}

/// A key that was used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedKey {
    /// Id of the row.
    pub id: Uuid,
    /// Keyed digest of the first request.
    pub fingerprint: Vec<u8>,
    /// Until when the first request may run.
    pub lease_until: OffsetDateTime,
    /// Whether its work was committed.
    pub committed: bool,
    /// Its answer.
    pub answer: Option<Answer>,
}

/// Keys, as the store keeps them. A transaction reaches the keys of the principal in its scope, and no others.
pub trait Store {
    /// Adds a key. `None` means that it is ours now; otherwise the row that is there. A row older than [`RETENTION`] is replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    fn reserve(&mut self, key: &NewKey, now: OffsetDateTime)
    -> Result<Option<UsedKey>, StoreError>;

    /// Takes over a row whose lease ended with nothing committed and no answer kept. MUST let one of several callers succeed.
    ///
    /// # Errors
    /// [`StoreError`].
    fn take_over(
        &mut self,
        used: &UsedKey,
        lease_until: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Keeps the answer.
    ///
    /// # Errors
    /// [`StoreError`].
    fn complete(&mut self, id: Uuid, answer: &Answer) -> Result<(), StoreError>;

    /// Forgets a key whose request did nothing. One whose work was committed stays.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release(&mut self, id: Uuid) -> Result<(), StoreError>;
}

/// Whether a request is the first with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// It is: do the work under this reference.
    First(CommandRef),
    /// It is not.
    Seen(Outcome),
}

/// What became of the first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered(Answer),
    /// It was another request.
    OtherRequest,
    /// It still runs, or crashed less than [`LEASE`] ago.
    Running,
    /// Its work was committed, and its answer lost in a crash.
    CommittedUnanswered,
}

/// Reserves keys and keeps answers.
#[derive(Clone)]
pub struct Idempotency {
    db: Arc<dyn UnitOfWork<dyn Store>>,
    clock: Arc<dyn Clock>,
    secret: Arc<[u8]>,
}

impl Idempotency {
    /// Over `db`. `secret` keys the digests of bodies, which may hold passwords.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Store>>, clock: Arc<dyn Clock>, secret: &[u8]) -> Self {
        Self {
            db,
            clock,
            secret: secret.into(),
        }
    }

    /// Reserves `key` for the request to `target` with `body`, or says what became of the first one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reserve(
        &self,
        by: &Principal,
        key: String,
        target: &str,
        body: &[u8],
    ) -> Result<Reservation, StoreError> {
        let now = self.clock.now();
        // One person may send the same body to two of their tenants.
        let tenant = by
            .grant
            .as_ref()
            .map_or(Uuid::nil(), |grant| grant.tenant_id.as_uuid());
        let new = NewKey {
            id: uuid_v7(now),
            principal_id: self.owner(by, &key),
            fingerprint: self.digest(&[target.as_bytes(), tenant.as_bytes(), body]),
            key,
            lease_until: now + LEASE,
        };
        let scope = Scope {
            principal_id: Some(new.principal_id),
            ..Scope::default()
        };
        self.db
            .run(scope, move |store| {
                let Some(used) = store.reserve(&new, now)? else {
                    return Ok(Reservation::First(new.command(new.id)));
                };
                if used.fingerprint != new.fingerprint {
                    return Ok(Reservation::Seen(Outcome::OtherRequest));
                }
                Ok(match (used.answer.clone(), used.committed) {
                    (Some(answer), _) => Reservation::Seen(Outcome::Answered(answer)),
                    // Between the commit and the answer: whoever does the work is about to give it.
                    (None, true) if used.lease_until > now => Reservation::Seen(Outcome::Running),
                    (None, true) => Reservation::Seen(Outcome::CommittedUnanswered),
                    (None, false)
                        if used.lease_until > now
                            || !store.take_over(&used, new.lease_until)? =>
                    {
                        Reservation::Seen(Outcome::Running)
                    }
                    (None, false) => Reservation::First(new.command(used.id)),
                })
            })
            .await
    }

    /// Keeps the answer of a request that was the first with its key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn complete(&self, command: &CommandRef, answer: Answer) -> Result<(), StoreError> {
        let id = command.id;
        self.db
            .run(Self::scope(command), move |store| {
                store.complete(id, &answer)
            })
            .await
    }

    /// Forgets a key whose request failed before it did anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release(&self, command: &CommandRef) -> Result<(), StoreError> {
        let id = command.id;
        self.db
            .run(Self::scope(command), move |store| store.release(id))
            .await
    }

    fn scope(command: &CommandRef) -> Scope {
        Scope {
            principal_id: Some(command.principal_id),
            ..Scope::default()
        }
    }

    /// Keys of those who have not signed in belong to nobody: each key is an owner of its own.
    fn owner(&self, by: &Principal, key: &str) -> Uuid {
        if !by.id.is_nil() {
            return by.id;
        }
        let digest = self.digest(&[b"anonymous", key.as_bytes()]);
        Uuid::from_slice(digest.get(..16).unwrap_or_default()).unwrap_or_default()
    }

    /// Digest over length-prefixed parts, so that no two lists of parts look the same.
    fn digest(&self, parts: &[&[u8]]) -> Vec<u8> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else {
            return Vec::new();
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }
}
