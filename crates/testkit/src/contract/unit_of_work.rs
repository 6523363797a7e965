//! `kernel::UnitOfWork`: what commits, what does not, and whose rows are there.

use kernel::{Scope, StoreError, TenantId};
use tenancy::Tenant;

use super::{Backend, fixture};

async fn read(backend: &impl Backend, scope: Scope, id: TenantId) -> Option<Tenant> {
    let reading = backend.tenants();
    reading
        .run(scope, move |store| store.tenant(id))
        .await
        .unwrap()
}

/// `Ok` keeps what was written, `Err` undoes all of it, and the caller gets the command's own answer.
pub async fn ok_commits_and_err_rolls_back(backend: &impl Backend) {
    let kept = fixture::stored_tenant(backend, "kept").await;
    let lost = fixture::tenant("lost");
    let (id, row) = (lost.id, lost);
    let failed: Result<(), StoreError> = backend
        .tenants()
        .run(Scope::tenant(id), move |store| {
            store.insert_tenant(&row)?;
            Err(StoreError::Unexpected("no".to_owned()))
        })
        .await;
    assert_eq!(failed, Err(StoreError::Unexpected("no".to_owned())));
    assert_eq!(read(backend, Scope::tenant(id), id).await, None);
    assert_eq!(
        read(backend, Scope::tenant(kept.id), kept.id).await,
        Some(kept)
    );
}

/// A command that panics leaves nothing behind, and the next one runs.
pub async fn a_panic_rolls_back(backend: &impl Backend) {
    let lost = fixture::tenant("lost");
    let id = lost.id;
    for _ in 0..4 {
        let row = lost.clone();
        let failed: Result<(), StoreError> = backend
            .tenants()
            .run(Scope::tenant(id), move |store| {
                store.insert_tenant(&row)?;
                panic!("a defect");
            })
            .await;
        assert!(
            matches!(failed, Err(StoreError::Unexpected(_))),
            "{failed:?}"
        );
    }
    assert_eq!(read(backend, Scope::tenant(id), id).await, None);
}

/// A transaction sees the rows of the tenant in its scope, and without one no tenant's.
pub async fn the_scope_decides_which_rows_are_there(backend: &impl Backend) {
    let (a, b) = (
        fixture::stored_tenant(backend, "aaa").await,
        fixture::stored_tenant(backend, "bbb").await,
    );
    for (scope, sees_a, sees_b) in [
        (Scope::tenant(a.id), true, false),
        (Scope::tenant(b.id), false, true),
        (Scope::global(), false, false),
        (Scope::tenant(TenantId::new(fixture::at(1))), false, false),
    ] {
        assert_eq!(read(backend, scope.clone(), a.id).await.is_some(), sees_a);
        assert_eq!(read(backend, scope, b.id).await.is_some(), sees_b);
    }
}

/// A row of another tenant is neither added nor changed, and to change one is no error: it is not there.
pub async fn nobody_writes_into_another_tenant(backend: &impl Backend) {
    let (a, b) = (
        fixture::stored_tenant(backend, "aaa").await,
        fixture::stored_tenant(backend, "bbb").await,
    );
    let row = fixture::tenant("ccc");
    let added = backend
        .tenants()
        .run(Scope::tenant(a.id), move |store| store.insert_tenant(&row))
        .await;
    assert!(matches!(added, Err(StoreError::Unexpected(_))), "{added:?}");
    let mut row = b.clone();
    row.version = 9;
    let changed = backend
        .tenants()
        .run(Scope::tenant(a.id), move |store| store.update_tenant(&row))
        .await;
    assert_eq!(changed, Ok(()));
    assert_eq!(read(backend, Scope::tenant(b.id), b.id).await, Some(b));
}
