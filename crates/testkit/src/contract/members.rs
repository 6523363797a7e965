//! `tenancy::MemberStore`: who is a member. Roles have a suite of their own.

use kernel::{Scope, StoreError, TenantId, UserId};
use tenancy::{Member, Membership};
use time::Duration;

use super::{Backend, Seed, fixture, people, run};

async fn members(backend: &impl Backend, tenant_id: TenantId) -> Vec<Member> {
    run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
        store.members(tenant_id, None, 100)
    })
    .await
    .unwrap()
}

async fn memberships(backend: &impl Backend, scope: Scope, user: UserId) -> Vec<Membership> {
    run(backend.tenancy(), scope, move |store| {
        store.memberships_of(user)
    })
    .await
    .unwrap()
}

async fn set_roles(
    backend: &impl Backend,
    tenant_id: TenantId,
    user: UserId,
    roles: &[&str],
) -> Result<(), StoreError> {
    let roles = people::keys(roles);
    run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
        store.set_member_roles(tenant_id, user, &roles)
    })
    .await
}

/// With what the person calls themselves, and the roles that were given last and no others, by key.
pub async fn a_member_is_read_back_with_their_name_and_roles(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let user = people::stored_user(backend, "ann").await;
    for (roles, joined_at) in [
        (vec!["owner", "viewer"], fixture::at(1)),
        (vec!["owner", "admin", "owner"], fixture::at(2)),
    ] {
        people::join(backend, tenant, user.id, &roles, joined_at).await;
    }
    let ann = Member {
        user_id: user.id,
        email: "ann@example.com".to_owned(),
        name: Some("ann".to_owned()),
        status: "active".to_owned(),
        roles: people::keys(&["admin", "owner"]),
        joined_at: fixture::at(2),
    };
    let id = user.id;
    let read = run(backend.tenancy(), Scope::tenant(tenant), move |store| {
        Ok::<_, StoreError>((
            store.member(tenant, id)?,
            store.is_member(tenant, "ann@example.com")?,
            store.is_member(tenant, "bob@example.com")?,
        ))
    });
    assert_eq!(read.await, Ok((Some(ann.clone()), true, false)));
    assert_eq!(members(backend, tenant).await, [ann]);

    set_roles(backend, tenant, id, &["owner", "billing_admin"])
        .await
        .unwrap();
    let roles = members(backend, tenant).await.remove(0).roles;
    assert_eq!(roles, ["billing_admin", "owner"]);
}

/// Suspended ones are listed, removed ones are not.
pub async fn members_come_by_id_a_page_at_a_time(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    people::stored_member(backend, tenant, "owner", &["owner"]).await;
    for name in ["a", "b", "c", "d"] {
        people::stored_member(backend, tenant, name, &["member"]).await;
    }
    let mut all = members(backend, tenant).await;
    assert!(all.is_sorted_by_key(|member| member.user_id));
    let is_owner = |member: &Member| member.email == "owner@example.com";
    let (gone, suspended) = {
        let mut others = all.iter().filter(|member| !is_owner(member));
        (
            others.next().unwrap().user_id,
            others.next().unwrap().user_id,
        )
    };
    people::leave(backend, tenant, gone).await;
    let (tenant_id, user_id) = (tenant, suspended);
    backend.seed(Seed::Suspension { tenant_id, user_id }).await;
    all.retain(|member| member.user_id != gone);
    for member in &mut all {
        if member.user_id == suspended {
            "suspended".clone_into(&mut member.status);
        }
    }
    let page = |after: Option<UserId>| {
        run(backend.tenancy(), Scope::tenant(tenant), move |store| {
            store.members(tenant, after, 2)
        })
    };
    assert_eq!(
        page(None).await.unwrap(),
        all[..3],
        "one more than the page"
    );
    assert_eq!(page(Some(all[1].user_id)).await.unwrap(), all[2..]);
    assert_eq!(page(Some(all[3].user_id)).await.unwrap(), []);
}

