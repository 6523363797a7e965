//! One transaction per command: what commits, what does not, and whose rows are seen.

use std::{sync::Arc, time::Duration};

use kernel::{Name, Principal, Scope, StoreError, TenantId, UnitOfWork};
use tenancy::{Slug, Store, Tenant, TenantKind};
use testkit::TestDb;
use time::OffsetDateTime;

type Uow = Arc<dyn UnitOfWork<dyn Store>>;

fn uow(db: &TestDb) -> Uow {
    db.pg().unit_of_work(|tx| tx)
}

fn tenant(slug: &str) -> Tenant {
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    Tenant {
        id: TenantId::new(now),
        slug: Slug::parse(slug).unwrap(),
        name: Name::parse("name", slug).unwrap(),
        status: kernel::TenantStatus::Active,
        status_reason: None,
        kind: TenantKind::Customer,
        plan_code: "free".to_owned(),
        is_personal: false,
        timezone: kernel::Zone::utc(),
        version: 1,
        created_at: now,
    }
}

async fn insert(uow: &Uow, tenant: &Tenant) -> Result<(), StoreError> {
    let tenant = tenant.clone();
    uow.run(Scope::tenant(tenant.id), move |store| {
        store.insert_tenant(&tenant)
    })
    .await
}

async fn read(uow: &Uow, scope: Scope, id: TenantId) -> Option<Tenant> {
    uow.run(scope, move |store| store.tenant(id)).await.unwrap()
}

#[tokio::test]
async fn ok_commits_and_err_rolls_back() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let (kept, lost) = (tenant("kept"), tenant("lost"));
    insert(&uow, &kept).await.unwrap();
    assert_eq!(
        read(&uow, Scope::tenant(kept.id), kept.id).await.as_ref(),
        Some(&kept)
    );

    let row = lost.clone();
    let failed: Result<(), StoreError> = uow
        .run(Scope::tenant(lost.id), move |store| {
            store.insert_tenant(&row)?;
            Err(StoreError::Unexpected("no".to_owned()))
        })
        .await;
    assert_eq!(failed, Err(StoreError::Unexpected("no".to_owned())));
    assert_eq!(read(&uow, Scope::tenant(lost.id), lost.id).await, None);
}

#[tokio::test]
async fn a_panic_rolls_back_and_the_pool_goes_on() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let lost = tenant("lost");
    for _ in 0..4 {
        let row = lost.clone();
        let failed: Result<(), StoreError> = uow
            .run(Scope::tenant(lost.id), move |store| {
                store.insert_tenant(&row)?;
                panic!("a defect");
            })
            .await;
        assert!(
            matches!(failed, Err(StoreError::Unexpected(_))),
            "{failed:?}"
        );
    }
    assert_eq!(read(&uow, Scope::tenant(lost.id), lost.id).await, None);
}

#[tokio::test]
async fn a_dropped_future_still_commits() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let row = tenant("kept");
    let (id, started) = (row.id, Arc::new(tokio::sync::Notify::new()));
    let (begun, work) = (Arc::clone(&started), Arc::clone(&uow));
    let task = tokio::spawn(async move {
        work.run(Scope::tenant(row.id), move |store| {
            begun.notify_one();
            std::thread::sleep(Duration::from_millis(200));
            store.insert_tenant(&row)
        })
        .await
    });
    started.notified().await;
    task.abort();
    for _ in 0..50 {
        if read(&uow, Scope::tenant(id), id).await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the work of a dropped future was lost");
}

#[tokio::test]
async fn a_scope_sees_its_own_tenant_and_the_next_one_nothing_of_it() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let (a, b) = (tenant("aaa"), tenant("bbb"));
    insert(&uow, &a).await.unwrap();
    insert(&uow, &b).await.unwrap();
    assert!(read(&uow, Scope::tenant(a.id), a.id).await.is_some());
    assert!(read(&uow, Scope::tenant(a.id), b.id).await.is_none());
    // The same two connections, now without a tenant: nothing is left of the settings before.
    for _ in 0..4 {
        assert!(read(&uow, Scope::global(), a.id).await.is_none());
    }
}

#[tokio::test]
async fn another_tenants_row_cannot_be_written() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let (a, b) = (tenant("aaa"), tenant("bbb"));
    insert(&uow, &a).await.unwrap();
    let refused: Result<(), StoreError> = uow
        .run(Scope::tenant(a.id), move |store| store.insert_tenant(&b))
        .await;
    let Err(StoreError::Unexpected(message)) = refused else {
        panic!("{refused:?}")
    };
    assert!(message.contains("row-level security"), "{message}");
}

#[tokio::test]
async fn a_unique_violation_names_its_constraint() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let (first, second) = (tenant("same"), tenant("same"));
    insert(&uow, &first).await.unwrap();
    let error = insert(&uow, &second).await.unwrap_err();
    assert!(error.conflicts_with("tenants_slug_key"), "{error:?}");
}

