//! `identity::KeyStore`: keys of a tenant, as it manages them. What signing in needs has a suite of its own.

use identity::{ApiKey, EnvironmentRef, KeyHash, KeyMode, KeyText, Pepper, Peppers};
use kernel::{
    ApiKeyId, EnvironmentId, Name, PageRequest, Permission, ProjectId, Scope, StoreError, TenantId,
    UserId,
};
use time::Duration;

use super::{
    Backend, fixture, people,
    projects::{add_environment, environment, stored_project},
    run,
};

/// A key that is nowhere yet, of nobody, and what is kept of its text.
pub(super) fn key(tenant_id: TenantId, name: &str) -> (ApiKey, KeyHash) {
    let (key, text) = fixture::key(tenant_id, name);
    (key, hash(1, &text))
}

pub(super) fn hash(version: i16, text: &KeyText) -> KeyHash {
    let pepper = Pepper {
        version,
        key: vec![7; 32].into(),
    };
    Peppers::new(vec![pepper]).unwrap().hash(text)
}

pub(super) async fn insert(
    backend: &impl Backend,
    (key, hash): &(ApiKey, KeyHash),
) -> Result<(), StoreError> {
    let (key, hash) = (key.clone(), hash.clone());
    run(
        backend.identity(),
        Scope::tenant(key.tenant_id),
        move |store| store.insert_key(&key, &hash),
    )
    .await
}

/// A key that is there.
pub(super) async fn stored_key(backend: &impl Backend, tenant_id: TenantId, name: &str) -> ApiKey {
    let key = key(tenant_id, name);
    insert(backend, &key).await.unwrap();
    key.0
}

pub(super) async fn read(
    backend: &impl Backend,
    tenant_id: TenantId,
    id: ApiKeyId,
) -> Option<ApiKey> {
    run(backend.identity(), Scope::tenant(tenant_id), move |store| {
        store.key(tenant_id, id)
    })
    .await
    .unwrap()
}

async fn update(backend: &impl Backend, key: &ApiKey) -> Result<(), StoreError> {
    let row = key.clone();
    run(
        backend.identity(),
        Scope::tenant(row.tenant_id),
        move |store| store.update_key(&row),
    )
    .await
}

/// Every field survives; an update writes how the key ended, and nothing else.
pub async fn a_key_is_read_back_as_it_was_written(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let ann = people::stored_user(backend, "ann").await.id;
    let project = stored_project(backend, tenant, "rockets").await.id;
    let environment = environment(project, "qa");
    add_environment(backend, tenant, &environment)
        .await
        .unwrap();
    let first = stored_key(backend, tenant, "first").await;
    let (mut second, hash) = key(tenant, "second");
    second.mode = KeyMode::Test;
    second.scopes = ["project.*", "usage.read"]
        .map(Permission::of)
        .into_iter()
        .collect();
    second.project_id = Some(project);
    second.environment_id = Some(environment.id);
    second.created_by = Some(ann);
    second.expires_at = Some(fixture::at(90));
    second.rotated_from = Some(first.id);
    insert(backend, &(second.clone(), hash)).await.unwrap();
    for key in [&first, &second] {
        assert_eq!(read(backend, tenant, key.id).await.as_ref(), Some(key));
    }
    second.revoked_at = Some(fixture::at(3));
    second.revoked_reason = Some("lost".to_owned());
    second.overlap_until = Some(fixture::at(4));
    let mut row = second.clone();
    row.name = Name::parse("name", "other").unwrap();
    row.scopes = [Permission::of("*")].into_iter().collect();
    row.expires_at = None;
    row.last_used_at = Some(fixture::at(5));
    update(backend, &row).await.unwrap();
    assert_eq!(read(backend, tenant, second.id).await, Some(second));
    assert_eq!(
        read(backend, tenant, ApiKeyId::new(fixture::at(0))).await,
        None
    );
}

/// One that was ended or rotated gives its name up, and does not get it back. Another tenant may use the same.
pub async fn a_name_is_one_usable_keys(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    stored_key(backend, other, "ci").await;
    let mut first = stored_key(backend, tenant, "ci").await;
    let inserted = insert(backend, &key(tenant, "ci")).await;
    first.overlap_until = Some(fixture::at(9));
    update(backend, &first).await.unwrap();
    let mut second = stored_key(backend, tenant, "ci").await;
    second.revoked_at = Some(fixture::at(2));
    update(backend, &second).await.unwrap();
    stored_key(backend, tenant, "ci").await;
    first.overlap_until = None;
    let updated = update(backend, &first).await;
    for outcome in [inserted, updated] {
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with("api_keys_live_name_key")),
            "{outcome:?}"
        );
    }
}

