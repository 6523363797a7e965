//! A deployment in memory.

use std::sync::Arc;

use idp::{Argon2Hasher, LocalIssuer, generate_signing_key, token::Unverified};
use kernel::{
    Clock, Grant, Principal, PrincipalKind, RequestInfo, Scope, StoreError, TenantId, UnitOfWork,
    UserId,
};
use plinth_identity::{
    AccessQuery, ExternalIdentity, Identity, Pepper, Peppers, Store, TokenIssuer, User, UserAccess,
    VerifiedIdentity,
};
use secrecy::{ExposeSecret, SecretString};
use testkit::{
    Memory, StoppedClock,
    contract::{Backend, fixture, people},
};
use time::{OffsetDateTime, macros::datetime};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// The façade, and what it stands on.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<StoppedClock>,
    hasher: Arc<Argon2Hasher>,
    issuer: LocalIssuer,
}

/// Two peppers that differ.
pub(crate) fn pepper(version: i16) -> Pepper {
    let byte = u8::try_from(version).unwrap();
    Pepper {
        version,
        key: vec![byte; 32].into(),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = StoppedClock::at(NOW);
        let memory = Memory::with_clock(clock.clone());
        let hasher = Argon2Hasher::new().unwrap();
        let issuer = LocalIssuer::new("plinth", &generate_signing_key()).unwrap();
        let identity = Identity::new(
            memory.unit_of_work(|tx| tx),
            clock.clone(),
            hasher.clone(),
            Some(Arc::new(issuer.clone())),
            Peppers::new(vec![pepper(1)]).unwrap(),
        );
        Self {
            memory,
            identity,
            clock,
            hasher,
            issuer,
        }
    }

    /// The façade of another process over the same store.
    pub(crate) fn restarted(
        &self,
        peppers: Vec<Pepper>,
        issuer: Option<Arc<dyn TokenIssuer>>,
    ) -> Identity {
        Identity::new(
            self.memory.unit_of_work(|tx| tx),
            self.clock.clone(),
            self.hasher.clone(),
            issuer,
            Peppers::new(peppers).unwrap(),
        )
    }

    /// A tenant, and Ann, who owns it.
    pub(crate) async fn acme(&self) -> (TenantId, User) {
        let tenant_id = fixture::stored_tenant(&self.memory, "acme").await.id;
        let ann = people::stored_member(&self.memory, tenant_id, "ann", &["owner"]).await;
        (tenant_id, ann)
    }

    /// A user as they stand in a tenant at this moment: what a request makes of a token.
    pub(crate) async fn within(&self, tenant_id: TenantId, user: &User) -> Principal {
        let query = AccessQuery {
            tenant_id: Some(tenant_id),
            ..self.query(user.id)
        };
        let access = self.identity.access(query).await.unwrap().unwrap();
        let grant = access.membership.map(|membership| Grant {
            tenant_id,
            status: membership.tenant_status,
            roles: membership.roles,
            permissions: membership.permissions,
            project_id: None,
        });
        Principal {
            kind: PrincipalKind::User,
            id: user.id.as_uuid(),
            name: user.display_name().to_owned(),
            user_id: Some(user.id),
            grant,
            ..Principal::anonymous(RequestInfo::default())
        }
    }

    fn query(&self, user_id: UserId) -> AccessQuery {
        AccessQuery {
            identity: ExternalIdentity {
                issuer: "plinth".to_owned(),
                subject: user_id.to_string(),
            },
            user_id: Some(user_id),
            session_id: None,
            tenant_id: None,
            org: None,
            now: self.clock.now(),
        }
    }

    /// What an access token proves at this moment.
    pub(crate) fn proves(&self, token: &SecretString) -> Option<VerifiedIdentity> {
        let token = Unverified::parse(token.expose_secret()).ok()?;
        self.issuer.verify(&token, self.clock.now()).ok()
    }

    /// What the store knows of whoever shows an access token.
    pub(crate) async fn access(&self, token: &SecretString) -> Option<UserAccess> {
        let seen = self.proves(token)?;
        let query = AccessQuery {
            session_id: seen.session_id,
            ..self.query(seen.user_id?)
        };
        self.identity.access(query).await.unwrap()
    }

    /// A rule without the façade, in one transaction.
    pub(crate) async fn run<T, E>(
        &self,
        scope: Scope,
        rule: impl FnOnce(&mut dyn Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let db: Arc<dyn UnitOfWork<dyn Store>> = self.memory.unit_of_work(|tx| tx);
        db.run(scope, move |store| rule(store)).await
    }

    /// What happened in a tenant, by name: what happened at one instant has no order.
    pub(crate) async fn trail(&self, tenant_id: TenantId) -> Vec<String> {
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