/// A tombstone keeps no role, and is no member to anybody.
pub async fn a_removed_member_is_gone_until_they_join_again(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    people::stored_member(backend, tenant, "owner", &["owner"]).await;
    let ann = people::stored_member(backend, tenant, "ann", &["admin", "viewer"])
        .await
        .id;
    people::leave(backend, tenant, ann).await;
    let read = run(backend.tenancy(), Scope::tenant(tenant), move |store| {
        Ok::<_, StoreError>((
            store.member(tenant, ann)?,
            store.is_member(tenant, "ann@example.com")?,
            store.members(tenant, None, 9)?.len(),
        ))
    });
    assert_eq!(read.await, Ok((None, false, 1)));
    assert_eq!(memberships(backend, Scope::user(ann), ann).await, []);

    people::join(backend, tenant, ann, &["member"], fixture::at(9)).await;
    let memberships = memberships(backend, Scope::user(ann), ann).await;
    assert_eq!(memberships.len(), 1);
    assert_eq!(memberships[0].roles, ["member"], "none of the old ones");
}

/// Oldest first, in whatever tenant the scope is; but only the scope's own person, as an active member, of tenants that are not deleted.
pub async fn a_person_sees_their_own_memberships(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    let mut tenants = Vec::new();
    for (slug, second) in [
        ("ccc", 1),
        ("aaa", 2),
        ("bbb", 3),
        ("suspended", 4),
        ("dead", 5),
    ] {
        let tenant = fixture::stored_tenant(backend, slug).await;
        people::stored_member(backend, tenant.id, &format!("owner-of-{slug}"), &["owner"]).await;
        people::join(
            backend,
            tenant.id,
            ann,
            &["viewer", "member"],
            fixture::at(second),
        )
        .await;
        tenants.push(tenant);
    }
    let (tenant_id, user_id) = (tenants[3].id, ann);
    backend.seed(Seed::Suspension { tenant_id, user_id }).await;
    let mut dead = tenants[4].clone();
    dead.status = kernel::TenantStatus::Deleted;
    run(backend.tenancy(), Scope::tenant(dead.id), move |store| {
        store.set_tenant_status(&dead, fixture::at(6))
    })
    .await
    .unwrap();

    for tenant_id in [None, Some(tenants[1].id)] {
        let scope = Scope {
            tenant_id,
            ..Scope::user(ann)
        };
        let found = memberships(backend, scope, ann).await;
        let seen: Vec<_> = found.iter().map(|membership| &membership.tenant).collect();
        assert_eq!(seen, [&tenants[0], &tenants[1], &tenants[2]]);
        assert_eq!(found[0].roles, ["member", "viewer"]);
    }
    let stranger = people::stored_user(backend, "stranger").await.id;
    for scope in [
        Scope::user(stranger),
        Scope::tenant(tenants[0].id),
        Scope::global(),
    ] {
        assert_eq!(memberships(backend, scope, ann).await, []);
    }
}

/// Active members with the role `owner`, and nobody else.
pub async fn owners_are_counted(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut owners = Vec::new();
    for name in ["a", "b", "c"] {
        owners.push(
            people::stored_member(backend, tenant, name, &["owner", "viewer"])
                .await
                .id,
        );
    }
    people::stored_member(backend, tenant, "admin", &["admin"]).await;
    let other = fixture::stored_tenant(backend, "other").await.id;
    people::stored_member(backend, other, "stranger", &["owner"]).await;
    people::leave(backend, tenant, owners[0]).await;
    let (tenant_id, user_id) = (tenant, owners[1]);
    backend.seed(Seed::Suspension { tenant_id, user_id }).await;
    let counted = run(backend.tenancy(), Scope::tenant(tenant), move |store| {
        store.count_owners(tenant)
    });
    assert_eq!(counted.await, Ok(1));
}

/// Checked when the transaction ends: a transfer may pass through none. A tenant that is out of use may lose its last.
pub async fn a_tenant_in_use_keeps_an_owner(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await;
    let id = tenant.id;
    let ann = people::stored_member(backend, id, "ann", &["owner"])
        .await
        .id;
    let bob = people::stored_member(backend, id, "bob", &["member"])
        .await
        .id;
    let removed = run(backend.tenancy(), Scope::tenant(id), move |store| {
        store.remove_membership(id, ann)
    });
    let demoted = set_roles(backend, id, ann, &["member"]).await;
    let rejoined = run(backend.tenancy(), Scope::tenant(id), move |store| {
        store.put_membership(id, ann, &people::keys(&["admin"]), None, fixture::at(1))
    });
    for outcome in [removed.await, demoted, rejoined.await] {
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with("tenant_has_an_owner")),
            "{outcome:?}"
        );
    }
    assert_eq!(members(backend, id).await.len(), 2, "nothing was kept");

    let transferred = run(backend.tenancy(), Scope::tenant(id), move |store| {
        store.remove_membership(id, ann)?;
        store.set_member_roles(id, bob, &people::keys(&["owner"]))
    });
    assert_eq!(transferred.await, Ok(()));

    let mut archived = tenant;
    archived.status = kernel::TenantStatus::Archived;
    let emptied = run(backend.tenancy(), Scope::tenant(id), move |store| {
        store.set_tenant_status(&archived, fixture::at(2))?;
        store.remove_membership(id, bob)
    });
    assert_eq!(emptied.await, Ok(()));
}

