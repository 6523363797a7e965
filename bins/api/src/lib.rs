//! Which adapter stands behind which port of the API. The HTTP tests are wired by the same code as production.

use std::sync::Arc;

use app::{App, Provisioning, authenticate::Authenticate, idempotency::Idempotency};
use config::{Config, ConfigError, Environment};
use identity::{Identity, Pepper, Peppers};
use idp::{Argon2Hasher, IssuerKind, IssuerSettings, Issuers, LocalIssuer};
use kernel::{BoxFuture, Clock, StoreError, SystemClock};
use pg::{
    GroupCommit, Pg, PgKeyReader, PgStandingReader,
    listen::{Heard, listen},
};
use rest::{
    Services, Settings,
    caller::{AccessCache, Authenticator, cache::Bell},
    health::Database,
    metrics::Metrics,
    rate_limit::RateLimits,
};
use secrecy::{ExposeSecret, SecretString};
use tenancy::{InvitationTokens, Tenancy};

/// Why the API did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is incomplete or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `identity.shared_tenant_id` is no id.
    #[error("identity.shared_tenant_id: {0} is no UUID")]
    SharedTenant(String),
    /// A trusted issuer is configured wrongly.
    #[error(transparent)]
    Issuer(#[from] idp::SettingsError),
    /// The peppers of API keys cannot be used.
    #[error(transparent)]
    Pepper(#[from] identity::PepperError),
    /// The password hasher cannot be made.
    #[error(transparent)]
    Hasher(#[from] identity::HasherError),
    /// The database, or its role.
    #[error("the database: {0}")]
    Database(#[from] StoreError),
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] rest::metrics::MetricsError),
    /// The socket, or the runtime.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// The pool that the API serves with.
///
/// # Errors
/// See [`Failure`].
pub fn database(config: &Config) -> Result<Pg, Failure> {
    Ok(Pg::connect(&database_settings(config)?)?)
}

fn database_settings(config: &Config) -> Result<pg::Settings, Failure> {
    Ok(pg::Settings {
        url: config.database.app_url()?.expose_secret().to_owned(),
        max_connections: config.database.max_connections,
        statement_timeout: config.database.statement_timeout(),
        prepared_statements: config.database.prepared_statements,
    })
}

/// Threads that write events, each on a connection of its own: while one waits for its commit, the other fills its group.
const EVENT_WRITERS: usize = 2;

/// Everything that a handler may call, over `pg`. Starts the thread that hears of changed access.
///
/// # Errors
/// See [`Failure`].
pub fn services(config: &Config, pg: &Pg) -> Result<Services, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let peppers = config.identity.peppers()?;
    let secrets: Vec<&[u8]> = peppers
        .iter()
        .map(|(_, pepper)| pepper.expose_secret().as_bytes())
        .collect();
    let tenancy = Tenancy::new(
        pg.unit_of_work(|tx| tx),
        Arc::clone(&clock),
        InvitationTokens::derive(&secrets),
    );
    let issuers = Issuers::new(&issuer_settings(config)?)?;
    let local = issuers.local();
    let identity = identity(pg, &clock, local.clone(), &peppers)?;
    let app = App::new(
        pg.unit_of_work(|tx| tx),
        identity.clone(),
        tenancy.clone(),
        Arc::clone(&clock),
        provisioning(config)?,
    );
    let idempotency_secret = secrets.first().copied().unwrap_or_default();
    let operator = config.platform.key.as_ref();
    let authenticate = Authenticate::new(app.clone(), Arc::new(issuers), operator);
    let limits = &config.rate_limit;
    let intake = GroupCommit::start(&database_settings(config)?, EVENT_WRITERS)?;
    Ok(Services {
        billing: billing::Billing::new(pg.unit_of_work(|tx| tx), Arc::clone(&clock))
            .with_standing_reader(Arc::new(PgStandingReader::new(pg.clone()))),
        usage: usage::Usage::new(pg.unit_of_work(|tx| tx), Arc::clone(&clock))
            .with_intake(Arc::new(intake)),
        audit: audit::Audit::new(pg.unit_of_work(|tx| tx)),
        idempotency: Idempotency::new(pg.unit_of_work(|tx| tx), clock, idempotency_secret),
        authenticator: Authenticator::new(authenticate, access_cache(config)?),
        published_keys: published_keys(local.as_deref()),
        limits: RateLimits::new(
            limits.requests_per_second,
            limits.burst,
            limits.sign_in_per_minute,
        ),
        metrics: Metrics::new()?,
        database: Arc::new(Health(pg.clone())),
        settings: settings(config),
        tenancy,
        identity,
        app,
    })
}

fn identity(
    pg: &Pg,
    clock: &Arc<dyn Clock>,
    local: Option<Arc<LocalIssuer>>,
    peppers: &[(i16, SecretString)],
) -> Result<Identity, Failure> {
    let peppers = peppers.iter().map(|(version, pepper)| Pepper {
        version: *version,
        key: pepper.expose_secret().as_bytes().to_vec().into(),
    });
    Ok(Identity::new(
        pg.unit_of_work(|tx| tx),
        Arc::clone(clock),
        Argon2Hasher::new()?,
        local.map(|issuer| issuer as _),
        Peppers::new(peppers.collect())?,
    )
    .with_key_reader(Arc::new(PgKeyReader::new(pg))))
}

/// The issuers of the configuration, and the built-in one.
fn issuer_settings(config: &Config) -> Result<Vec<IssuerSettings>, Failure> {
    let mut settings: Vec<IssuerSettings> = config.identity.issuers.iter().map(issuer).collect();
    if let Some(key) = config.identity.local.key()? {
        let local = IssuerSettings::new(IssuerKind::Local, &config.identity.local.issuer);
        settings.push(IssuerSettings {
            signing_key: Some(key.clone()),
            ..local
        });
    }
    Ok(settings)
}

fn issuer(entry: &config::Issuer) -> IssuerSettings {
    let kind = match entry.kind {
        config::IssuerKind::Clerk => IssuerKind::Clerk,
        config::IssuerKind::Keycloak => IssuerKind::Keycloak,
        config::IssuerKind::Oidc => IssuerKind::Oidc,
        config::IssuerKind::Local => IssuerKind::Local,
    };
    IssuerSettings {
        jwks_url: entry.jwks_url.clone(),
        algorithms: entry.algorithms.clone(),
        audience: entry.audience.clone(),
        authorized_parties: entry.authorized_parties.clone(),
        leeway_seconds: entry.leeway_seconds,
        jwks_ttl_seconds: entry.jwks_ttl_seconds,
        jwks_timeout_seconds: entry.jwks_timeout_seconds,
        jwks_cooldown_seconds: entry.jwks_cooldown_seconds,
        token_types: entry.token_types.clone(),
        ..IssuerSettings::new(kind, &entry.issuer)
    }
}

fn provisioning(config: &Config) -> Result<Provisioning, Failure> {
    Ok(match config.identity.provisioning {
        config::Provisioning::PersonalTenant => Provisioning::PersonalTenant,
        config::Provisioning::SharedTenant => {
            let id = config
                .identity
                .shared_tenant_id
                .as_deref()
                .unwrap_or_default();
            Provisioning::SharedTenant(
                id.parse()
                    .map_err(|_| Failure::SharedTenant(id.to_owned()))?,
            )
        }
        config::Provisioning::InviteOnly => Provisioning::InviteOnly,
        config::Provisioning::Waitlist => Provisioning::Waitlist,
    })
}

/// A cache that hears within moments of what other processes change.
fn access_cache(config: &Config) -> Result<AccessCache, Failure> {
    let cache = AccessCache::new();
    let ears = cache.ears();
    let url = config.database.listen_url()?.expose_secret().to_owned();
    let pass_on = move |heard| {
        ears(match heard {
            Heard::Connected => Bell::Listening(true),
            Heard::Lost => Bell::Listening(false),
            Heard::Payload(payload) => Bell::Rang(payload),
            Heard::AllUntil(instant) => Bell::Heard(instant),
        })
    };
    listen(url, "plinth_access", Box::new(pass_on));
    Ok(cache)
}

fn published_keys(local: Option<&LocalIssuer>) -> serde_json::Value {
    let keys = local.and_then(|issuer| serde_json::to_value(issuer.jwks()).ok());
    keys.unwrap_or_else(|| serde_json::json!({ "keys": [] }))
}

fn settings(config: &Config) -> Settings {
    let proxies = config.http.trusted_proxies.clone();
    Settings {
        max_body_bytes: config.http.max_body_bytes,
        expose_invitation_tokens: config.environment == Environment::Dev,
        trusts_proxy: Arc::new(move |address| {
            proxies.iter().any(|network| network.contains(address))
        }),
    }
}

struct Health(Pg);

impl Database for Health {
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.0.ping())
    }

    fn connections(&self) -> (usize, usize) {
        self.0.connections()
    }
}
