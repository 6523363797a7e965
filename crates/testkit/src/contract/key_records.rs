//! `identity::KeyStore`: what signing a key in needs, and leaves.

use identity::{ApiKey, Creator, KeyHash, KeyRecord, KeyUse, PasswordHash, UserStatus};
use kernel::{Permission, PermissionSet, Scope, TenantStatus};

use super::{
    Backend, Seed, fixture,
    keys::{hash, insert, key, read, stored_key},
    people, run,
};

async fn record(backend: &impl Backend, scope: Scope, key: &ApiKey) -> Option<KeyRecord> {
    records(backend, scope, &[key]).await.pop()
}

async fn records(backend: &impl Backend, scope: Scope, keys: &[&ApiKey]) -> Vec<KeyRecord> {
    let key_ids: Vec<String> = keys.iter().map(|key| key.key_id.clone()).collect();
    run(backend.identity(), scope, move |store| {
        store.key_records(&key_ids)
    })
    .await
    .unwrap()
}

/// Each once, of all the tenants that they are of; those that there are not are left out.
pub async fn many_keys_are_found_at_once(backend: &impl Backend) {
    let mut keys = Vec::new();
    for slug in ["acme", "other"] {
        let tenant_id = fixture::stored_tenant(backend, slug).await.id;
        for name in ["ci", "web"] {
            let (key, hash) = key(tenant_id, name);
            insert(backend, &(key.clone(), hash)).await.unwrap();
            keys.push(key);
        }
    }
    let unknown = self::key(keys[0].tenant_id, "unknown").0;
    let asked = [&keys[3], &unknown, &keys[0], &keys[2], &keys[0]];
    let found = records(backend, Scope::global(), &asked).await;
    let mut found: Vec<ApiKey> = found.into_iter().map(|record| record.key).collect();
    found.sort_by_key(|key| keys.iter().position(|it| it == key));
    assert_eq!(found, [keys[0].clone(), keys[2].clone(), keys[3].clone()]);
    assert_eq!(records(backend, Scope::global(), &[]).await, []);
}

/// In whatever tenant the key is and whatever the scope, with where that tenant stands.
pub async fn a_key_is_found_before_its_tenant_is_known(backend: &impl Backend) {
    let mut tenant = fixture::stored_tenant(backend, "acme").await;
    let other = fixture::stored_tenant(backend, "other").await.id;
    let (key, hash) = key(tenant.id, "ci");
    insert(backend, &(key.clone(), hash.clone())).await.unwrap();
    for status in [TenantStatus::Active, TenantStatus::Suspended] {
        tenant.status = status;
        let row = tenant.clone();
        run(backend.tenancy(), Scope::tenant(row.id), move |store| {
            store.set_tenant_status(&row, fixture::at(1))
        })
        .await
        .unwrap();
        let expected = KeyRecord {
            key: key.clone(),
            hash: hash.clone(),
            tenant_status: status,
            creator: None,
        };
        for scope in [Scope::global(), Scope::tenant(other)] {
            let found = record(backend, scope, &key).await;
            assert_eq!(found.as_ref(), Some(&expected));
        }
    }
    let unknown = self::key(tenant.id, "unknown").0;
    assert_eq!(record(backend, Scope::global(), &unknown).await, None);
}

