//! `tenancy::TenantStore`.

use kernel::{Name, Scope, StoreError, TenantId, TenantStatus, Zone};
use tenancy::{Slug, Tenant};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Backend, fixture, run};

/// Every field survives, and each write changes what it says and nothing else.
pub async fn a_tenant_is_read_back_as_it_was_written(backend: &impl Backend) {
    let mut tenant = fixture::stored_tenant(backend, "acme").await;
    let id = tenant.id;
    let tenants = backend.tenants();
    tenant.name = Name::parse("name", "Acme & Söhne").unwrap();
    tenant.slug = Slug::parse("acme-sons").unwrap();
    tenant.timezone = Zone::parse("timezone", "Asia/Kathmandu").unwrap();
    tenant.version = 2;
    let mut row = tenant.clone();
    // `update_tenant` does not move the status.
    row.status = TenantStatus::Frozen;
    let read = tenants
        .run(Scope::tenant(id), move |store| {
            store.update_tenant(&row)?;
            store.tenant_for_update(id)
        })
        .await;
    assert_eq!(read, Ok(Some(tenant.clone())));

    tenant.status = TenantStatus::Frozen;
    tenant.status_reason = Some("unpaid".to_owned());
    tenant.version = 3;
    let mut row = tenant.clone();
    row.name = Name::parse("name", "Other").unwrap();
    let read = tenants
        .run(Scope::tenant(id), move |store| {
            store.set_tenant_status(&row, fixture::at(5))?;
            store.tenant(id)
        })
        .await;
    assert_eq!(read, Ok(Some(tenant.clone())));

    tenant.status = TenantStatus::Deleted;
    let read = tenants
        .run(Scope::tenant(id), move |store| {
            store.set_tenant_status(&tenant, fixture::at(6))?;
            Ok::<_, StoreError>((store.tenant(id)?, store.tenant_for_update(id)?))
        })
        .await;
    assert_eq!(read, Ok((None, None)), "a deleted tenant is not there");
}

/// A second tenant of a slug is a conflict that names the constraint, on insert and on update.
pub async fn a_slug_belongs_to_one_tenant(backend: &impl Backend) {
    fixture::stored_tenant(backend, "acme").await;
    let other = fixture::stored_tenant(backend, "other").await;
    let second = fixture::tenant("acme");
    let mut renamed = other.clone();
    renamed.slug = second.slug.clone();
    let tenants = backend.tenants();
    let inserted = tenants
        .run(Scope::tenant(second.id), move |store| {
            store.insert_tenant(&second)
        })
        .await;
    let updated = tenants
        .run(Scope::tenant(other.id), move |store| {
            store.update_tenant(&renamed)
        })
        .await;
    for outcome in [inserted, updated] {
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with("tenants_slug_key")),
            "{outcome:?}"
        );
    }
}

async fn is_free(backend: &impl Backend, slug: &'static str, tenant: TenantId) -> bool {
    let slug = Slug::parse(slug).unwrap();
    let tenants = backend.tenants();
    tenants
        .run(Scope::global(), move |store| {
            store.slug_is_free(&slug, tenant)
        })
        .await
        .unwrap()
}

/// What a tenant has or gave up lately is free for itself only.
#[expect(
    clippy::disallowed_methods,
    reason = "the ninety days are counted by the store's own clock"
)]
pub async fn a_slug_that_was_given_up_is_held_for_ninety_days(backend: &impl Backend) {
    let acme = fixture::stored_tenant(backend, "acme").await;
    let (id, nobody) = (acme.id, TenantId::new(fixture::at(1)));
    let now = OffsetDateTime::now_utc();
    let released = run(backend.tenants(), Scope::tenant(id), move |store| {
        for (slug, days) in [("lately", 89), ("long-ago", 91), ("again", 200)] {
            let slug = Slug::parse(slug).unwrap();
            store.release_slug(id, &slug, now - Duration::days(days))?;
        }
        store.release_slug(id, &Slug::parse("again").unwrap(), now)
    });
    released.await.unwrap();
    for (slug, for_itself, for_others) in [
        ("acme", true, false),
        ("lately", true, false),
        ("long-ago", true, true),
        ("again", true, false),
        ("new", true, true),
    ] {
        assert_eq!(is_free(backend, slug, id).await, for_itself, "{slug}");
        assert_eq!(is_free(backend, slug, nobody).await, for_others, "{slug}");
    }
}

/// The operators' key pages through all tenants by id; everybody else sees none.
pub async fn only_operators_list_tenants(backend: &impl Backend) {
    let mut all: Vec<TenantId> = Vec::new();
    for slug in ["aaa", "bbb", "ccc"] {
        all.push(fixture::stored_tenant(backend, slug).await.id);
    }
    all.sort();
    let operators = Scope {
        principal_id: Some(Uuid::from_u128(7)),
        ..Scope::global()
    };
    let list = |scope: Scope, after: Option<TenantId>| {
        let tenants = backend.tenants();
        async move {
            let listed = tenants.run(scope, move |store| store.all_tenants(after, 1));
            let ids = |tenants: Vec<Tenant>| tenants.into_iter().map(|tenant| tenant.id).collect();
            listed.await.map(ids) as Result<Vec<TenantId>, StoreError>
        }
    };
    assert_eq!(list(operators.clone(), None).await.unwrap(), all[..2]);
    assert_eq!(list(operators, Some(all[1])).await.unwrap(), all[2..]);
    for scope in [Scope::global(), Scope::tenant(all[0])] {
        assert_eq!(list(scope, None).await, Ok(Vec::new()));
    }
}
