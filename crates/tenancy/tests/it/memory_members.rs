//! Who may do what, and who keeps the tenant.

use kernel::{Denied, PageRequest, Permission, Principal, Scope, TenantId, UserId};
use plinth_tenancy::{
    Member,
    invitation::InviteError,
    membership::{self, ChangeMemberError},
};
use testkit::contract::{Backend, Seed};

use crate::memory::World;

fn keys(roles: &[&str]) -> Vec<String> {
    roles.iter().map(|role| (*role).to_owned()).collect()
}

/// Takes a member out, as `by`. The façade for it is the app's, which ends their keys too.
async fn remove(world: &World, by: &Principal, user: UserId) -> Result<Member, ChangeMemberError> {
    let (scope, by) = (Scope::of(by), by.clone());
    let now = kernel::Clock::now(&*world.clock);
    world
        .run(scope, move |store| {
            membership::remove(store, user, &by, now)
        })
        .await
}

#[tokio::test]
async fn the_last_owner_stays_until_there_is_another() {
    let world = World::new();
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let acme = world.tenant("acme", "free", &ann).await;
    let by = world.within(acme, &ann).await;
    world.join(&by, &bob, "member").await;
    let demoted = world.tenancy.set_roles(&by, ann.id, keys(&["admin"])).await;
    for outcome in [demoted, remove(&world, &by, ann.id).await] {
        assert!(
            matches!(outcome, Err(ChangeMemberError::LastOwner)),
            "{outcome:?}"
        );
    }
    let roles = keys(&["owner", "viewer", "owner"]);
    let promoted = world.tenancy.set_roles(&by, bob.id, roles).await.unwrap();
    assert_eq!(promoted.roles, ["owner", "viewer"]);
    remove(&world, &by, ann.id).await.unwrap();
    assert_eq!(world.within(acme, &ann).await.grant, None);
    let page = PageRequest::first();
    let by = world.within(acme, &bob).await;
    let left = world.tenancy.members(&by, page).await.unwrap();
    let left: Vec<UserId> = left.data.iter().map(|member| member.user_id).collect();
    assert_eq!(left, [bob.id]);
}

#[tokio::test]
async fn nobody_gives_or_takes_what_they_do_not_have() {
    let world = World::new();
    let (ann, bob, cid) = (
        world.person("ann").await,
        world.person("bob").await,
        world.person("cid").await,
    );
    let acme = world.tenant("acme", "starter", &ann).await;
    let owner = world.within(acme, &ann).await;
    let admin = world.join(&owner, &bob, "admin").await;
    let viewer = world.join(&owner, &cid, "viewer").await;
    let tenancy = &world.tenancy;

    let forbidden = |denied: &Denied, code: &'static str| {
        *denied
            == Denied::Forbidden {
                required: Permission::of(code),
            }
    };
    let invited = tenancy.invite(&admin, ann.email.clone(), "owner".to_owned());
    assert!(matches!(
        invited.await,
        Err(InviteError::Denied(denied)) if forbidden(&denied, "*")
    ));
    let demoted = tenancy.set_roles(&admin, ann.id, keys(&["viewer"])).await;
    let removed = remove(&world, &admin, ann.id).await;
    for outcome in [demoted, removed] {
        assert!(
            matches!(&outcome, Err(ChangeMemberError::Denied(denied)) if forbidden(denied, "*")),
            "{outcome:?}"
        );
    }
    let climbed = tenancy.set_roles(&viewer, cid.id, keys(&["admin"])).await;
    assert!(matches!(
        &climbed,
        Err(ChangeMemberError::Denied(denied)) if forbidden(denied, "member.write")
    ));
    let trained = tenancy
        .set_roles(&admin, cid.id, keys(&["developer"]))
        .await;
    assert_eq!(trained.unwrap().roles, ["developer"]);
    remove(&world, &viewer, cid.id).await.unwrap();
}

#[tokio::test]
async fn a_role_of_the_tenants_own_is_given_there_alone() {
    let world = World::new();
    let ann = world.person("ann").await;
    let acme = world.tenant("acme", "free", &ann).await;
    let other = world.tenant("other", "free", &ann).await;
    let seed = Seed::CustomRole {
        tenant_id: acme,
        key: "auditor",
        permissions: &["audit.read"],
    };
    world.memory.seed(seed).await;
    let tenancy = &world.tenancy;
    let give = async |tenant: TenantId| {
        let by = world.within(tenant, &ann).await;
        tenancy
            .set_roles(&by, ann.id, keys(&["owner", "auditor"]))
            .await
    };
    let given = give(acme).await.unwrap();
    assert_eq!(given.roles, ["auditor", "owner"]);
    assert!(matches!(
        give(other).await,
        Err(ChangeMemberError::Invalid(error)) if error.code == "unknown_role"
    ));
    let offered = |roles: Vec<plinth_tenancy::Role>| {
        let mut keys = roles.into_iter().map(|role| role.key);
        keys.any(|key| key == "auditor")
    };
    for (tenant, expected) in [(acme, true), (other, false)] {
        let by = world.within(tenant, &ann).await;
        assert_eq!(offered(tenancy.roles(&by).await.unwrap()), expected);
    }
}

#[tokio::test]
async fn members_are_listed_a_page_at_a_time() {
    let world = World::new();
    let ann = world.person("ann").await;
    let acme = world.tenant("acme", "starter", &ann).await;
    let by = world.within(acme, &ann).await;
    let mut expected = vec![ann.id];
    for name in ["bob", "cid", "dan", "eve"] {
        let person = world.person(name).await;
        world.join(&by, &person, "member").await;
        expected.push(person.id);
    }
    expected.sort();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest { limit: 2, cursor };
        let page = world.tenancy.members(&by, page).await.unwrap();
        seen.extend(page.data.iter().map(|member| member.user_id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
}