#[tokio::test]
async fn a_deferred_rule_refuses_the_commit_by_name_and_the_connection_goes_on() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let row = tenant("kept");
    let (id, owner) = (row.id, kernel::UserId::new(row.created_at));
    let people: Arc<dyn UnitOfWork<dyn identity::Store>> = db.pg().unit_of_work(|tx| tx);
    let user = identity::NewUser {
        id: owner,
        email: identity::Email::parse("email", "ann@example.com").unwrap(),
        email_verified: true,
        name: None,
        status: identity::UserStatus::Active,
        password_hash: None,
        identity: None,
    };
    let now = row.created_at;
    people
        .run(Scope::user(owner), move |store| {
            identity::user::register(store, user, now)
        })
        .await
        .unwrap();
    insert(&uow, &row).await.unwrap();
    uow.run(Scope::tenant(id), move |store| {
        store.put_membership(id, owner, &["owner".to_owned()], None, now)
    })
    .await
    .unwrap();
    for _ in 0..4 {
        let refused: Result<(), StoreError> = uow
            .run(Scope::tenant(id), move |store| {
                store.set_member_roles(id, owner, &[])
            })
            .await;
        assert!(refused.unwrap_err().conflicts_with("tenant_has_an_owner"));
        assert!(read(&uow, Scope::tenant(id), id).await.is_some());
    }
}

#[tokio::test]
async fn a_command_that_was_taken_over_cannot_commit() {
    let db = TestDb::create().await;
    let clock: Arc<dyn kernel::Clock> = Arc::new(kernel::SystemClock);
    let keys: Arc<dyn UnitOfWork<dyn app::idempotency::Store>> = db.pg().unit_of_work(|tx| tx);
    let idempotency = app::idempotency::Idempotency::new(Arc::clone(&keys), clock, b"secret");
    let by = Principal::anonymous(kernel::RequestInfo::default());
    let reserved = idempotency
        .reserve(&by, "k".to_owned(), "POST /", b"{}")
        .await
        .unwrap();
    let app::idempotency::Reservation::First(command) = reserved else {
        panic!("{reserved:?}")
    };

    let stale = kernel::CommandRef {
        lease_until: command.lease_until - Duration::from_secs(61),
        ..command.clone()
    };
    let uow = uow(&db);
    let row = tenant("lost");
    let run = |command: kernel::CommandRef, row: Tenant| {
        let scope = Scope {
            command: Some(command),
            ..Scope::tenant(row.id)
        };
        uow.run(scope, move |store| store.insert_tenant(&row))
    };
    let refused: Result<(), StoreError> = run(stale, row.clone()).await;
    assert!(refused.unwrap_err().conflicts_with("idempotency_lease"));
    assert_eq!(read(&uow, Scope::tenant(row.id), row.id).await, None);
    run(command, row.clone()).await.unwrap();
    assert!(read(&uow, Scope::tenant(row.id), row.id).await.is_some());
}

#[tokio::test]
async fn dead_connections_are_replaced_without_the_caller_noticing() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let row = tenant("kept");
    insert(&uow, &row).await.unwrap();
    db.cut_connections();
    assert!(read(&uow, Scope::tenant(row.id), row.id).await.is_some());
}

#[tokio::test]
async fn the_owner_is_refused_as_a_role_to_serve_with() {
    let db = TestDb::create().await;
    db.pg().refuse_unsafe().await.unwrap();
    db.worker_pg().refuse_unsafe().await.unwrap();
    let settings = pg::Settings {
        url: db.owner_url(),
        max_connections: 1,
        statement_timeout: Duration::from_secs(1),
        prepared_statements: true,
    };
    assert!(
        pg::Pg::connect(&settings)
            .unwrap()
            .refuse_unsafe()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_change_and_its_audit_event_commit_together_or_not_at_all() {
    let db = TestDb::create().await;
    let uow = uow(&db);
    let row = tenant("kept");
    insert(&uow, &row).await.unwrap();
    let (id, by) = (row.id, Principal::system("test", Some(row.id)));
    let now = row.created_at;
    let failed: Result<(), tenancy::tenant::ChangeTenantError> = uow
        .run(Scope::tenant(id), move |store| {
            let freeze = tenancy::tenant::Transition::Freeze;
            tenancy::tenant::transition(store, id, freeze, None, &by, now)?;
            Err(tenancy::tenant::ChangeTenantError::NotFound)
        })
        .await;
    assert!(failed.is_err());
    let audit: Arc<dyn UnitOfWork<dyn audit::Store>> = db.pg().unit_of_work(|tx| tx);
    let events = audit
        .run(Scope::tenant(id), move |store| {
            store.events(
                id,
                &audit::EventFilter::default(),
                &kernel::PageRequest::first(),
                None,
            )
        })
        .await
        .unwrap();
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(
        read(&uow, Scope::tenant(id), id).await.unwrap().status,
        kernel::TenantStatus::Active
    );
}
