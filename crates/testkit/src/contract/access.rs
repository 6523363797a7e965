//! `identity::Store::access`: what the store knows of somebody who signs in.

use identity::{AccessQuery, ExternalIdentity, MemberAccess, OrgClaim, UserAccess};
use kernel::{Permission, Scope, SessionId, TenantId, TenantStatus, UserId};
use tenancy::Tenant;
use time::Duration;

use super::{
    Backend, Seed, fixture, people, run,
    sessions::{revoke, stored_session},
};

/// Asks for a person by our own id, and names nothing else.
fn query(user_id: UserId) -> AccessQuery {
    AccessQuery {
        user_id: Some(user_id),
        ..query_by_name("nobody")
    }
}

fn query_by_name(subject: &str) -> AccessQuery {
    AccessQuery {
        identity: ExternalIdentity {
            issuer: "https://issuer".to_owned(),
            subject: subject.to_owned(),
        },
        user_id: None,
        session_id: None,
        tenant_id: None,
        org: None,
        now: fixture::at(1),
    }
}

async fn access(backend: &impl Backend, query: AccessQuery) -> Option<UserAccess> {
    run(backend.identity(), Scope::global(), move |store| {
        store.access(&query)
    })
    .await
    .unwrap()
}

/// The tenant that a request without a name of its own comes to.
async fn tenant_of(backend: &impl Backend, query: AccessQuery) -> Option<TenantId> {
    let access = access(backend, query).await.unwrap();
    access.membership.map(|membership| membership.tenant_id)
}

/// A tenant with an owner of its own, that `user` joined in this second.
async fn joined(backend: &impl Backend, user: UserId, slug: &str, second: i64) -> Tenant {
    let tenant = fixture::stored_tenant(backend, slug).await;
    people::stored_member(backend, tenant.id, &format!("owner-of-{slug}"), &["owner"]).await;
    people::join(backend, tenant.id, user, &["member"], fixture::at(second)).await;
    tenant
}

async fn set_status(backend: &impl Backend, tenant: &Tenant, status: TenantStatus) {
    let mut row = tenant.clone();
    row.status = status;
    run(backend.tenancy(), Scope::tenant(row.id), move |store| {
        store.set_tenant_status(&row, fixture::at(1))
    })
    .await
    .unwrap();
}

/// By our own id, else by what an issuer calls them. An id that is nobody's is not looked up by name.
pub async fn a_person_is_found_by_id_or_by_name(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await;
    let bob = people::stored_user(backend, "bob").await;
    let (id, name) = (ann.id, query_by_name("ann").identity);
    let linked = run(backend.identity(), Scope::user(id), move |store| {
        store.link_identity(id, &name, fixture::at(0))
    });
    assert_eq!(linked.await, Ok(()));
    let by_both = |user_id: UserId| AccessQuery {
        user_id: Some(user_id),
        ..query_by_name("ann")
    };
    for (query, expected) in [
        (query(bob.id), Some(&bob)),
        (query_by_name("ann"), Some(&ann)),
        (by_both(bob.id), Some(&bob)),
        (by_both(UserId::new(fixture::at(0))), None),
        (query_by_name("stranger"), None),
    ] {
        let found = access(backend, query.clone()).await;
        assert_eq!(
            found.as_ref().map(|found| &found.user),
            expected,
            "{query:?}"
        );
    }
    let mut elsewhere = query_by_name("ann");
    "https://other".clone_into(&mut elsewhere.identity.issuer);
    assert_eq!(access(backend, elsewhere).await, None);
}

