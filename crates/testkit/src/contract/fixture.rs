//! Principals and rows that several suites begin with.

use identity::{ApiKey, KeyMode, KeyText};
use kernel::{ApiKeyId, Name, Permission, Principal, Scope, TenantId, Zone};
use tenancy::{Slug, Tenant, TenantKind};
use time::{Duration, OffsetDateTime};

use super::Backend;

/// An instant that is the same in every run, and lies in the past and in a partition of its own.
#[must_use]
pub fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(1_780_000_000 + second)
}

/// A tenant that is nowhere yet.
#[must_use]
pub fn tenant(slug: &str) -> Tenant {
    Tenant {
        id: TenantId::new(at(0)),
        slug: Slug::parse(slug).unwrap(),
        name: Name::parse("name", slug).unwrap(),
        status: kernel::TenantStatus::Active,
        status_reason: None,
        kind: TenantKind::Customer,
        plan_code: "free".to_owned(),
        is_personal: false,
        timezone: Zone::utc(),
        version: 1,
        created_at: at(0),
    }
}

/// A tenant that is there.
pub async fn stored_tenant(backend: &impl Backend, slug: &str) -> Tenant {
    let tenant = tenant(slug);
    let row = tenant.clone();
    backend
        .tenants()
        .run(Scope::tenant(tenant.id), move |store| {
            store.insert_tenant(&row)
        })
        .await
        .unwrap();
    tenant
}

/// Plinth itself, for events.
#[must_use]
pub fn system() -> Principal {
    Principal::system("contract", None)
}

/// A key that is nowhere yet, of nobody, and its text.
#[must_use]
pub fn key(tenant_id: TenantId, name: &str) -> (ApiKey, KeyText) {
    let text = KeyText::generate(KeyMode::Live);
    let key = ApiKey {
        id: ApiKeyId::new(at(0)),
        tenant_id,
        name: Name::parse("name", name).unwrap(),
        key_id: text.key_id().to_owned(),
        mode: text.mode(),
        scopes: [Permission::of("project.read")].into_iter().collect(),
        project_id: None,
        environment_id: None,
        created_by: None,
        expires_at: None,
        revoked_at: None,
        revoked_reason: None,
        overlap_until: None,
        rotated_from: None,
        last_used_at: None,
        created_at: at(0),
    };
    (key, text)
}
