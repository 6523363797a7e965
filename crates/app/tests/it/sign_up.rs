//! People come for the first time, under each policy, and join by invitation.

use std::sync::Arc;

use identity::{Identity, Password, Pepper, Peppers, RegisterError, User, UserStatus};
use idp::{Argon2Hasher, LocalIssuer, generate_signing_key};
use kernel::{Email, Grant, Principal, PrincipalKind, RequestInfo, Scope, StoreError, TenantId};
use plinth_app::{
    App, Provisioning, SignUpStore,
    sign_up::{Registration, SignUpError},
};
use tenancy::{InvitationTokens, Tenancy, Tenant, invitation::InviteError};
use testkit::{
    Memory, StoppedClock,
    contract::{Backend, Seed, fixture},
};
use time::macros::datetime;

struct World {
    memory: Memory,
    tenancy: Tenancy,
    app: App,
}

impl World {
    fn new(provisioning: Provisioning) -> Self {
        Self::over(Memory::default(), provisioning)
    }

    fn over(memory: Memory, provisioning: Provisioning) -> Self {
        let clock = StoppedClock::at(datetime!(2026-03-01 12:00 UTC));
        let issuer = LocalIssuer::new("plinth", &generate_signing_key()).unwrap();
        let pepper = Pepper {
            version: 1,
            key: vec![1; 32].into(),
        };
        let identity = Identity::new(
            memory.unit_of_work(|tx| tx),
            clock.clone(),
            Argon2Hasher::new().unwrap(),
            Some(Arc::new(issuer)),
            Peppers::new(vec![pepper]).unwrap(),
        );
        let tokens = InvitationTokens::derive(&[b"a secret of the deployment"]);
        let tenancy = Tenancy::new(memory.unit_of_work(|tx| tx), clock.clone(), tokens);
        let db = memory.unit_of_work::<dyn SignUpStore>(|tx| tx);
        let app = App::new(db, identity, tenancy.clone(), clock, provisioning);
        Self {
            memory,
            tenancy,
            app,
        }
    }

    async fn register(&self, address: &str) -> Result<(User, Option<Tenant>), SignUpError> {
        let registration = Registration {
            email: email(address),
            password: Password::new("password", "correct horse battery staple".to_owned().into())
                .unwrap(),
            name: None,
        };
        let registered = self.app.register(registration, RequestInfo::default());
        registered.await.map(|(user, tenant, _)| (user, tenant))
    }

    /// The person as they stand in a tenant at this moment.
    async fn within(&self, tenant_id: TenantId, user: &User) -> Principal {
        let memberships = self.tenancy.memberships_of(user.id).await.unwrap();
        let mut memberships = memberships.into_iter();
        let membership = memberships.find(|membership| membership.tenant.id == tenant_id);
        Principal {
            grant: membership.map(|membership| Grant {
                tenant_id,
                status: membership.tenant.status,
                roles: membership.roles,
                permissions: membership.permissions,
                project_id: None,
            }),
            kind: PrincipalKind::User,
            id: user.id.as_uuid(),
            name: user.email.as_str().to_owned(),
            user_id: Some(user.id),
            ..Principal::anonymous(RequestInfo::default())
        }
    }

    /// What happened in a tenant, by name: what happened at one instant has no order.
    async fn trail(&self, tenant_id: TenantId) -> Vec<String> {
        let db = self.memory.audit();
        let events = db.run(Scope::tenant(tenant_id), move |store| {
            let page = kernel::PageRequest::first();
            store.events(tenant_id, &audit::EventFilter::default(), &page, None)
        });
        let events: Result<_, StoreError> = events.await;
        let actions = events.unwrap().into_iter().map(|event| event.action);
        let mut actions: Vec<String> = actions.collect();
        actions.sort();
        actions
    }
}

fn email(address: &str) -> Email {
    Email::parse("email", address).unwrap()
}

#[tokio::test]
async fn whoever_registers_owns_a_tenant_on_the_first_plan() {
    let world = World::new(Provisioning::PersonalTenant);
    let (ann, tenant) = world.register("ann@example.com").await.unwrap();
    let tenant = tenant.unwrap();
    assert_eq!((tenant.slug.as_str(), tenant.is_personal), ("ann", true));
    let grant = world.within(tenant.id, &ann).await.grant.unwrap();
    assert_eq!(grant.roles, ["owner"]);
    let id = tenant.id;
    let billing = world.memory.billing();
    let subscription = billing.run(Scope::tenant(id), move |store| store.subscription(id));
    let subscription: Result<_, StoreError> = subscription.await;
    assert_eq!(subscription.unwrap().unwrap().plan.code, "free");
    let expected = [
        "member.added",
        "subscription.created",
        "tenant.created",
        "user.registered",
    ];
    assert_eq!(world.trail(id).await, expected);
}

