//! A person comes for the first time: by registering, or with the token of an identity provider that Plinth trusts.

use std::sync::Arc;

use identity::{
    Email, HasherError, Identity, MintError, NewUser, Password, RegisterError, Session, Tokens,
    User, UserStatus, VerifiedIdentity, session, user,
};
use kernel::{
    Clock, FieldError, Grant, LimitReached, Name, Permission, Principal, PrincipalKind,
    RequestInfo, Scope, StoreError, TenantId, TenantStatus, UnitOfWork, UserId,
};
use tenancy::{
    Tenant,
    tenant::{self, CreateTenantError, NewTenant},
};
use time::OffsetDateTime;

/// What a sign-up writes. Implemented by whatever implements its parts.
pub trait SignUpStore: tenancy::Store + identity::Store + billing::Store {}
impl<S: tenancy::Store + identity::Store + billing::Store> SignUpStore for S {}

/// Code of the plan that every new tenant starts on.
pub const FIRST_PLAN: &str = "free";

/// What a deployment does with people whom it sees for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioning {
    /// Each gets a tenant of their own.
    PersonalTenant,
    /// All become members of one tenant.
    SharedTenant(TenantId),
    /// They get nothing until they accept an invitation.
    InviteOnly,
    /// They wait until somebody lets them in.
    Waitlist,
}

/// Use cases over several domains.
#[derive(Clone)]
pub struct App {
    pub(crate) db: Arc<dyn UnitOfWork<dyn SignUpStore>>,
    pub(crate) identity: Identity,
    pub(crate) tenancy: tenancy::Tenancy,
    pub(crate) clock: Arc<dyn Clock>,
    provisioning: Provisioning,
}

/// Somebody who registers with the built-in log-in.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Their address.
    pub email: Email,
    /// Their password.
    pub password: Password,
    /// What they are called.
    pub name: Option<Name>,
}