/// Over the whole deployment: it is what a key is looked up by before its tenant is known.
pub async fn a_public_name_is_one_keys(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let first = stored_key(backend, tenant, "first").await;
    for tenant in [tenant, other] {
        let (mut second, hash) = key(tenant, "second");
        second.key_id.clone_from(&first.key_id);
        let inserted = insert(backend, &(second, hash)).await;
        assert!(
            matches!(&inserted, Err(error) if error.conflicts_with("api_keys_key_id_key")),
            "{inserted:?}"
        );
    }
}

/// What a key is for is its own tenant's.
pub async fn a_key_points_at_its_own_tenant_alone(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let project = stored_project(backend, other, "rockets").await.id;
    let environment = environment(project, "qa");
    add_environment(backend, other, &environment).await.unwrap();
    let foreign = stored_key(backend, other, "foreign").await.id;
    let (plain, hash) = key(tenant, "ci");
    for (constraint, key) in [
        (
            "api_keys_tenant_id_project_id_fkey",
            ApiKey {
                project_id: Some(project),
                ..plain.clone()
            },
        ),
        (
            "api_keys_tenant_id_environment_id_fkey",
            ApiKey {
                environment_id: Some(environment.id),
                ..plain.clone()
            },
        ),
        (
            "api_keys_tenant_id_rotated_from_fkey",
            ApiKey {
                rotated_from: Some(foreign),
                ..plain.clone()
            },
        ),
        (
            "api_keys_created_by_fkey",
            ApiKey {
                created_by: Some(UserId::new(fixture::at(0))),
                ..plain.clone()
            },
        ),
    ] {
        let inserted = insert(backend, &(key, hash.clone())).await;
        assert!(
            matches!(&inserted, Err(error) if error.conflicts_with(constraint)),
            "{inserted:?}"
        );
    }
    assert_eq!(insert(backend, &(plain, hash)).await, Ok(()));
}

/// By time, then by id; one more than the page holds. Ended ones are listed; a project's keys are its own.
pub async fn keys_come_newest_first_a_page_at_a_time(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let project = stored_project(backend, tenant, "rockets").await.id;
    let mut all = Vec::new();
    for (name, second) in [("a", 3), ("b", 1), ("c", 3), ("d", 2), ("e", 3)] {
        let (mut key, hash) = key(tenant, name);
        key.created_at = fixture::at(second);
        key.project_id = (name < "c").then_some(project);
        key.revoked_at = (name == "d").then(|| fixture::at(9));
        insert(backend, &(key.clone(), hash)).await.unwrap();
        all.push(key);
    }
    all.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
    let page = |project: Option<ProjectId>, after: Option<&ApiKey>| {
        let after = after.map(|key| (key.created_at, key.id));
        let page = PageRequest {
            limit: 2,
            cursor: None,
        };
        run(backend.identity(), Scope::tenant(tenant), move |store| {
            store.keys(tenant, project, &page, after)
        })
    };
    assert_eq!(page(None, None).await, Ok(all[..3].to_vec()));
    assert_eq!(page(None, Some(&all[1])).await, Ok(all[2..].to_vec()));
    assert_eq!(page(None, Some(&all[4])).await, Ok(vec![]));
    let of_project: Vec<ApiKey> = all
        .iter()
        .filter(|key| key.project_id == Some(project))
        .cloned()
        .collect();
    assert_eq!(page(Some(project), None).await, Ok(of_project.clone()));
    assert_eq!(
        page(Some(project), Some(&of_project[0])).await,
        Ok(of_project[1..].to_vec())
    );
}

/// Those that were not revoked, also when their time is over or another took their place.
pub async fn keys_of_a_leaver_are_found(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let ann = people::stored_user(backend, "ann").await.id;
    let bob = people::stored_user(backend, "bob").await.id;
    let mut expected = Vec::new();
    for (name, creator) in [
        ("usable", Some(ann)),
        ("expired", Some(ann)),
        ("rotated", Some(ann)),
        ("revoked", Some(ann)),
        ("anothers", Some(bob)),
        ("nobodys", None),
    ] {
        let (mut key, hash) = key(tenant, name);
        key.created_by = creator;
        key.expires_at = (name == "expired").then(|| fixture::at(1));
        key.overlap_until = (name == "rotated").then(|| fixture::at(1));
        key.revoked_at = (name == "revoked").then(|| fixture::at(1));
        insert(backend, &(key.clone(), hash)).await.unwrap();
        if creator == Some(ann) && name != "revoked" {
            expected.push(key);
        }
    }
    let found = run(backend.identity(), Scope::tenant(tenant), move |store| {
        store.lock_keys_of(tenant, ann)
    });
    let mut found = found.await.unwrap();
    found.sort_by_key(|key| key.id);
    expected.sort_by_key(|key| key.id);
    assert_eq!(found, expected);
}

