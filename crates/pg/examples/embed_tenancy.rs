//! Plinth as libraries: tenants and projects inside your own service, with no HTTP of ours.
//!
//! `cargo run -p plinth-pg --example embed_tenancy`
//!
//! With `DATABASE_URL` set to a migrated database and the role `plinth_app`, it works there; otherwise on a throw-away database.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

extern crate plinth_pg as pg;

use std::{error::Error, sync::Arc, time::Duration};

use identity::{Email, NewUser, UserStatus, user};
use kernel::{
    Clock, Grant, Name, PageRequest, Permission, Principal, PrincipalKind, RequestInfo, Scope,
    StoreError, SystemClock, TenantId, TenantStatus, UnitOfWork, UserId,
};
use tenancy::{
    InvitationTokens, Tenancy, Tenant,
    tenant::{self, CreateTenantError, NewTenant},
};
use testkit::TestDb;

/// Two of Plinth's domains in one transaction of yours: name the stores that you need, and the open transaction is one of them.
trait Onboarding: tenancy::Store + identity::Store + billing::Store {}
impl<S: tenancy::Store + identity::Store + billing::Store> Onboarding for S {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (pg, _throw_away) = connect().await?;
    pg.refuse_unsafe().await?;

    let onboarding: Arc<dyn UnitOfWork<dyn Onboarding>> = pg.unit_of_work(|tx| tx);
    let (owner, tenant) = onboard(&onboarding, "ann@example.com").await?;
    println!(
        "made {} ({}), owned by {}",
        tenant.name, tenant.slug, owner.name
    );

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tokens = InvitationTokens::derive(&[b"a secret of your deployment"]);
    let tenancy = Tenancy::new(pg.unit_of_work(|tx| tx), clock, tokens);
    let project = tenancy
        .create_project(&owner, Name::parse("name", "Rockets")?, None)
        .await?;
    println!("made the project {}", project.slug);

    // The free plan allows one project: the rule holds for embedders as it does for the API.
    match tenancy
        .create_project(&owner, Name::parse("name", "More rockets")?, None)
        .await
    {
        Err(error) => println!("refused a second one: {error}"),
        Ok(_) => return Err("the plan's limit did not hold".into()),
    }
    let projects = tenancy.projects(&owner, PageRequest::first()).await?;
    println!("{} project", projects.data.len());
    assert_eq!(projects.data, [project]);
    Ok(())
}

/// A person, their tenant and its subscription, all or nothing.
async fn onboard(
    db: &Arc<dyn UnitOfWork<dyn Onboarding>>,
    email: &str,
) -> Result<(Principal, Tenant), Box<dyn Error>> {
    let now = SystemClock.now();
    let (user_id, tenant_id) = (UserId::new(now), TenantId::new(now));
    let new = NewUser {
        id: user_id,
        email: Email::parse("email", email)?,
        email_verified: true,
        name: None,
        status: UserStatus::Active,
        password_hash: None,
        identity: None,
    };
    let by = owner_of(tenant_id, user_id, email);
    let scope = Scope::of(&by);
    let acting = by.clone();
    let made: Result<Tenant, CreateTenantError> = db
        .run(scope, move |store| {
            let unexpected = |error: String| StoreError::Unexpected(error);
            user::register(store, new, now).map_err(|error| unexpected(error.to_string()))?;
            let name = Name::parse("name", "Acme")?;
            let slug_from = name.as_str().to_owned();
            let new = NewTenant {
                name,
                slug: None,
                slug_from,
                is_personal: false,
            };
            let tenant = tenant::create(store, tenant_id, new, user_id, &acting, now)?;
            billing::subscription::subscribe(store, tenant_id, "free", &acting, now)
                .map_err(|error| unexpected(error.to_string()))?;
            Ok(tenant)
        })
        .await;
    Ok((by, made?))
}

/// Who acts: your service has authenticated them, and says what they may do.
fn owner_of(tenant_id: TenantId, user_id: UserId, email: &str) -> Principal {
    Principal {
        kind: PrincipalKind::User,
        id: user_id.into(),
        name: email.to_owned(),
        user_id: Some(user_id),
        grant: Some(Grant {
            tenant_id,
            status: TenantStatus::Active,
            roles: vec!["owner".to_owned()],
            permissions: [Permission::of("*")].into_iter().collect(),
            project_id: None,
        }),
        global: kernel::PermissionSet::default(),
        request: RequestInfo::default(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example has no configuration but this"
)]
async fn connect() -> Result<(pg::Pg, Option<TestDb>), StoreError> {
    if let Ok(url) = std::env::var("DATABASE_URL") {
        let statement_timeout = Duration::from_secs(5);
        let settings = pg::Settings {
            url,
            max_connections: 4,
            statement_timeout,
            prepared_statements: true,
        };
        return Ok((pg::Pg::connect(&settings)?, None));
    }
    let db = TestDb::create().await;
    Ok((db.pg(), Some(db)))
}
