//! `billing::Resources`.

use billing::Resource;
use kernel::{PageRequest, StoreError, TenantId};

use super::{
    Backend, fixture,
    subscribed::{tenant_on, within},
};

fn thing(tenant_id: TenantId, kind: &str, name: &str) -> Resource {
    Resource {
        tenant_id,
        kind: kind.to_owned(),
        external_id: name.to_owned(),
        created_at: fixture::at(3),
    }
}

async fn insert(backend: &impl Backend, one: Resource) -> Result<(), StoreError> {
    within(backend, one.tenant_id, move |store| {
        store.insert_resource(&one)
    })
    .await
}

async fn page(
    backend: &impl Backend,
    scope: TenantId,
    tenant_id: TenantId,
    after: Option<&'static str>,
) -> Vec<String> {
    let request = PageRequest {
        limit: 2,
        ..PageRequest::first()
    };
    let things = within(backend, scope, move |store| {
        store.resources(tenant_id, "agents", &request, after)
    });
    let things = things.await.unwrap();
    things.into_iter().map(|one| one.external_id).collect()
}

/// A thing is found by kind and name, once; its second registration is a conflict, until it was removed.
pub async fn a_thing_is_there_until_it_is_removed(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let one = thing(id, "agents", "ägt/1");
    let find = |kind: &'static str, name: &'static str| {
        within(backend, id, move |store| store.resource(id, kind, name))
    };
    let remove = || {
        within(backend, id, move |store| {
            store.delete_resource(id, "agents", "ägt/1")
        })
    };
    assert_eq!(remove().await, Ok(false));
    insert(backend, one.clone()).await.unwrap();
    assert_eq!(find("agents", "ägt/1").await, Ok(Some(one.clone())));
    assert_eq!(find("agents", "ägt/2").await, Ok(None));
    assert_eq!(find("widgets", "ägt/1").await, Ok(None));
    let again = insert(backend, one.clone()).await;
    assert!(
        matches!(&again, Err(error) if error.conflicts_with("resources_pkey")),
        "{again:?}"
    );
    insert(backend, thing(id, "widgets", "ägt/1"))
        .await
        .unwrap();

    assert_eq!((remove().await, remove().await), (Ok(true), Ok(false)));
    assert_eq!(find("agents", "ägt/1").await, Ok(None));
    insert(backend, one).await.unwrap();
}

/// Names sort by byte, not by any language, a page at a time and one more.
pub async fn things_are_listed_by_the_bytes_of_their_names(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    for name in ["b", "é", "B", "a-b", "a b", "a"] {
        insert(backend, thing(id, "agents", name)).await.unwrap();
    }
    insert(backend, thing(id, "widgets", "c")).await.unwrap();
    assert_eq!(page(backend, id, id, None).await, ["B", "a", "a b"]);
    assert_eq!(page(backend, id, id, Some("a")).await, ["a b", "a-b", "b"]);
    assert_eq!(page(backend, id, id, Some("a-b")).await, ["b", "é"]);
    assert_eq!(page(backend, id, id, Some("é")).await, [""; 0]);
}

/// Things of another tenant are not there, and neither is a tenant that nobody made.
pub async fn things_of_another_tenant_are_not_there(backend: &impl Backend) {
    let id = tenant_on(backend, "acme", "free").await.tenant_id;
    let stranger = tenant_on(backend, "other", "free").await.tenant_id;
    insert(backend, thing(id, "agents", "a")).await.unwrap();
    insert(backend, thing(stranger, "agents", "b"))
        .await
        .unwrap();
    let found = within(backend, stranger, move |store| {
        let deleted = store.delete_resource(id, "agents", "a")?;
        Ok::<_, StoreError>((deleted, store.resource(id, "agents", "a")?))
    });
    assert_eq!(found.await, Ok((false, None)));
    assert_eq!(page(backend, stranger, id, None).await, [""; 0]);
    assert_eq!(page(backend, id, id, None).await, ["a"]);

    let added = within(backend, stranger, move |store| {
        store.insert_resource(&thing(id, "agents", "c"))
    });
    let added = added.await;
    assert!(matches!(added, Err(StoreError::Unexpected(_))), "{added:?}");
    let nobody = TenantId::new(fixture::at(1));
    let added = insert(backend, thing(nobody, "agents", "c")).await;
    assert!(
        matches!(&added, Err(error) if error.conflicts_with("resources_tenant_id_fkey")),
        "{added:?}"
    );
}
