//! What the database knows of somebody, kept for as long as it is known to be so.
//!
//! Entries die with their time, and when the database rings the bell for their tenant or their user. While it is not certain that every
//! bell of the last second was heard they live no longer than that, and while nobody listens nothing is kept at all. An answer that was on
//! its way when the bell rang is not kept either: each entry knows when its load began, and a bell that rang since makes it worthless.
//!
//! So what was taken away is refused within a second, however long entries live.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use identity::{ExternalIdentity, KeyRecord, OrgClaim, UserAccess};
use kernel::{SessionId, TenantId};
use moka::future::Cache;
use uuid::Uuid;

/// How long what is known of a user lives: their session ends by itself, and their name changes without a bell.
const USER_TTL: Duration = Duration::from_secs(1);
/// How long what is known of a key lives: the bell rings for all of it, and its end is checked with each request.
const KEY_TTL: Duration = Duration::from_secs(30);
/// How old the news may be that no bell was missed.
const CERTAINTY: Duration = Duration::from_secs(1);
/// Entries at most, of a little over a kilobyte each.
const CAPACITY: u64 = 30_000;
/// Bells remembered one by one. When there are more, for instance because members are imported, all that is kept becomes worthless at once,
/// and no bell need be remembered: so a flood costs little, and nobody waits for it.
const BELLS: usize = 4096;

/// What was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, in the tenant that they name or would be given.
    User {
        /// Who.
        identity: ExternalIdentity,
        /// In which session.
        session_id: Option<SessionId>,
        /// The tenant of the request.
        tenant_id: Option<TenantId>,
        /// The organisation of the token.
        org: Option<OrgClaim>,
    },
    /// A key, by the SHA-256 of its whole text: the secret was compared when the entry was made.
    Key([u8; 32]),
}

/// What was found.
#[derive(Debug, Clone)]
pub enum Access {
    /// A user.
    User(UserAccess),
    /// A key.
    Key(KeyRecord),
}

impl Access {
    const fn ttl(&self) -> Duration {
        match self {
            Self::User(_) => USER_TTL,
            Self::Key(_) => KEY_TTL,
        }
    }
}

struct Entry {
    access: Arc<Access>,
    /// Whose bell makes it worthless.
    ids: Vec<Uuid>,
    /// Bells that had rung when its load began.
    began: u64,
    /// When its load began.
    asked_at: Instant,
}

struct Shared {
    entries: Cache<Subject, Arc<Entry>>,
    /// Counts bells. A load begins after the bells counted so far.
    rung: AtomicU64,
    /// Everything that began before this many bells is worthless.
    floor: AtomicU64,
    bells: RwLock<HashMap<Uuid, u64>>,
    made: Instant,
    /// Until when every bell is certain to be heard, in milliseconds after `made`; 0 while nobody listens.
    certain: AtomicU64,
}

/// What is heard of the bell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bell {
    /// Whether it can be heard from now on.
    Listening(bool),
    /// Every bell that rang before this instant was heard.
    Heard(Instant),
    /// It rang, for the tenant or user in the payload.
    Rang(String),
}

/// The cache of one process.
#[derive(Clone)]
pub struct AccessCache(Arc<Shared>);

impl Default for AccessCache {
    fn default() -> Self {
        Self::new()
    }
}