/// A creator counts as they stand now: what their roles allow, and nothing once they are gone.
pub async fn a_key_comes_with_its_creator_as_they_stand_now(backend: &impl Backend) {
    let tenant_id = fixture::stored_tenant(backend, "acme").await.id;
    people::stored_member(backend, tenant_id, "owner", &["owner"]).await;
    let permissions = &["audit.read"];
    backend
        .seed(Seed::CustomRole {
            tenant_id,
            key: "auditor",
            permissions,
        })
        .await;
    let ann = people::stored_member(backend, tenant_id, "ann", &["auditor", "project_viewer"]);
    let ann = ann.await.id;
    let (mut key, hash) = key(tenant_id, "ci");
    key.created_by = Some(ann);
    insert(backend, &(key.clone(), hash)).await.unwrap();
    let creator = async || {
        let found = record(backend, Scope::global(), &key).await;
        found.unwrap().creator.unwrap()
    };
    let codes = [
        "audit.read",
        "project.read",
        "dashboard.read",
        "usage.read",
        "resource.read",
    ];
    let permissions: PermissionSet = codes.map(Permission::of).into_iter().collect();
    let standing = |is_active: bool| Creator {
        is_active,
        permissions: permissions.clone(),
    };
    let gone = Creator {
        is_active: false,
        permissions: PermissionSet::default(),
    };
    assert_eq!(creator().await, standing(true));
    for (status, is_active) in [(UserStatus::Banned, false), (UserStatus::Active, true)] {
        let user_id = ann;
        backend.seed(Seed::UserStatus { user_id, status }).await;
        assert_eq!(creator().await.is_active, is_active);
    }
    let user_id = ann;
    backend.seed(Seed::Suspension { tenant_id, user_id }).await;
    assert_eq!(creator().await, gone);
    people::join(
        backend,
        tenant_id,
        ann,
        &["auditor", "project_viewer"],
        fixture::at(1),
    )
    .await;
    assert_eq!(creator().await, standing(true));
    people::leave(backend, tenant_id, ann).await;
    assert_eq!(creator().await, gone);
}

/// Both kinds of hash survive, and one takes the place of the other; in the key's own tenant only.
pub async fn a_key_is_signed_anew(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let key = stored_key(backend, tenant, "ci").await;
    let text = identity::KeyText::generate(key.mode);
    let imported = KeyHash::Argon2id(PasswordHash::stored("$argon2id$v=19$x".to_owned()));
    let id = key.id;
    let rehash = |scope: Scope, hash: &KeyHash| {
        let hash = hash.clone();
        run(backend.identity(), scope, move |store| {
            store.rehash_key(tenant, id, &hash)
        })
    };
    let peppered = hash(2, &text);
    for hash in [&imported, &peppered] {
        assert_eq!(rehash(Scope::tenant(tenant), hash).await, Ok(()));
        let kept = record(backend, Scope::global(), &key).await.unwrap();
        assert_eq!((&kept.hash, &kept.key), (hash, &key));
    }
    assert_eq!(rehash(Scope::tenant(other), &imported).await, Ok(()));
    let kept = record(backend, Scope::global(), &key).await.unwrap();
    assert_eq!(kept.hash, peppered);
}

/// Of whatever tenants at once, and never backwards.
pub async fn the_time_of_use_never_goes_back(backend: &impl Backend) {
    let mut keys = Vec::new();
    for slug in ["acme", "other"] {
        let tenant = fixture::stored_tenant(backend, slug).await.id;
        keys.push(stored_key(backend, tenant, "ci").await);
    }
    for (seconds, kept) in [
        ([10, 10], [10, 10]),
        ([5, 20], [10, 20]),
        ([11, 20], [11, 20]),
    ] {
        let uses: Vec<KeyUse> = keys
            .iter()
            .zip(seconds)
            .map(|(key, second)| KeyUse {
                tenant_id: key.tenant_id,
                key_id: key.id,
                at: fixture::at(second),
            })
            .collect();
        let written = run(backend.identity(), Scope::global(), move |store| {
            store.touch_keys(&uses)
        });
        assert_eq!(written.await, Ok(()));
        for (key, second) in keys.iter().zip(kept) {
            let found = read(backend, key.tenant_id, key.id).await.unwrap();
            assert_eq!(found.last_used_at, Some(fixture::at(second)));
        }
    }
    let nothing = run(backend.identity(), Scope::global(), |store| {
        store.touch_keys(&[])
    });
    assert_eq!(nothing.await, Ok(()));
}
