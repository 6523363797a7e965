//! What the identity ports promise, and whose rows they reach.

use std::sync::Arc;

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use identity::{
    ApiKey, Digest256, Email, ExternalIdentity, KeyHash, KeyReader as _, KeyText, KeyUse, Pepper,
    Peppers, RevokeReason, Session, Store, User, UserStatus,
};
use kernel::{Name, PageRequest, Scope, SessionId, StoreError, TenantId, UnitOfWork, UserId};
use pg::PgKeyReader;
use testkit::{TestDb, contract::fixture};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

struct World {
    db: TestDb,
    uow: Arc<dyn UnitOfWork<dyn Store>>,
    tenant_id: TenantId,
    ada: User,
    bob: User,
}

fn user(name: &str) -> User {
    User {
        id: UserId::new(NOW),
        email: Email::parse("email", &format!("{name}@example.com")).unwrap(),
        email_verified: false,
        name: None,
        status: UserStatus::Active,
        last_tenant_id: None,
        created_at: NOW,
    }
}

fn key(tenant_id: TenantId, creator: Option<UserId>) -> (ApiKey, KeyText) {
    let (key, text) = fixture::key(tenant_id, "ci");
    let key = ApiKey {
        name: Name::parse("name", text.key_id()).unwrap(),
        created_by: creator,
        created_at: NOW,
        ..key
    };
    (key, text)
}

fn peppers(version: i16) -> Peppers {
    Peppers::new(vec![Pepper {
        version,
        key: vec![7; 32].into(),
    }])
    .unwrap()
}

impl World {
    async fn new() -> Self {
        let db = TestDb::create().await;
        let tenant_id = TenantId::new(NOW);
        let sql = format!(
            "insert into tenants (id, slug, name, status) values ('{tenant_id}', 'acme', 'Acme', 'active')"
        );
        let url = db.owner_url();
        let insert = move || {
            PgConnection::establish(&url)
                .unwrap()
                .batch_execute(&sql)
                .unwrap();
        };
        tokio::task::spawn_blocking(insert).await.unwrap();
        let uow: Arc<dyn UnitOfWork<dyn Store>> = db.pg().unit_of_work(|tx| tx);
        let world = Self {
            db,
            uow,
            tenant_id,
            ada: user("ada"),
            bob: user("bob"),
        };
        for user in [world.ada.clone(), world.bob.clone()] {
            world
                .run(Scope::user(user.id), move |store| store.insert_user(&user))
                .await
                .unwrap();
        }
        world
    }

    async fn run<T: Send + 'static>(
        &self,
        scope: Scope,
        work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.uow.run(scope, move |store| work(store)).await
    }

    async fn add_key(&self, creator: Option<UserId>) -> (ApiKey, KeyText) {
        let (key, text) = key(self.tenant_id, creator);
        let (row, hash) = (key.clone(), peppers(1).hash(&text));
        self.run(Scope::tenant(self.tenant_id), move |store| {
            store.insert_key(&row, &hash)
        })
        .await
        .unwrap();
        (key, text)
    }
}

#[tokio::test]
async fn an_address_and_an_identity_belong_to_one_user() {
    let world = World::new().await;
    let again = User {
        email: world.ada.email.clone(),
        ..user("x")
    };
    let taken = world
        .run(Scope::user(again.id), move |store| {
            store.insert_user(&again)
        })
        .await;
    assert!(taken.unwrap_err().conflicts_with("users_email_key"));

    let name = ExternalIdentity {
        issuer: "https://a".into(),
        subject: "1".into(),
    };
    for (user, free) in [(world.ada.id, true), (world.bob.id, false)] {
        let name = name.clone();
        let linked = world
            .run(Scope::user(user), move |store| {
                store.link_identity(user, &name, NOW)
            })
            .await;
        match linked {
            Ok(()) => assert!(free),
            Err(error) => assert!(!free && error.conflicts_with("user_identities_pkey")),
        }
    }
}

#[tokio::test]
async fn nobody_reaches_another_persons_rows() {
    let world = World::new().await;
    let (ada, bob) = (world.ada.id, world.bob.id);
    let seen = world
        .run(Scope::user(bob), move |store| store.user(ada))
        .await
        .unwrap();
    assert_eq!(seen, None);
    let name = ExternalIdentity {
        issuer: "https://a".into(),
        subject: "1".into(),
    };
    let linked = world
        .run(Scope::user(bob), move |store| {
            store.link_identity(ada, &name, NOW)
        })
        .await;
    assert!(linked.is_err());
    let session = Session {
        id: SessionId::new(NOW),
        user_id: ada,
        family_digest: Digest256::of(b"family"),
        turn_digest: Digest256::of(b"turn"),
        created_at: NOW,
        expires_at: NOW + Duration::days(1),
        revoked_at: None,
    };
    let id = session.id;
    let row = session.clone();
    world
        .run(Scope::user(ada), move |store| store.insert_session(&row))
        .await
        .unwrap();
    let revoke = move |store: &mut dyn Store| store.revoke_session(id, RevokeReason::Logout, NOW);
    assert!(!world.run(Scope::user(bob), revoke).await.unwrap());
    assert!(world.run(Scope::user(ada), revoke).await.unwrap());
    assert!(
        !world.run(Scope::user(ada), revoke).await.unwrap(),
        "it was over already"
    );
}

