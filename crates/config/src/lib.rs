//! Configuration of the Plinth binaries.
//!
//! `defaults.toml`, which is compiled in, names every key and says what it means. Over it go the TOML file that `PLINTH_CONFIG` names,
//! well-known variables such as `DATABASE_URL`, and `PLINTH__SECTION__KEY`. A key that nobody knows refuses to start, and so does a secret
//! that is missing: none has a default. This crate is where the services read the environment; nothing below them does.
//!
//! | file | what is in it |
//! |---|---|
//! | [`load`](Config::load) | the layers, one over the other |
//! | `variables` | which variable means which key |
//! | `keys` | which keys there are, which hold secrets, and what a misspelt one was meant to be |
//! | [`error`] | what is wrong, and where to mend it |
//! | [`http`] [`database`] [`identity`] [`usage`] [`mail`] [`worker`] [`observe`] | the sections |

mod check;
pub mod database;
pub mod error;
pub mod http;
pub mod identity;
mod keys;
mod load;
pub mod mail;
pub mod observe;
pub mod usage;
mod value;
mod variables;
pub mod worker;

use secrecy::SecretString;
use serde::Deserialize;

pub use database::Database;
pub use error::{ConfigError, Missing};
pub use http::{Http, Network, RateLimit};
pub use identity::{Clerk, Identity, Issuer, IssuerKind, Local, Provisioning};
pub use mail::Mail;
pub use observe::{Log, LogFormat, Telemetry};
pub use usage::{ExportFormat, Usage, UsageExport};
pub use worker::Worker;

/// The defaults, which are also the documentation of every key.
pub const DEFAULTS: &str = include_str!("../defaults.toml");

/// What a process of Plinth is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What kind of deployment this is.
    pub environment: Environment,
    /// The API's listener.
    pub http: Http,
    /// Where the database is.
    pub database: Database,
    /// Who is believed, and how keys are kept.
    pub identity: Identity,
    /// Payment providers.
    pub billing: Billing,
    /// How long events are kept.
    pub usage: Usage,
    /// How mail leaves.
    pub mail: Mail,
    /// How fast one caller may be.
    pub rate_limit: RateLimit,
    /// The worker.
    pub worker: Worker,
    /// The deployment's operators.
    pub platform: Platform,
    /// The log.
    pub log: Log,
    /// Traces.
    pub telemetry: Telemetry,
}

/// What kind of deployment this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// On a developer's machine.
    Dev,
    /// Under a test.
    Test,
    /// Everything else.
    Production,
}

/// Payment providers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Billing {
    /// For calls to Stripe.
    #[serde(deserialize_with = "value::optional_secret")]
    pub stripe_secret_key: Option<SecretString>,
}

/// The deployment's operators.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Key for `/v1/admin`.
    #[serde(deserialize_with = "value::optional_secret")]
    pub key: Option<SecretString>,
}

/// The programs, which need different secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `plinth-api`.
    Api,
    /// `plinth-worker`.
    Worker,
    /// `plinth-migrate`.
    Migrate,
}
