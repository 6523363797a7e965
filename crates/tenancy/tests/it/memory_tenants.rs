//! A tenant is made, renamed, frozen and closed.

use kernel::{Denied, Name, Permission, Principal, TenantStatus};
use plinth_tenancy::{
    Slug,
    tenant::{ChangeTenantError, CreateTenantError, TenantChange, Transition},
};
use time::Duration;

use crate::memory::World;

fn renamed(slug: &str) -> TenantChange {
    TenantChange {
        slug: Some(Slug::parse(slug).unwrap()),
        ..TenantChange::default()
    }
}

#[tokio::test]
async fn whoever_makes_a_tenant_owns_it() {
    let world = World::new();
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let acme = world.tenant("acme", "free", &ann).await;
    let by = world.within(acme, &ann).await;
    let grant = by.grant.as_ref().unwrap();
    assert_eq!(grant.roles, ["owner"]);
    assert!(grant.permissions.allows(&Permission::of("tenant.delete")));
    assert_eq!(
        world.tenancy.tenant(&by).await.unwrap().slug.as_str(),
        "acme"
    );
    assert_eq!(world.trail(acme).await, ["member.added", "tenant.created"]);
    let stranger = world.within(acme, &bob).await;
    assert!(matches!(
        world.tenancy.tenant(&stranger).await,
        Err(ChangeTenantError::Denied(Denied::NoTenant))
    ));
}

#[tokio::test]
async fn a_change_names_the_version_that_it_is_of() {
    let world = World::new();
    let ann = world.person("ann").await;
    let acme = world.tenant("acme", "free", &ann).await;
    let by = world.within(acme, &ann).await;
    let change = |name: &str| TenantChange {
        name: Some(Name::parse("name", name).unwrap()),
        ..TenantChange::default()
    };
    let first = world
        .tenancy
        .change_tenant(&by, change("Acme Ltd"), Some(1));
    assert_eq!(first.await.unwrap().version, 2);
    let late = world
        .tenancy
        .change_tenant(&by, change("Acme Inc"), Some(1));
    assert!(matches!(late.await, Err(ChangeTenantError::Stale)));
    let tenant = world.tenancy.tenant(&by).await.unwrap();
    assert_eq!((tenant.name.as_str(), tenant.version), ("Acme Ltd", 2));
    let same = world.tenancy.change_tenant(&by, change("Acme Ltd"), None);
    assert_eq!(same.await.unwrap().version, 2, "nothing changed");
}

#[tokio::test]
async fn a_slug_that_was_given_up_is_nobody_elses_for_ninety_days() {
    let world = World::new();
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let acme = world.tenant("acme", "free", &ann).await;
    let bolts = world.tenant("bolts", "free", &bob).await;
    let (of_acme, of_bolts) = (
        world.within(acme, &ann).await,
        world.within(bolts, &bob).await,
    );
    let change = |by, slug| world.tenancy.change_tenant(by, renamed(slug), None);
    change(&of_acme, "acme-sons").await.unwrap();
    for slug in ["acme", "acme-sons"] {
        assert!(matches!(
            change(&of_bolts, slug).await,
            Err(ChangeTenantError::Create(
                CreateTenantError::SlugTaken { .. }
            ))
        ));
    }
    change(&of_acme, "acme").await.unwrap();
    change(&of_acme, "acme-sons").await.unwrap();
    world.clock.advance(Duration::days(91));
    let taken = change(&of_bolts, "acme").await.unwrap();
    assert_eq!(taken.slug.as_str(), "acme");
}

#[tokio::test]
async fn a_frozen_tenant_is_read_and_not_changed() {
    let world = World::new();
    let ann = world.person("ann").await;
    let acme = world.tenant("acme", "free", &ann).await;
    let before = world.within(acme, &ann).await;
    let operator = Principal::system("operator", None);
    let administer = |verb| {
        let reason = Some("unpaid".to_owned());
        world.tenancy.administer(&operator, acme, verb, reason)
    };
    let nobody = world
        .tenancy
        .administer(&before, acme, Transition::Freeze, None);
    assert!(matches!(
        nobody.await,
        Err(ChangeTenantError::Denied(Denied::Forbidden { .. }))
    ));
    let frozen = administer(Transition::Freeze).await.unwrap();
    assert_eq!(frozen.status_reason.as_deref(), Some("unpaid"));
    assert!(matches!(
        administer(Transition::Freeze).await,
        Err(ChangeTenantError::WrongState { .. })
    ));
    let by = world.within(acme, &ann).await;
    assert!(world.tenancy.tenant(&by).await.is_ok());
    let changed = world.tenancy.change_tenant(&by, renamed("other"), None);
    assert!(matches!(
        changed.await,
        Err(ChangeTenantError::Denied(Denied::ReadOnly {
            status: TenantStatus::Frozen
        }))
    ));
    administer(Transition::Unfreeze).await.unwrap();
    let by = world.within(acme, &ann).await;
    let closed = world.tenancy.archive_tenant(&by).await.unwrap();
    assert_eq!(closed.status, TenantStatus::Archived);
}