/// Those who count owners under the tenant's lock take turns, so that of several who leave at once one stays.
pub async fn owners_who_leave_at_once_take_turns(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut leaving = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let owner = people::stored_member(backend, tenant, name, &["owner"])
            .await
            .id;
        let db = backend.tenancy();
        leaving.push(async move {
            db.run(Scope::tenant(tenant), move |store| {
                store.tenant_for_update(tenant)?;
                if store.count_owners(tenant)? > 1 {
                    store.remove_membership(tenant, owner)?;
                }
                Ok::<_, StoreError>(())
            })
            .await
        });
    }
    let leaving: Vec<_> = leaving.into_iter().map(tokio::spawn).collect();
    for left in leaving {
        assert_eq!(left.await.unwrap(), Ok(()));
    }
    assert_eq!(members(backend, tenant).await.len(), 1);
}

/// Neither a tenant nor a person is made up, and roles are a member's.
pub async fn a_membership_is_of_a_person_in_a_tenant(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let (nobody, nowhere) = (UserId::new(fixture::at(0)), TenantId::new(fixture::at(0)));
    let ann = people::stored_user(backend, "ann").await.id;
    let put = |tenant: TenantId, user: UserId| {
        run(backend.tenancy(), Scope::tenant(tenant), move |store| {
            store.put_membership(tenant, user, &[], None, fixture::at(0))
        })
    };
    for (outcome, constraint) in [
        (put(tenant, nobody).await, "memberships_user_id_fkey"),
        (put(nowhere, ann).await, "memberships_tenant_id_fkey"),
        (
            set_roles(backend, tenant, ann, &["owner"]).await,
            "membership_roles_tenant_id_user_id_fkey",
        ),
    ] {
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with(constraint)),
            "{outcome:?}"
        );
    }
    assert_eq!(set_roles(backend, tenant, ann, &[]).await, Ok(()));
}

/// Nothing of another tenant is read, counted, added or changed.
pub async fn members_of_another_tenant_are_out_of_reach(backend: &impl Backend) {
    let own = fixture::stored_tenant(backend, "own").await.id;
    let other = fixture::stored_tenant(backend, "other").await.id;
    let ann = people::stored_member(backend, other, "ann", &["owner"])
        .await
        .id;
    let bob = people::stored_member(backend, other, "bob", &["member"])
        .await
        .id;
    let before = members(backend, other).await;
    for scope in [Scope::tenant(own), Scope::global()] {
        let read = run(backend.tenancy(), scope.clone(), move |store| {
            Ok::<_, StoreError>((
                store.member(other, ann)?,
                store.members(other, None, 9)?,
                store.is_member(other, "ann@example.com")?,
                store.count_owners(other)?,
            ))
        });
        assert_eq!(read.await, Ok((None, vec![], false, 0)));
        let changed = run(backend.tenancy(), scope.clone(), move |store| {
            store.remove_membership(other, ann)?;
            store.set_member_roles(other, bob, &[])
        });
        assert_eq!(changed.await, Ok(()), "what is not there is no error");
        let roles = people::keys(&["owner"]);
        let given = run(backend.tenancy(), scope.clone(), {
            let roles = roles.clone();
            move |store| store.set_member_roles(other, bob, &roles)
        });
        let joined = run(backend.tenancy(), scope, move |store| {
            let joined_at = fixture::at(0) + Duration::days(1);
            store.put_membership(other, bob, &roles, None, joined_at)
        });
        for outcome in [given.await, joined.await] {
            assert!(
                matches!(outcome, Err(StoreError::Unexpected(_))),
                "{outcome:?}"
            );
        }
    }
    assert_eq!(members(backend, other).await, before);
}