impl AccessCache {
    /// An empty cache, of no use until somebody [listens](AccessCache::listening).
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            entries: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(KEY_TTL)
                .build(),
            rung: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            bells: RwLock::default(),
            made: Instant::now(),
            certain: AtomicU64::new(0),
        }))
    }

    /// Ears for the bell: told of it, they pass it on to this cache, and say whether the cache is still there.
    pub fn ears(&self) -> impl Fn(Bell) -> bool + Send + Sync + use<> {
        let shared = Arc::downgrade(&self.0);
        move |bell| {
            let Some(shared) = shared.upgrade() else {
                return false;
            };
            match bell {
                Bell::Listening(listening) => Self(shared).listening(listening),
                Bell::Heard(until) => Self(shared).heard(until),
                Bell::Rang(payload) => Self(shared).ring(&payload),
            }
            true
        }
    }

    /// Says whether bells are heard from now on. What was kept before is dropped either way: a bell may have been missed.
    pub fn listening(&self, listening: bool) {
        let now = self.0.rung.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.floor.store(now, Ordering::SeqCst);
        if listening {
            self.heard(Instant::now());
        } else {
            self.0.certain.store(0, Ordering::SeqCst);
        }
    }

    /// Says that every bell was heard that rang before this instant: nothing is kept for long unless that is said again and again.
    pub fn heard(&self, until: Instant) {
        let certain = (until + CERTAINTY).saturating_duration_since(self.0.made);
        let certain = u64::try_from(certain.as_millis()).unwrap_or(u64::MAX);
        self.0.certain.store(certain, Ordering::SeqCst);
    }

    fn is_listening(&self) -> bool {
        self.0.certain.load(Ordering::SeqCst) > 0
    }

    fn is_certain(&self) -> bool {
        self.0.made.elapsed() < Duration::from_millis(self.0.certain.load(Ordering::SeqCst))
    }

    /// The bell rang for a tenant or a user: the payload of a notification on `plinth_access`. One that cannot be read concerns everybody.
    pub fn ring(&self, payload: &str) {
        let now = self.0.rung.fetch_add(1, Ordering::SeqCst) + 1;
        let Ok(id) = Uuid::try_parse(payload) else {
            self.0.floor.store(now, Ordering::SeqCst);
            return;
        };
        let mut bells = self.0.bells.write().unwrap_or_else(PoisonError::into_inner);
        bells.insert(id, now);
        if bells.len() > BELLS {
            // Under the lock: whoever finds no bells finds this.
            self.0.floor.store(now, Ordering::SeqCst);
            bells.clear();
        }
    }

    /// What is known of `subject`: from the cache, or by `load`.
    ///
    /// # Errors
    /// Those of `load`; failures are not kept.
    pub async fn get<E>(
        &self,
        subject: Subject,
        load: impl Future<Output = Result<Access, E>>,
    ) -> Result<Arc<Access>, E> {
        if !self.is_listening() {
            return load.await.map(Arc::new);
        }
        if let Some(entry) = self.0.entries.get(&subject).await
            && self.is_current(&entry)
        {
            return Ok(Arc::clone(&entry.access));
        }
        let (began, asked_at) = (self.0.rung.load(Ordering::SeqCst), Instant::now());
        let access = Arc::new(load.await?);
        let entry = Arc::new(Entry {
            ids: ids(&subject, &access),
            access: Arc::clone(&access),
            began,
            asked_at,
        });
        if self.is_current(&entry) {
            self.0.entries.insert(subject, entry).await;
        }
        Ok(access)
    }

    fn is_current(&self, entry: &Entry) -> bool {
        // The floor is read under the lock as it is written there, or bells that were forgotten could be missed.
        let bells = self.0.bells.read().unwrap_or_else(PoisonError::into_inner);
        let age = entry.asked_at.elapsed();
        age < entry.access.ttl()
            && (age < CERTAINTY || self.is_certain())
            && entry.began >= self.0.floor.load(Ordering::SeqCst)
            && entry
                .ids
                .iter()
                .all(|id| bells.get(id).is_none_or(|rung| *rung <= entry.began))
    }
}

