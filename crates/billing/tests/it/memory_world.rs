//! Billing over stores in memory, and a clock that is set by hand.

use std::sync::{Arc, Mutex};

use kernel::{
    Clock, Grant as Role, Permission, Principal, PrincipalKind, Scope, TenantId, TenantStatus,
};
use plinth_billing::{
    Billing, ExternalId, Grant, Kind, Order, Outlook, Override, Put, ResourceKind, Store, When,
    Wish, entitlement::Entitlement, resource::PutResourceError, subscription,
};
use testkit::{Memory, contract::fixture};
use time::{OffsetDateTime, macros::datetime};

/// When every tenant of these tests began.
pub(crate) const START: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
/// Fourteen of thirty-one days later.
pub(crate) const FIFTEENTH: OffsetDateTime = datetime!(2026-01-15 0:00 UTC);
/// The second period.
pub(crate) const FEBRUARY: OffsetDateTime = datetime!(2026-02-01 0:00 UTC);

struct HandClock(Mutex<OffsetDateTime>);

impl Clock for HandClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) billing: Billing,
    clock: Arc<HandClock>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(HandClock(Mutex::new(START)));
        let memory = Memory::with_clock(clock.clone());
        let billing = Billing::new(memory.unit_of_work(|tx| tx), clock.clone());
        Self {
            memory,
            billing,
            clock,
        }
    }

    pub(crate) fn set_clock(&self, now: OffsetDateTime) {
        *self.clock.0.lock().unwrap() = now;
    }

    /// A tenant on a plan, and a principal that may do everything in it.
    pub(crate) async fn tenant(&self, slug: &str, plan: &'static str) -> Principal {
        let id = self.tenant_without_plan(slug).await.tenant_id().unwrap();
        let by = Principal::system("test", Some(id));
        let (caller, now) = (by.clone(), self.clock.now());
        let db = self.memory.unit_of_work::<dyn Store>(|tx| tx);
        db.run(Scope::tenant(id), move |store| {
            subscription::subscribe(store, id, plan, &caller, now)
        })
        .await
        .unwrap();
        by
    }

    /// A tenant, and a principal that may do everything in it.
    pub(crate) async fn tenant_without_plan(&self, slug: &str) -> Principal {
        let id = fixture::stored_tenant(&self.memory, slug).await.id;
        Principal::system("test", Some(id))
    }

    pub(crate) async fn put(&self, by: &Principal, name: &str) -> Result<Put, PutResourceError> {
        let name = ExternalId::parse(name).unwrap();
        self.billing.put_resource(by, agents(), name).await
    }

    pub(crate) async fn order(&self, by: &Principal, plan: &str, when: When) -> Outlook {
        let plan = plan.to_owned();
        self.billing.change(by, Order { plan, when }).await.unwrap()
    }

    /// What is known of one entitlement.
    pub(crate) async fn entitlement(&self, by: &Principal, key: &str) -> Entitlement {
        let all = self.billing.entitlements(by).await.unwrap().entitlements;
        all.into_iter().find(|one| one.grant.key == key).unwrap()
    }

    /// A quota of `maximum` that no meter counts: what is settled does.
    pub(crate) fn grant_quota(&self, by: &Principal, key: &str, maximum: i64) {
        let given = Override {
            grant: Grant::new(key, Kind::Quota, Some(maximum)),
            expires_at: None,
            reason: None,
        };
        self.memory.grant_override(by.tenant_id().unwrap(), given);
    }

    /// The actions in the trail of a tenant, oldest first.
    pub(crate) async fn trail(&self, tenant_id: TenantId) -> Vec<String> {
        let db = self.memory.unit_of_work::<dyn audit::Store>(|tx| tx);
        let events = db.run(Scope::tenant(tenant_id), move |store| {
            store.events(
                tenant_id,
                &audit::EventFilter::default(),
                &kernel::PageRequest::first(),
                None,
            )
        });
        let events: Result<_, kernel::StoreError> = events.await;
        let newest_first = events.unwrap().into_iter().rev();
        newest_first.map(|event| event.action).collect()
    }
}

pub(crate) fn agents() -> ResourceKind {
    ResourceKind::parse("agents").unwrap()
}

pub(crate) fn wish(key: &str, quantity: i64) -> Wish {
    Wish {
        key: key.to_owned(),
        quantity,
        ttl_seconds: 60,
    }
}

/// Somebody with one permission in a tenant that stands at `status`.
pub(crate) fn with_permission(
    by: &Principal,
    permission: Permission,
    status: TenantStatus,
) -> Principal {
    Principal {
        kind: PrincipalKind::User,
        grant: Some(Role {
            tenant_id: by.tenant_id().unwrap(),
            status,
            roles: Vec::new(),
            permissions: [permission].into_iter().collect(),
            project_id: None,
        }),
        ..by.clone()
    }
}
