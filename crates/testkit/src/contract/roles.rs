//! `tenancy::MemberStore`: what roles there are, and what they allow.

use kernel::{Permission, PermissionSet, Scope, StoreError, TenantId};
use tenancy::Role;

use super::{Backend, Seed, fixture, people, run};

async fn role(
    backend: &impl Backend,
    scope: Scope,
    tenant_id: TenantId,
    key: &'static str,
) -> Option<Role> {
    run(backend.tenancy(), scope, move |store| {
        store.role(tenant_id, key)
    })
    .await
    .unwrap()
}

async fn listed(backend: &impl Backend, scope: Scope, tenant_id: TenantId) -> Vec<String> {
    let roles = run(backend.tenancy(), scope, move |store| {
        store.roles(tenant_id)
    });
    let roles = roles.await.unwrap();
    roles.into_iter().map(|role| role.key).collect()
}

fn set(codes: &[&str]) -> PermissionSet {
    codes
        .iter()
        .map(|code| Permission::parse(code).unwrap())
        .collect()
}

/// By code, with a word on each.
pub async fn the_permission_catalogue_comes_by_code(backend: &impl Backend) {
    let catalogue = run(backend.tenancy(), Scope::global(), |store| {
        store.permission_catalogue()
    });
    let catalogue = catalogue.await.unwrap();
    assert!(catalogue.is_sorted_by_key(|permission| &permission.code));
    assert!(catalogue.iter().all(|it| !it.description.is_empty()));
    let describes = |code: &str| {
        let mut all = catalogue.iter();
        all.find(|permission| permission.code == code)
            .map(|permission| permission.description.as_str())
    };
    assert_eq!(catalogue.len(), 44);
    assert_eq!(describes("audit.read"), Some("Read the audit trail"));
    assert_eq!(describes("api_key.delete"), Some("Revoke API keys"));
}

/// Roles of the system are the same for every tenant, and those over the whole deployment are found but not offered.
pub async fn system_roles_are_everywhere(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    for scope in [Scope::tenant(tenant), Scope::global()] {
        let keys = listed(backend, scope.clone(), tenant).await;
        assert!(keys.is_sorted(), "{keys:?}");
        let tenant_roles = [
            "owner",
            "admin",
            "billing_admin",
            "developer",
            "member",
            "viewer",
            "project_creator",
        ];
        let project_roles = [
            "project_owner",
            "project_admin",
            "project_developer",
            "project_viewer",
        ];
        assert_eq!(keys.len(), tenant_roles.len() + project_roles.len());
        for key in tenant_roles.iter().chain(&project_roles) {
            assert!(keys.iter().any(|listed| listed == key), "{key}");
        }
        let project_admin = role(backend, scope.clone(), tenant, "project_viewer").await;
        let expected = Role {
            key: "project_viewer".to_owned(),
            name: "Project viewer".to_owned(),
            scope: "project".to_owned(),
            permissions: set(&[
                "project.read",
                "dashboard.read",
                "usage.read",
                "resource.read",
            ]),
            is_system: true,
        };
        assert_eq!(project_admin, Some(expected));
        let owner = role(backend, scope.clone(), tenant, "owner").await.unwrap();
        assert_eq!(owner.permissions, set(&["*"]));
        let support = role(backend, scope, tenant, "platform_support")
            .await
            .unwrap();
        assert_eq!(
            (support.scope.as_str(), support.is_system),
            ("global", true)
        );
    }
}

/// A tenant's own roles stand among those of the system, there and nowhere else.
pub async fn a_custom_role_is_its_tenants_own(backend: &impl Backend) {
    let (own, other) = (
        fixture::stored_tenant(backend, "own").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let system = listed(backend, Scope::tenant(other), other).await;
    let permissions = &["project.read", "usage.*"];
    backend
        .seed(Seed::CustomRole {
            tenant_id: own,
            key: "analyst",
            permissions,
        })
        .await;
    let found = role(backend, Scope::tenant(own), own, "analyst").await;
    let expected = Role {
        key: "analyst".to_owned(),
        name: "analyst".to_owned(),
        scope: "tenant".to_owned(),
        permissions: set(permissions),
        is_system: false,
    };
    assert_eq!(found, Some(expected));
    let mut all = system.clone();
    all.push("analyst".to_owned());
    all.sort();
    assert_eq!(listed(backend, Scope::tenant(own), own).await, all);

    for (scope, tenant) in [
        (Scope::tenant(other), other),
        (Scope::tenant(other), own),
        (Scope::global(), own),
    ] {
        assert_eq!(role(backend, scope.clone(), tenant, "analyst").await, None);
        assert_eq!(listed(backend, scope, tenant).await, system);
    }
    assert_eq!(
        role(backend, Scope::tenant(own), own, "nonsense").await,
        None
    );
}

/// All of a member's roles add up, the tenant's own ones included.
pub async fn a_membership_allows_what_its_roles_allow(backend: &impl Backend) {
    let tenant_id = fixture::stored_tenant(backend, "acme").await.id;
    backend
        .seed(Seed::CustomRole {
            tenant_id,
            key: "auditor",
            permissions: &["audit.read", "project.read"],
        })
        .await;
    let roles = ["auditor", "project_viewer", "gone"];
    let ann = people::stored_member(backend, tenant_id, "ann", &roles)
        .await
        .id;
    let memberships = run(backend.tenancy(), Scope::user(ann), move |store| {
        store.memberships_of(ann)
    });
    let memberships: Result<_, StoreError> = memberships.await;
    let expected = set(&[
        "audit.read",
        "project.read",
        "dashboard.read",
        "usage.read",
        "resource.read",
    ]);
    assert_eq!(memberships.unwrap()[0].permissions, expected);
}