fn ids(subject: &Subject, access: &Access) -> Vec<Uuid> {
    match (subject, access) {
        (_, Access::Key(record)) => {
            let creator = record.key.created_by.map(Uuid::from);
            creator
                .into_iter()
                .chain([record.key.tenant_id.into()])
                .collect()
        }
        (Subject::User { tenant_id, .. }, Access::User(access)) => {
            let found = access
                .membership
                .as_ref()
                .map(|membership| membership.tenant_id);
            let tenants = [*tenant_id, found].into_iter().flatten().map(Uuid::from);
            tenants.chain([access.user.id.into()]).collect()
        }
        (Subject::Key(_), Access::User(access)) => vec![access.user.id.into()],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use identity::{Digest256, Email, KeyHash, User, UserStatus};
    use kernel::{PermissionSet, TenantStatus, UserId};
    use testkit::contract::fixture;
    use time::macros::datetime;

    use super::*;

    fn access(user: UserId) -> Access {
        Access::User(UserAccess {
            user: User {
                id: user,
                email: Email::parse("email", "ada@example.com").unwrap(),
                email_verified: true,
                name: None,
                status: UserStatus::Active,
                last_tenant_id: None,
                created_at: datetime!(2026-03-01 12:00 UTC),
            },
            session_is_live: true,
            global: PermissionSet::default(),
            claimed_tenant_id: None,
            membership: None,
        })
    }

    fn key_access(tenant_id: TenantId) -> Access {
        Access::Key(KeyRecord {
            key: fixture::key(tenant_id, "ci").0,
            hash: KeyHash::Hmac {
                version: 1,
                code: Digest256::of(b""),
            },
            tenant_status: TenantStatus::Active,
            creator: None,
        })
    }

    struct Counted {
        is_key: bool,
        cache: AccessCache,
        user: UserId,
        tenant: TenantId,
        loads: AtomicUsize,
    }

    impl Counted {
        fn new() -> Self {
            let now = datetime!(2026-03-01 12:00 UTC);
            let cache = AccessCache::new();
            cache.listening(true);
            Self {
                is_key: false,
                cache,
                user: UserId::new(now),
                tenant: TenantId::new(now),
                loads: AtomicUsize::new(0),
            }
        }

        async fn ask(&self, while_loading: impl FnOnce()) -> usize {
            let subject = Subject::User {
                identity: ExternalIdentity {
                    issuer: "i".into(),
                    subject: "s".into(),
                },
                session_id: None,
                tenant_id: Some(self.tenant),
                org: None,
            };
            let load = async {
                self.loads.fetch_add(1, Ordering::SeqCst);
                while_loading();
                Ok::<_, ()>(if self.is_key {
                    key_access(self.tenant)
                } else {
                    access(self.user)
                })
            };
            self.cache.get(subject, load).await.unwrap();
            self.loads.load(Ordering::SeqCst)
        }
    }

    #[actix_web::test]
    async fn a_warm_entry_costs_no_load_until_the_bell_rings() {
        let counted = Counted::new();
        assert_eq!(counted.ask(|| ()).await, 1);
        assert_eq!(counted.ask(|| ()).await, 1);
        counted.cache.ring(&Uuid::nil().to_string());
        assert_eq!(counted.ask(|| ()).await, 1, "somebody else's bell");
        counted.cache.ring(&counted.user.to_string());
        assert_eq!(counted.ask(|| ()).await, 2);
        counted.cache.ring(&counted.tenant.to_string());
        assert_eq!(counted.ask(|| ()).await, 3);
        counted.cache.ring("not a uuid");
        assert_eq!(counted.ask(|| ()).await, 4);
    }

    #[actix_web::test]
    async fn a_flood_of_bells_is_not_remembered_one_by_one() {
        let counted = Counted::new();
        let ring = |bells: usize| {
            for number in 0..bells {
                counted
                    .cache
                    .ring(&Uuid::from_u128(number as u128).to_string());
            }
        };
        counted.ask(|| ()).await;
        ring(BELLS);
        assert_eq!(counted.ask(|| ()).await, 1);
        counted.cache.ring(&counted.user.to_string());
        assert_eq!(
            counted.ask(|| ()).await,
            2,
            "one too many: all is forgotten"
        );
        assert!(counted.cache.0.bells.read().unwrap().is_empty());
        assert_eq!(counted.ask(|| ()).await, 2);
        ring(BELLS + 1);
        let asked = counted.ask(|| ring(BELLS + 1)).await;
        assert_eq!(asked, 3, "nobody knows whose bells they were");
        assert_eq!(counted.ask(|| ()).await, 4, "nor whose overtook the answer");
        assert_eq!(counted.ask(|| ()).await, 4);
    }

    #[actix_web::test]
    async fn an_answer_that_the_bell_overtook_is_not_kept() {
        let counted = Counted::new();
        assert_eq!(
            counted
                .ask(|| counted.cache.ring(&counted.tenant.to_string()))
                .await,
            1
        );
        assert_eq!(counted.ask(|| ()).await, 2);
        assert_eq!(counted.ask(|| ()).await, 2);
    }

    #[actix_web::test]
    async fn nothing_is_kept_while_nobody_listens() {
        let counted = Counted::new();
        counted.ask(|| ()).await;
        counted.cache.listening(false);
        assert_eq!(counted.ask(|| ()).await, 2);
        assert_eq!(counted.ask(|| ()).await, 3);
        counted.cache.listening(true);
        assert_eq!(
            counted.ask(|| ()).await,
            4,
            "what was kept before is not trusted"
        );
        assert_eq!(counted.ask(|| ()).await, 4);
    }

    #[actix_web::test]
    async fn what_is_known_of_a_user_lives_for_a_second() {
        let counted = Counted::new();
        counted.ask(|| ()).await;
        tokio::time::sleep(USER_TTL + Duration::from_millis(50)).await;
        counted.cache.heard(Instant::now());
        assert_eq!(counted.ask(|| ()).await, 2);
        assert_eq!(counted.ask(|| ()).await, 2);
    }

    #[actix_web::test]
    async fn what_is_known_of_a_key_outlives_a_second_only_while_every_bell_is_heard() {
        let counted = Counted {
            is_key: true,
            ..Counted::new()
        };
        let second = Duration::from_millis(1_050);
        assert_eq!(counted.ask(|| ()).await, 1);
        tokio::time::sleep(second).await;
        assert_eq!(counted.ask(|| ()).await, 2, "a bell may have been missed");
        assert_eq!(counted.ask(|| ()).await, 2, "as young as news may be old");
        tokio::time::sleep(second).await;
        counted.cache.heard(Instant::now());
        assert_eq!(counted.ask(|| ()).await, 2, "and none was");
        counted.cache.ring(&counted.tenant.to_string());
        assert_eq!(counted.ask(|| ()).await, 3);
    }
}