#[tokio::test]
async fn a_turn_is_taken_once() {
    let world = World::new().await;
    let session = Session {
        id: SessionId::new(NOW),
        user_id: world.ada.id,
        family_digest: Digest256::of(b"family"),
        turn_digest: Digest256::of(b"1"),
        created_at: NOW,
        expires_at: NOW + Duration::days(1),
        revoked_at: None,
    };
    let (id, row) = (session.id, session.clone());
    let scope = Scope::user(world.ada.id);
    world
        .run(scope.clone(), move |store| store.insert_session(&row))
        .await
        .unwrap();
    let turn = |from: &'static [u8], to: &'static [u8], at| {
        let (from, to) = (Digest256::of(from), Digest256::of(to));
        world.run(scope.clone(), move |store| {
            store.turn_session(id, &from, &to, at)
        })
    };
    assert!(turn(b"1", b"2", NOW).await.unwrap());
    assert!(!turn(b"1", b"3", NOW).await.unwrap());
    assert!(turn(b"2", b"3", NOW).await.unwrap());
    assert!(
        !turn(b"3", b"4", NOW + Duration::days(1)).await.unwrap(),
        "it has expired"
    );
}

#[tokio::test]
async fn keys_are_found_before_a_tenant_is_known_and_listed_in_theirs_alone() {
    let world = World::new().await;
    let (key, text) = world.add_key(Some(world.ada.id)).await;
    let key_ids = [text.key_id().to_owned()];
    let record = world
        .run(Scope::global(), move |store| store.key_records(&key_ids))
        .await;
    let record = record.unwrap().pop().unwrap();
    assert_eq!(record.key, key);
    assert!(
        !record.creator.unwrap().is_active,
        "the creator is no member"
    );
    let (tenant_id, page) = (world.tenant_id, PageRequest::first());
    let list = move |store: &mut dyn Store| store.keys(tenant_id, None, &page, None);
    let own = world
        .run(Scope::tenant(tenant_id), list.clone())
        .await
        .unwrap();
    assert_eq!(own, [key]);
    let other = Scope::tenant(TenantId::new(NOW));
    assert_eq!(world.run(other, list).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_together_and_everybody_is_told_of_their_own() {
    let world = World::new().await;
    let reader = Arc::new(PgKeyReader::new(&world.db.pg()));
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(world.add_key(None).await.0);
    }
    let asking = (0..400).map(|number| {
        let (reader, key) = (Arc::clone(&reader), keys[number % keys.len()].clone());
        tokio::spawn(async move {
            let found = reader.key_record(&key.key_id).await.unwrap().unwrap();
            assert_eq!(found.key, key);
            assert_eq!(reader.key_record("unknown").await.unwrap(), None);
        })
    });
    let asking: Vec<_> = asking.collect();
    // Somebody who goes away takes nobody along.
    asking[0].abort();
    for asked in asking.into_iter().skip(1) {
        asked.await.unwrap();
    }
}

#[test]
fn keys_are_read_after_a_runtime_ends_in_the_middle_of_it() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    let world = first.block_on(World::new());
    let (key, _) = first.block_on(world.add_key(None));
    let reader = Arc::new(PgKeyReader::new(&world.db.pg()));
    for _ in 0..8 {
        let (other, reader, key_id) = (runtime(), Arc::clone(&reader), key.key_id.clone());
        other.spawn(async move { reader.key_record(&key_id).await });
        std::thread::sleep(std::time::Duration::from_micros(300));
        other.shutdown_background();
    }
    // Whoever waited for a reader that was taken away is told so, and asks again.
    let found = (0..10).find_map(|_| first.block_on(reader.key_record(&key.key_id)).ok());
    assert_eq!(found.flatten().map(|record| record.key), Some(key));
}

#[tokio::test]
async fn a_key_is_signed_anew_and_an_imported_hash_is_read() {
    let world = World::new().await;
    let (key, text) = world.add_key(None).await;
    let imported = KeyHash::Argon2id(identity::PasswordHash::stored("$argon2id$x".into()));
    for hash in [imported, peppers(2).hash(&text)] {
        let (tenant_id, id, kept) = (key.tenant_id, key.id, hash.clone());
        let rehash = move |store: &mut dyn Store| store.rehash_key(tenant_id, id, &kept);
        world.run(Scope::tenant(tenant_id), rehash).await.unwrap();
        let key_ids = [text.key_id().to_owned()];
        let found = world
            .run(Scope::global(), move |store| store.key_records(&key_ids))
            .await;
        assert_eq!(found.unwrap().pop().unwrap().hash, hash);
    }
}

#[tokio::test]
async fn the_time_of_use_never_goes_back() {
    let world = World::new().await;
    let (key, _) = world.add_key(None).await;
    for (seconds, kept) in [(10, 10), (5, 10), (20, 20)] {
        let at = NOW + Duration::seconds(seconds);
        let used = KeyUse {
            tenant_id: key.tenant_id,
            key_id: key.id,
            at,
        };
        world
            .run(Scope::global(), move |store| store.touch_keys(&[used]))
            .await
            .unwrap();
        let (tenant_id, id) = (key.tenant_id, key.id);
        let found = world
            .run(Scope::tenant(tenant_id), move |store| {
                store.key(tenant_id, id)
            })
            .await;
        assert_eq!(
            found.unwrap().unwrap().last_used_at,
            Some(NOW + Duration::seconds(kept))
        );
    }
}
