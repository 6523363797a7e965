//! A deployment in memory.

use std::sync::Arc;

use kernel::{Email, Grant, Name, Principal, PrincipalKind, RequestInfo, Scope, TenantId, UserId};
use plinth_tenancy::{
    InvitationTokens, Slug, Store, Tenancy,
    tenant::{self, NewTenant},
};
use testkit::{
    Memory, StoppedClock,
    contract::{Backend, Seed, people},
};
use time::{OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// The façade, what it stands on, and the people.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) tenancy: Tenancy,
    pub(crate) clock: Arc<StoppedClock>,
}

/// Somebody who has signed in, and has not chosen a tenant.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) email: Email,
    principal: Principal,
}

impl Person {
    pub(crate) fn alone(&self) -> Principal {
        self.principal.clone()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = StoppedClock::at(NOW);
        let memory = Memory::with_clock(clock.clone());
        let tokens = InvitationTokens::derive(&[b"a secret of the deployment"]);
        let tenancy = Tenancy::new(memory.unit_of_work(|tx| tx), clock.clone(), tokens);
        Self {
            memory,
            tenancy,
            clock,
        }
    }

    pub(crate) async fn person(&self, name: &str) -> Person {
        let user = people::stored_user(&self.memory, name).await;
        let principal = Principal {
            kind: PrincipalKind::User,
            id: user.id.as_uuid(),
            name: user.email.as_str().to_owned(),
            user_id: Some(user.id),
            ..Principal::anonymous(RequestInfo::default())
        };
        Person {
            id: user.id,
            email: user.email,
            principal,
        }
    }

    /// A tenant on a plan, owned by `owner`.
    pub(crate) async fn tenant(&self, slug: &str, plan: &'static str, owner: &Person) -> TenantId {
        let tenant_id = TenantId::new(NOW);
        let new = NewTenant {
            name: Name::parse("name", slug).unwrap(),
            slug: Some(Slug::parse(slug).unwrap()),
            slug_from: slug.to_owned(),
            is_personal: false,
        };
        let (owner, by) = (owner.id, owner.alone());
        let scope = Scope {
            tenant_id: Some(tenant_id),
            ..Scope::of(&by)
        };
        let made = self.run(scope, move |store| {
            tenant::create(store, tenant_id, new, owner, &by, NOW)
        });
        made.await.unwrap();
        self.memory
            .seed(Seed::Subscription { tenant_id, plan })
            .await;
        tenant_id
    }

    /// The person as they stand in a tenant at this moment: what a request makes of a token.
    pub(crate) async fn within(&self, tenant_id: TenantId, person: &Person) -> Principal {
        let memberships = self.tenancy.memberships_of(person.id).await.unwrap();
        let mut memberships = memberships.into_iter();
        let membership = memberships.find(|membership| membership.tenant.id == tenant_id);
        let grant = membership.map(|membership| Grant {
            tenant_id,
            status: membership.tenant.status,
            roles: membership.roles,
            permissions: membership.permissions,
            project_id: None,
        });
        Principal {
            grant,
            ..person.alone()
        }
    }

    /// Lets a person in by an invitation of `by`.
    pub(crate) async fn join(&self, by: &Principal, person: &Person, role: &str) -> Principal {
        let tenancy = &self.tenancy;
        let invited = tenancy.invite(by, person.email.clone(), role.to_owned());
        let token = tenancy.token_of(&invited.await.unwrap());
        let email = person.email.as_str().to_owned();
        let joined = tenancy.accept(&person.alone(), email, &token).await;
        self.within(joined.unwrap().id, person).await
    }

    /// A rule without the façade, in one transaction.
    pub(crate) async fn run<T, E>(
        &self,
        scope: Scope,
        rule: impl FnOnce(&mut dyn Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<kernel::StoreError> + Send + 'static,
    {
        let db: Arc<dyn kernel::UnitOfWork<dyn Store>> = self.memory.unit_of_work(|tx| tx);
        db.run(scope, move |store| rule(store)).await
    }

    /// What happened in a tenant, by name: what happened at one instant has no order.
    pub(crate) async fn trail(&self, tenant_id: TenantId) -> Vec<String> {
        let db = self.memory.audit();
        let events = db.run(Scope::tenant(tenant_id), move |store| {
            let page = kernel::PageRequest::first();
            store.events(tenant_id, &audit::EventFilter::default(), &page, None)
        });
        let events: Result<_, kernel::StoreError> = events.await;
        let actions = events.unwrap().into_iter().map(|event| event.action);
        let mut actions: Vec<String> = actions.collect();
        actions.sort();
        actions
    }
}