/// Whoever holds the key decides on what the one before them left.
pub async fn those_who_lock_a_key_take_turns(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let id = stored_key(backend, tenant, "ci").await.id;
    let rotating: Vec<_> = (0..6)
        .map(|_| {
            let db = backend.identity();
            tokio::spawn(async move {
                db.run(Scope::tenant(tenant), move |store| {
                    let key = store.lock_key(tenant, id)?;
                    let Some(mut key) = key.filter(|key| key.overlap_until.is_none()) else {
                        return Ok::<_, StoreError>(false);
                    };
                    key.overlap_until = Some(fixture::at(0) + Duration::days(1));
                    store.update_key(&key)?;
                    Ok(true)
                })
                .await
            })
        })
        .collect();
    let mut rotated = 0;
    for outcome in rotating {
        rotated += u32::from(outcome.await.unwrap().unwrap());
    }
    assert_eq!(rotated, 1);
}

/// By id from anywhere in the tenant, by name in the key's project only.
pub async fn an_environment_is_found_by_id_or_by_name(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let rockets = stored_project(backend, tenant, "rockets").await.id;
    let boats = stored_project(backend, tenant, "boats").await.id;
    let qa = environment(rockets, "qa");
    add_environment(backend, tenant, &qa).await.unwrap();
    let (by_id, by_name) = (
        EnvironmentRef::Id(qa.id),
        EnvironmentRef::Name("qa".to_owned()),
    );
    let unknown = EnvironmentRef::Id(EnvironmentId::new(fixture::at(0)));
    for (of, project, wanted, is_found) in [
        (tenant, None, &by_id, true),
        (tenant, Some(boats), &by_id, true),
        (tenant, Some(rockets), &by_name, true),
        (tenant, Some(boats), &by_name, false),
        (tenant, None, &by_name, false),
        (tenant, None, &unknown, false),
        (other, None, &by_id, false),
        (other, Some(rockets), &by_name, false),
    ] {
        let asked = wanted.clone();
        let found = run(backend.identity(), Scope::tenant(of), move |store| {
            store.environment(of, project, &asked)
        });
        let expected = is_found.then_some((qa.id, rockets));
        assert_eq!(found.await, Ok(expected), "{wanted:?} in {project:?}");
    }
    for (of, id, is_there) in [
        (tenant, rockets, true),
        (tenant, ProjectId::new(fixture::at(0)), false),
        (other, rockets, false),
    ] {
        let found = run(backend.identity(), Scope::tenant(of), move |store| {
            store.has_project(of, id)
        });
        assert_eq!(found.await, Ok(is_there));
    }
}

/// Nothing of another tenant is read, added or changed.
pub async fn keys_of_another_tenant_are_out_of_reach(backend: &impl Backend) {
    let (own, other) = (
        fixture::stored_tenant(backend, "own").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let ann = people::stored_user(backend, "ann").await.id;
    let project = stored_project(backend, other, "rockets").await.id;
    let (mut kept, hash) = key(other, "ci");
    kept.created_by = Some(ann);
    insert(backend, &(kept.clone(), hash)).await.unwrap();
    for scope in [Scope::tenant(own), Scope::user(ann), Scope::global()] {
        let (mut changed, id) = (kept.clone(), kept.id);
        changed.revoked_at = Some(fixture::at(1));
        let reached = run(backend.identity(), scope.clone(), move |store| {
            store.update_key(&changed)?;
            Ok::<_, StoreError>((
                store.key(other, id)?,
                store.lock_key(other, id)?,
                store.keys(other, None, &PageRequest::first(), None)?,
                store.lock_keys_of(other, ann)?,
                store.has_project(other, project)?,
            ))
        });
        assert_eq!(reached.await, Ok((None, None, vec![], vec![], false)));
        let (row, hash) = key(other, "mine");
        let added = run(backend.identity(), scope, move |store| {
            store.insert_key(&row, &hash)
        });
        let added = added.await;
        assert!(matches!(added, Err(StoreError::Unexpected(_))), "{added:?}");
    }
    assert_eq!(read(backend, other, kept.id).await, Some(kept));
}
