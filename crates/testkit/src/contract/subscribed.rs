//! Tenants on a plan, which the suites of billing begin with.

use billing::{Store, Subscription, subscription};
use kernel::{Principal, Scope, StoreError, TenantId};

use super::{Backend, fixture, run};

/// The store in the scope of one tenant: what a suite's command works on.
pub(super) type Open = dyn Store + 'static;

/// Runs a command in the scope of a tenant.
pub(super) async fn within<T, E>(
    backend: &impl Backend,
    tenant_id: TenantId,
    command: impl FnOnce(&mut Open) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    run(backend.billing(), Scope::tenant(tenant_id), command).await
}

/// A tenant that has been on a plan since [`fixture::at`] nought.
pub(super) async fn tenant_on(
    backend: &impl Backend,
    slug: &str,
    plan: &'static str,
) -> Subscription {
    let id = fixture::stored_tenant(backend, slug).await.id;
    let subscribed = within(backend, id, move |store| {
        subscription::subscribe(store, id, plan, &principal(id), fixture::at(0))
    });
    subscribed.await.unwrap()
}

/// Somebody who may do everything in a tenant.
pub(super) fn principal(tenant_id: TenantId) -> Principal {
    Principal::system("contract", Some(tenant_id))
}