/// Why somebody was not signed up.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// The deployment has no built-in log-in.
    #[error("the built-in log-in is off")]
    Disabled,
    /// The user could not be made.
    #[error(transparent)]
    User(#[from] RegisterError),
    /// Their tenant could not be made.
    #[error(transparent)]
    Tenant(#[from] CreateTenantError),
    /// Their subscription could not be made.
    #[error(transparent)]
    Subscription(#[from] billing::subscription::SubscribeError),
    /// The tenant that everybody joins is full.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// A value breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The password could not be hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// No token could be made.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignUpError {
    /// Two people may be given the same free slug at once; the one who lost it just tries the next.
    const fn is_slug_race(&self) -> bool {
        matches!(self, Self::Tenant(CreateTenantError::SlugTaken { .. }))
    }
}

/// How often a sign-up looks for another slug.
const SLUG_ATTEMPTS: usize = 5;

impl App {
    /// Use cases over `db`.
    #[must_use]
    pub fn new(
        db: Arc<dyn UnitOfWork<dyn SignUpStore>>,
        identity: Identity,
        tenancy: tenancy::Tenancy,
        clock: Arc<dyn Clock>,
        provisioning: Provisioning,
    ) -> Self {
        Self {
            db,
            identity,
            tenancy,
            clock,
            provisioning,
        }
    }

    /// Registers somebody with the built-in log-in, and opens their first session.
    ///
    /// # Errors
    /// See [`SignUpError`].
    pub async fn register(
        &self,
        registration: Registration,
        request: RequestInfo,
    ) -> Result<(User, Option<Tenant>, Tokens), SignUpError> {
        if !self.identity.has_local_log_in() {
            return Err(SignUpError::Disabled);
        }
        let hash = self.identity.hash_password(registration.password).await?;
        let now = self.clock.now();
        let new = NewUser {
            id: UserId::new(now),
            email: registration.email,
            email_verified: false,
            name: registration.name,
            status: self.first_status(),
            password_hash: Some(hash),
            identity: None,
        };
        let (user, tenant, opened) = self.sign_up(new, request, true).await?;
        let (session, refresh) = opened
            .ok_or_else(|| StoreError::Unexpected("the sign-up opened no session".to_owned()))?;
        let tokens = self.identity.tokens(&user, session.id, &refresh)?;
        Ok((user, tenant, tokens))
    }

    /// Makes a user of an identity that a trusted issuer vouches for and that nobody has seen before, or links it to the person who has
    /// proved the same address.
    ///
    /// # Errors
    /// See [`SignUpError`].
    pub async fn first_sight(
        &self,
        seen: &VerifiedIdentity,
        request: RequestInfo,
    ) -> Result<User, SignUpError> {
        if let Some(user) = self.identity.link(seen).await? {
            return Ok(user);
        }
        let now = self.clock.now();
        let new = |email: Email, verified: bool| NewUser {
            id: UserId::new(now),
            email,
            email_verified: verified,
            name: seen
                .name
                .as_deref()
                .and_then(|name| Name::parse("name", name).ok()),
            status: self.first_status(),
            password_hash: None,
            identity: Some(seen.identity.clone()),
        };
        // An address that nobody vouches for, or that is somebody else's, is not theirs to take.
        let vouched = seen.email.clone().filter(|_| seen.email_verified);
        if let Some(email) = vouched {
            match self.sign_up(new(email, true), request.clone(), false).await {
                Err(SignUpError::User(RegisterError::EmailTaken)) => {}
                outcome => return outcome.map(|(user, _, _)| user),
            }
        }
        let unknown = placeholder(seen)?;
        self.sign_up(new(unknown, false), request, false)
            .await
            .map(|(user, _, _)| user)
    }

    const fn first_status(&self) -> UserStatus {
        match self.provisioning {
            Provisioning::Waitlist => UserStatus::Waitlist,
            _ => UserStatus::Active,
        }
    }

    async fn sign_up(
        &self,
        new: NewUser,
        request: RequestInfo,
        with_session: bool,
    ) -> Result<SignedUp, SignUpError> {
        let mut attempt = 1;
        loop {
            let result = self
                .sign_up_once(new.clone(), request.clone(), with_session)
                .await;
            match result {
                Err(error) if error.is_slug_race() && attempt < SLUG_ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn sign_up_once(
        &self,
        new: NewUser,
        request: RequestInfo,
        with_session: bool,
    ) -> Result<SignedUp, SignUpError> {
        let now = self.clock.now();
        let provisioning = self.provisioning;
        let tenant_id = match provisioning {
            Provisioning::PersonalTenant => Some(TenantId::new(now)),
            Provisioning::SharedTenant(id) => Some(id),
            Provisioning::InviteOnly | Provisioning::Waitlist => None,
        };
        let by = newcomer(&new, tenant_id, request);
        let scope = Scope {
            tenant_id,
            ..Scope::of(&by)
        };
        self.db
            .run(scope, move |store| {
                let user = user::register(store, new, now)?;
                let tenant = tenant_id
                    .map(|id| provide(store, provisioning, id, &user, &by, now))
                    .transpose()?;
                let session = if with_session {
                    Some(session::open(store, &user, now)?)
                } else {
                    None
                };
                Ok((user, tenant, session))
            })
            .await
    }
}

type SignedUp = (
    User,
    Option<Tenant>,
    Option<(Session, identity::RefreshToken)>,
);

/// Gives a newcomer their first tenant.
fn provide(
    store: &mut dyn SignUpStore,
    provisioning: Provisioning,
    id: TenantId,
    user: &User,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Tenant, SignUpError> {
    let tenant = if let Provisioning::SharedTenant(_) = provisioning {
        let (allowance, used) = store.seats(id, now)?;
        allowance.admit("max_members", used)?;
        let roles = ["member".to_owned()];
        tenancy::membership::add(store, id, user.id, &roles, None, by, now)?;
        let shared = tenancy::TenantStore::tenant(store, id)?;
        shared.ok_or_else(|| {
            StoreError::Unexpected(format!("the shared tenant {id} does not exist"))
        })?
    } else {
        let local = user.email.local_part();
        let called = user.name.as_ref().map_or(local, Name::as_str);
        let called: String = called.chars().take(200).collect();
        let new = NewTenant {
            name: Name::parse("name", &format!("{called}'s workspace"))?,
            slug: None,
            slug_from: local.to_owned(),
            is_personal: true,
        };
        open_tenant(store, id, new, user.id, by, now)?
    };
    store.record(user::registered(user, id, by, now))?;
    store.set_last_tenant(user.id, id)?;
    Ok(tenant)
}

/// Makes a tenant with its owner and its first subscription.
///
/// # Errors
/// See [`SignUpError`].
pub(crate) fn open_tenant(
    store: &mut dyn SignUpStore,
    id: TenantId,
    new: NewTenant,
    owner: UserId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Tenant, SignUpError> {
    let tenant = tenant::create(store, id, new, owner, by, now)?;
    billing::subscription::subscribe(store, id, FIRST_PLAN, by, now)?;
    Ok(tenant)
}

fn newcomer(new: &NewUser, tenant_id: Option<TenantId>, request: RequestInfo) -> Principal {
    Principal {
        kind: PrincipalKind::User,
        id: new.id.into(),
        name: new.email.as_str().to_owned(),
        user_id: Some(new.id),
        grant: tenant_id.map(|tenant_id| Grant {
            tenant_id,
            status: TenantStatus::Active,
            roles: vec!["owner".to_owned()],
            permissions: [Permission::of("*")].into_iter().collect(),
            project_id: None,
        }),
        global: kernel::PermissionSet::default(),
        request,
    }
}

/// An address that nobody can have, for those whose issuer says none that counts.
fn placeholder(seen: &VerifiedIdentity) -> Result<Email, FieldError> {
    let name = format!("{} {}", seen.identity.issuer, seen.identity.subject);
    let digest = identity::Digest256::of(name.as_bytes());
    let mut hex = base16ct::lower::encode_string(digest.as_bytes());
    hex.truncate(32);
    Email::parse("email", &format!("{hex}@unknown.invalid"))
}