/// One that is named must be the person's own, not ended and not over. None needs to be named.
pub async fn a_session_that_is_named_must_be_live(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    let bob = people::stored_user(backend, "bob").await.id;
    let (own, ended, others) = (
        stored_session(backend, ann).await,
        stored_session(backend, ann).await.id,
        stored_session(backend, bob).await.id,
    );
    assert!(revoke(backend, Scope::user(ann), ended, fixture::at(1)).await);
    let unknown = SessionId::new(fixture::at(0));
    let last = own.expires_at - Duration::seconds(1);
    for (session_id, now, is_live) in [
        (None, fixture::at(1), true),
        (Some(own.id), last, true),
        (Some(own.id), own.expires_at, false),
        (Some(ended), fixture::at(1), false),
        (Some(others), fixture::at(1), false),
        (Some(unknown), fixture::at(1), false),
    ] {
        let query = AccessQuery {
            session_id,
            now,
            ..query(ann)
        };
        let found = access(backend, query).await.unwrap();
        assert_eq!(found.session_is_live, is_live, "{session_id:?} at {now}");
    }
}

/// All roles add up, the tenant's own ones included; roles over the deployment stand apart.
pub async fn roles_add_up_to_what_a_person_may_do(backend: &impl Backend) {
    let tenant_id = fixture::stored_tenant(backend, "acme").await.id;
    let seed = Seed::CustomRole {
        tenant_id,
        key: "auditor",
        permissions: &["audit.read"],
    };
    backend.seed(seed).await;
    let roles = ["project_viewer", "auditor"];
    let user = people::stored_member(backend, tenant_id, "ann", &roles).await;
    let user_id = user.id;
    let role = "platform_billing";
    backend.seed(Seed::GlobalRole { user_id, role }).await;
    let codes = [
        "audit.read",
        "project.read",
        "dashboard.read",
        "usage.read",
        "resource.read",
    ];
    let global = ["billing.*", "tenant.read", "entitlement.override"];
    let expected = UserAccess {
        user,
        session_is_live: true,
        global: global.map(Permission::of).into_iter().collect(),
        claimed_tenant_id: None,
        membership: Some(MemberAccess {
            tenant_id,
            tenant_status: TenantStatus::Active,
            roles: people::keys(&["auditor", "project_viewer"]),
            permissions: codes.map(Permission::of).into_iter().collect(),
        }),
    };
    assert_eq!(access(backend, query(user_id)).await, Some(expected));
}

/// The named one, or none: whoever is no active member of it gets no other. One that is deleted is nobody's.
pub async fn a_named_tenant_is_the_only_one(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    joined(backend, ann, "home", 1).await;
    let open = joined(backend, ann, "open", 2).await;
    let frozen = joined(backend, ann, "frozen", 3).await;
    set_status(backend, &frozen, TenantStatus::Frozen).await;
    let deleted = joined(backend, ann, "deleted", 4).await;
    set_status(backend, &deleted, TenantStatus::Deleted).await;
    let suspended = joined(backend, ann, "suspended", 5).await;
    let (tenant_id, user_id) = (suspended.id, ann);
    backend.seed(Seed::Suspension { tenant_id, user_id }).await;
    let left = joined(backend, ann, "left", 6).await;
    people::leave(backend, left.id, ann).await;
    let strangers = fixture::stored_tenant(backend, "strangers").await;
    for (tenant, status) in [
        (&open, Some(TenantStatus::Active)),
        (&frozen, Some(TenantStatus::Frozen)),
        (&deleted, None),
        (&suspended, None),
        (&left, None),
        (&strangers, None),
    ] {
        let query = AccessQuery {
            tenant_id: Some(tenant.id),
            ..query(ann)
        };
        let membership = access(backend, query).await.unwrap().membership;
        let seen = membership.map(|membership| (membership.tenant_id, membership.tenant_status));
        assert_eq!(
            seen,
            status.map(|status| (tenant.id, status)),
            "{}",
            tenant.slug
        );
    }
}

