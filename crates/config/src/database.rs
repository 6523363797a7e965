//! Where the database is. Each program connects as a role of its own.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::{ConfigError, Missing, value::optional_secret};

/// Where the database is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// For the API.
    #[serde(deserialize_with = "optional_secret")]
    pub url: Option<SecretString>,
    /// For the worker, when it is not the API's.
    #[serde(deserialize_with = "optional_secret")]
    pub worker_url: Option<SecretString>,
    /// For migrations.
    #[serde(deserialize_with = "optional_secret")]
    pub owner_url: Option<SecretString>,
    /// For what the API listens on, when it is not the API's.
    #[serde(deserialize_with = "optional_secret")]
    pub listen_url: Option<SecretString>,
    /// Connections at most, of one process.
    pub max_connections: usize,
    /// How long one statement may take.
    pub statement_timeout_ms: u64,
    /// Whether connections keep what they prepared.
    pub prepared_statements: bool,
}

impl Database {
    /// What the API connects to.
    ///
    /// # Errors
    /// [`ConfigError::Missing`].
    pub fn app_url(&self) -> Result<&SecretString, ConfigError> {
        self.url.as_ref().ok_or_else(|| {
            missing(
                "database.url",
                "DATABASE_URL",
                "what the API connects as: the role plinth_app",
            )
        })
    }

    /// What the worker connects to.
    ///
    /// # Errors
    /// [`ConfigError::Missing`].
    pub fn worker_url(&self) -> Result<&SecretString, ConfigError> {
        self.worker_url
            .as_ref()
            .or(self.url.as_ref())
            .ok_or_else(|| {
                missing(
                    "database.worker_url",
                    "WORKER_DATABASE_URL",
                    "what the worker connects as: the role plinth_worker",
                )
            })
    }

    /// What the API listens on: a session of its own, which no pooler lends to others in between.
    ///
    /// # Errors
    /// [`ConfigError::Missing`].
    pub fn listen_url(&self) -> Result<&SecretString, ConfigError> {
        self.listen_url.as_ref().map_or_else(|| self.app_url(), Ok)
    }

    /// What migrations connect to.
    ///
    /// # Errors
    /// [`ConfigError::Missing`].
    pub fn owner_url(&self) -> Result<&SecretString, ConfigError> {
        self.owner_url.as_ref().ok_or_else(|| {
            missing(
                "database.owner_url",
                "OWNER_DATABASE_URL",
                "what migrations connect as: the role plinth_owner",
            )
        })
    }

    /// How long one statement may take.
    #[must_use]
    pub const fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }
}

fn missing(key: &'static str, variable: &'static str, purpose: &'static str) -> ConfigError {
    ConfigError::Missing(vec![Missing {
        key,
        variable,
        purpose,
    }])
}