#[tokio::test]
async fn people_who_come_at_once_under_one_name_get_slugs_of_their_own() {
    let world = Arc::new(World::new(Provisioning::PersonalTenant));
    let coming: Vec<_> = (0..4)
        .map(|number| {
            let world = world.clone();
            let address = format!("ann@{number}.example.com");
            tokio::spawn(async move { world.register(&address).await })
        })
        .collect();
    let mut slugs = std::collections::BTreeSet::new();
    for registered in coming {
        let (_, tenant) = registered.await.unwrap().unwrap();
        slugs.insert(tenant.unwrap().slug.as_str().to_owned());
    }
    assert_eq!(slugs.len(), 4);
    assert!(slugs.contains("ann"), "{slugs:?}");
}

#[tokio::test]
async fn an_address_is_registered_once() {
    let world = World::new(Provisioning::PersonalTenant);
    world.register("ann@example.com").await.unwrap();
    let again = world.register("ann@example.com").await;
    assert!(
        matches!(again, Err(SignUpError::User(RegisterError::EmailTaken))),
        "{again:?}"
    );
}

#[tokio::test]
async fn who_must_be_invited_or_wait_gets_no_tenant() {
    for (provisioning, status) in [
        (Provisioning::InviteOnly, UserStatus::Active),
        (Provisioning::Waitlist, UserStatus::Waitlist),
    ] {
        let world = World::new(provisioning);
        let (ann, tenant) = world.register("ann@example.com").await.unwrap();
        assert_eq!((ann.status, tenant), (status, None));
        assert_eq!(world.tenancy.memberships_of(ann.id).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_shared_tenant_that_is_full_keeps_nothing_of_whoever_comes() {
    let memory = Memory::default();
    let tenant_id = fixture::stored_tenant(&memory, "acme").await.id;
    let plan = "free";
    memory.seed(Seed::Subscription { tenant_id, plan }).await;
    let world = World::over(memory.clone(), Provisioning::SharedTenant(tenant_id));
    for name in ["ann", "bob", "eve"] {
        let address = format!("{name}@example.com");
        let (user, tenant) = world.register(&address).await.unwrap();
        assert_eq!(tenant.unwrap().id, tenant_id);
        let grant = world.within(tenant_id, &user).await.grant.unwrap();
        assert_eq!(grant.roles, ["member"]);
    }
    let before = world.trail(tenant_id).await;
    let refused = world.register("dan@example.com").await;
    assert!(
        matches!(&refused, Err(SignUpError::Limit(limit)) if (limit.max, limit.plan.as_str()) == (3, "free")),
        "{refused:?}"
    );
    assert_eq!(world.trail(tenant_id).await, before);
    // The user had been written when the seat was refused: the address is free only if that was undone.
    let elsewhere = World::over(memory, Provisioning::InviteOnly);
    elsewhere.register("dan@example.com").await.unwrap();
}

#[tokio::test]
async fn an_invited_person_takes_a_seat_and_the_last_seat_is_the_last() {
    let world = World::new(Provisioning::PersonalTenant);
    let (ann, tenant) = world.register("ann@example.com").await.unwrap();
    let tenant_id = tenant.unwrap().id;
    let ann = world.within(tenant_id, &ann).await;
    let invite = |address: &str| {
        world
            .tenancy
            .invite(&ann, email(address), "developer".to_owned())
    };
    let bobs = invite("bob@example.com").await.unwrap();
    let (bob, own) = world.register("bob@example.com").await.unwrap();
    let by = world.within(own.unwrap().id, &bob).await;
    let token = world.tenancy.token_of(&bobs);
    let joined = world.app.accept_invitation(&by, &token).await.unwrap();
    assert_eq!(joined.id, tenant_id);
    let grant = world.within(tenant_id, &bob).await.grant.unwrap();
    assert_eq!(grant.roles, ["developer"]);
    invite("eve@example.com").await.unwrap();
    let refused = invite("dan@example.com").await;
    assert!(
        matches!(&refused, Err(InviteError::Limit(limit))
            if (limit.max, limit.used, limit.plan.as_str()) == (3, 3, "free")),
        "{refused:?}"
    );
}
