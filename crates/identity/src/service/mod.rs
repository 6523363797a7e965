//! The façade that the API holds.

mod access;
mod keys;
mod log_in;

use std::sync::Arc;

use kernel::{Clock, UnitOfWork};

pub use self::{
    access::{AccessError, ReadMeError},
    log_in::{LogInError, RefreshError, Tokens},
};
use crate::{KeyReader, LastUsed, PasswordHasher, Peppers, Store, TokenIssuer};

/// Log-in, sessions, API keys, and what the store knows of those who show a token or a key.
#[derive(Clone)]
pub struct Identity {
    db: Arc<dyn UnitOfWork<dyn Store>>,
    clock: Arc<dyn Clock>,
    hasher: Arc<dyn PasswordHasher>,
    issuer: Option<Arc<dyn TokenIssuer>>,
    peppers: Arc<Peppers>,
    last_used: Arc<LastUsed>,
    key_reader: Option<Arc<dyn KeyReader>>,
}

impl Identity {
    /// A façade over `db`. Without an `issuer` the built-in log-in is off.
    #[must_use]
    pub fn new(
        db: Arc<dyn UnitOfWork<dyn Store>>,
        clock: Arc<dyn Clock>,
        hasher: Arc<dyn PasswordHasher>,
        issuer: Option<Arc<dyn TokenIssuer>>,
        peppers: Peppers,
    ) -> Self {
        let (peppers, last_used) = (Arc::new(peppers), Arc::default());
        Self {
            db,
            clock,
            hasher,
            issuer,
            peppers,
            last_used,
            key_reader: None,
        }
    }

    /// The same, but keys that many show at once are read together.
    #[must_use]
    pub fn with_key_reader(self, reader: Arc<dyn KeyReader>) -> Self {
        Self {
            key_reader: Some(reader),
            ..self
        }
    }

    /// Whether people can sign up and log in here, without another issuer.
    #[must_use]
    pub fn has_local_log_in(&self) -> bool {
        self.issuer.is_some()
    }
}