/// Unless the request names one: the last used, else the personal, else the one that was joined first. An archived one comes last, a
/// deleted one never.
pub async fn without_a_name_the_nearest_tenant_is_taken(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    assert_eq!(tenant_of(backend, query(ann)).await, None);

    let late = joined(backend, ann, "late", 9).await;
    let early = joined(backend, ann, "early", 1).await;
    assert_eq!(tenant_of(backend, query(ann)).await, Some(early.id));

    let mut personal = fixture::tenant("personal");
    personal.is_personal = true;
    let row = personal.clone();
    run(backend.tenancy(), Scope::tenant(row.id), move |store| {
        store.insert_tenant(&row)
    })
    .await
    .unwrap();
    people::join(backend, personal.id, ann, &["owner"], fixture::at(20)).await;
    assert_eq!(tenant_of(backend, query(ann)).await, Some(personal.id));

    let id = late.id;
    let moved = run(backend.identity(), Scope::user(ann), move |store| {
        store.set_last_tenant(ann, id)
    });
    assert_eq!(moved.await, Ok(()));
    assert_eq!(tenant_of(backend, query(ann)).await, Some(late.id));

    for (tenant, status, next) in [
        (&late, TenantStatus::Archived, &personal),
        (&personal, TenantStatus::Archived, &early),
        (&early, TenantStatus::Archived, &personal),
        (&personal, TenantStatus::Deleted, &early),
    ] {
        set_status(backend, tenant, status).await;
        let chosen = tenant_of(backend, query(ann)).await;
        assert_eq!(chosen, Some(next.id), "{} is {status:?}", tenant.slug);
    }
}

/// By its name elsewhere, else by its slug, and only among the person's own. It comes before the last used and after the named one.
pub async fn an_organisation_chooses_among_the_persons_own(backend: &impl Backend) {
    let ann = people::stored_user(backend, "ann").await.id;
    let home = joined(backend, ann, "home", 1).await;
    let by_name = joined(backend, ann, "by-name", 2).await;
    let by_slug = joined(backend, ann, "by-slug", 3).await;
    let strangers = fixture::stored_tenant(backend, "strangers").await;
    for (tenant_id, name) in [(by_name.id, "org_1"), (strangers.id, "org_2")] {
        let kind = "clerk";
        let seed = Seed::ExternalRef {
            tenant_id,
            kind,
            name,
        };
        backend.seed(seed).await;
    }
    let claim = |kind: &'static str, id: &str, slug: &str| OrgClaim {
        kind,
        id: (!id.is_empty()).then(|| id.to_owned()),
        slug: (!slug.is_empty()).then(|| slug.to_owned()),
    };
    for (org, expected) in [
        (claim("clerk", "org_1", ""), Some(&by_name)),
        (claim("clerk", "", "org_1"), Some(&by_name)),
        (claim("clerk", "org_1", "by-slug"), Some(&by_name)),
        (claim("clerk", "org_2", "by-slug"), Some(&by_slug)),
        (claim("keycloak", "org_1", "by-slug"), Some(&by_slug)),
        (claim("keycloak", "org_1", ""), None),
        (claim("clerk", "org_2", "strangers"), None),
        (claim("clerk", "by-slug", ""), None),
    ] {
        let query = AccessQuery {
            org: Some(org.clone()),
            ..query(ann)
        };
        let found = access(backend, query.clone()).await.unwrap();
        let expected = expected.map(|tenant| tenant.id);
        assert_eq!(found.claimed_tenant_id, expected, "{org:?}");
        let chosen = found.membership.map(|membership| membership.tenant_id);
        assert_eq!(chosen, expected.or(Some(home.id)), "{org:?}");
        let named = AccessQuery {
            tenant_id: Some(home.id),
            ..query
        };
        let found = access(backend, named).await.unwrap();
        let chosen = found.membership.map(|membership| membership.tenant_id);
        assert_eq!(
            (found.claimed_tenant_id, chosen),
            (expected, Some(home.id)),
            "both are told, so that the difference can be refused"
        );
    }
    let unclaimed = access(backend, query(ann)).await.unwrap();
    assert_eq!(unclaimed.claimed_tenant_id, None);
}
