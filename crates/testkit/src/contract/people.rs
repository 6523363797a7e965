//! Users and members that several suites begin with.

use identity::{Email, User, UserStatus};
use kernel::{Name, Scope, TenantId, UserId};
use time::OffsetDateTime;

use super::{Backend, fixture, run};

/// A user who is nowhere yet.
#[must_use]
pub fn user(name: &str) -> User {
    User {
        id: UserId::new(fixture::at(0)),
        email: Email::parse("email", &format!("{name}@example.com")).unwrap(),
        email_verified: false,
        name: Some(Name::parse("name", name).unwrap()),
        status: UserStatus::Active,
        last_tenant_id: None,
        created_at: fixture::at(0),
    }
}

/// A user who is there.
pub async fn stored_user(backend: &impl Backend, name: &str) -> User {
    let user = user(name);
    let row = user.clone();
    run(backend.identity(), Scope::user(user.id), move |store| {
        store.insert_user(&row)
    })
    .await
    .unwrap();
    user
}

/// A user who is there and a member of the tenant, with these roles.
pub async fn stored_member(
    backend: &impl Backend,
    tenant_id: TenantId,
    name: &str,
    roles: &[&str],
) -> User {
    let user = stored_user(backend, name).await;
    join(backend, tenant_id, user.id, roles, fixture::at(0)).await;
    user
}

/// Makes `user` a member of the tenant.
pub async fn join(
    backend: &impl Backend,
    tenant_id: TenantId,
    user: UserId,
    roles: &[&str],
    joined_at: OffsetDateTime,
) {
    let roles = keys(roles);
    run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
        store.put_membership(tenant_id, user, &roles, None, joined_at)
    })
    .await
    .unwrap();
}

/// Takes a member out of the tenant.
pub async fn leave(backend: &impl Backend, tenant_id: TenantId, user: UserId) {
    run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
        store.remove_membership(tenant_id, user)
    })
    .await
    .unwrap();
}

/// Keys of roles, as stores take them.
#[must_use]
pub fn keys(roles: &[&str]) -> Vec<String> {
    roles.iter().map(|role| (*role).to_owned()).collect()
}
