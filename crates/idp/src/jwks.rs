//! One key cache per issuer. Never shared: a key of one issuer must not verify a token of another, whatever its `kid`.
//!
//! Keys are fetched on first use and again after their TTL, in the background while the old ones go on to work. A token with an unknown
//! `kid` causes a fetch of its own, at most one per cool-down, so that a rotated key is found at once and made-up ones cost nothing.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use identity::TokenError;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{Jwk, PublicKeyUse},
};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use crate::{IssuerSettings, settings::is_trustworthy};

/// How long keys may be used while their issuer cannot be reached. Longer, and a key that the issuer withdrew would never die here.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The pause after a fetch that failed.
const RETRY: Duration = Duration::from_secs(1);
/// No honest key set is larger.
const MAX_BYTES: usize = 1 << 20;

/// A key, and the only algorithm it says it is for.
#[derive(Clone)]
pub struct VerificationKey {
    /// The key.
    pub key: DecodingKey,
    /// Its `alg`, when it has one.
    pub algorithm: Option<String>,
}

/// Why keys could not be had. For logs; clients learn only that they could not.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("{0} answered {1}")]
    Status(Url, reqwest::StatusCode),
    #[error("the answer of {0} is too long")]
    TooLong(Url),
    #[error("the answer of {0} cannot be read: {1}")]
    Unreadable(Url, serde_json::Error),
    #[error("discovery speaks of another issuer, or of keys at an address that is not https")]
    Discovery,
}

#[derive(Clone)]
struct KeySet {
    keys: HashMap<String, VerificationKey>,
    fetched_at: Instant,
}

#[derive(Default)]
struct Attempts {
    last_failure: Option<Instant>,
    last_for_unknown_kid: Option<Instant>,
}

struct Shared {
    client: Client,
    issuer: String,
    jwks_url: Option<String>,
    ttl: Duration,
    cooldown: Duration,
    current: RwLock<Option<KeySet>>,
    /// Held while fetching: whoever comes second waits, and finds what the first one fetched.
    attempts: Mutex<Attempts>,
}

/// The keys of one issuer.
#[derive(Clone)]
pub struct KeyCache(Arc<Shared>);

impl KeyCache {
    /// An empty cache. Asks nobody yet.
    ///
    /// # Errors
    /// The text of the error when no HTTP client can be made.
    pub fn new(settings: &IssuerSettings) -> Result<Self, String> {
        let (ttl, timeout, cooldown) = settings.jwks_timing();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(timeout)
            .user_agent("plinth")
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(Shared {
            client,
            issuer: settings.issuer.clone(),
            jwks_url: settings.jwks_url.clone(),
            ttl,
            cooldown,
            current: RwLock::new(None),
            attempts: Mutex::default(),
        })))
    }

    /// The key that a token names. A token that names none is checked with the only key of its issuer.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when the issuer has no such key, [`TokenError::KeysUnavailable`] when it could not be asked.
    pub async fn find(&self, kid: Option<&str>) -> Result<VerificationKey, TokenError> {
        let Some(set) = self.current() else {
            self.fetch().await?;
            return self.pick(kid).ok_or(TokenError::Invalid);
        };
        if set.fetched_at.elapsed() >= self.0.ttl {
            let cache = self.clone();
            tokio::spawn(async move { cache.refresh().await });
        }
        match self.pick(kid) {
            Some(key) => Ok(key),
            None => {
                self.fetch_for_unknown_kid().await?;
                self.pick(kid).ok_or(TokenError::Invalid)
            }
        }
    }

    fn current(&self) -> Option<KeySet> {
        let current = self
            .0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        current
            .clone()
            .filter(|set| set.fetched_at.elapsed() < MAX_AGE)
    }

    fn pick(&self, kid: Option<&str>) -> Option<VerificationKey> {
        let set = self.current()?;
        match kid {
            Some(kid) => set.keys.get(kid).cloned(),
            None if set.keys.len() == 1 => set.keys.into_values().next(),
            None => None,
        }
    }

    /// Fetches for the first time, unless somebody else did meanwhile.
    async fn fetch(&self) -> Result<(), TokenError> {
        let mut attempts = self.0.attempts.lock().await;
        match self.current() {
            Some(_) => Ok(()),
            None => self.fetch_locked(&mut attempts).await,
        }
    }

    /// Fetches again, unless somebody is at it. A failure changes nothing: the keys at hand go on to work, and it is logged.
    async fn refresh(&self) {
        let Ok(mut attempts) = self.0.attempts.try_lock() else {
            return;
        };
        if self
            .current()
            .is_none_or(|set| set.fetched_at.elapsed() >= self.0.ttl)
        {
            let _ = self.fetch_locked(&mut attempts).await;
        }
    }

    async fn fetch_for_unknown_kid(&self) -> Result<(), TokenError> {
        let mut attempts = self.0.attempts.lock().await;
        let cooling = |at: Instant| at.elapsed() < self.0.cooldown;
        if attempts.last_for_unknown_kid.is_some_and(cooling) {
            return Ok(());
        }
        self.fetch_locked(&mut attempts).await?;
        attempts.last_for_unknown_kid = Some(Instant::now());
        Ok(())
    }

    async fn fetch_locked(&self, attempts: &mut Attempts) -> Result<(), TokenError> {
        if attempts.last_failure.is_some_and(|at| at.elapsed() < RETRY) {
            return Err(TokenError::KeysUnavailable);
        }
        match self.0.fetch().await {
            Ok(keys) => {
                attempts.last_failure = None;
                let set = KeySet {
                    keys,
                    fetched_at: Instant::now(),
                };
                *self
                    .0
                    .current
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = Some(set);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(issuer = self.0.issuer, %error, "the issuer's keys cannot be had");
                attempts.last_failure = Some(Instant::now());
                Err(TokenError::KeysUnavailable)
            }
        }
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct RawKeySet {
    keys: Vec<Value>,
}

impl Shared {
    async fn fetch(&self) -> Result<HashMap<String, VerificationKey>, FetchError> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let set: RawKeySet = self.get(&url).await?;
        Ok(set.keys.into_iter().filter_map(verification_key).collect())
    }

    async fn discover(&self) -> Result<String, FetchError> {
        let issuer = self.issuer.trim_end_matches('/');
        let found: Discovery = self
            .get(&format!("{issuer}/.well-known/openid-configuration"))
            .await?;
        let trustworthy = Url::parse(&found.jwks_uri).is_ok_and(|url| is_trustworthy(&url));
        if found.issuer == self.issuer && trustworthy {
            Ok(found.jwks_uri)
        } else {
            Err(FetchError::Discovery)
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let mut response = self.client.get(url).send().await?;
        let url = response.url().clone();
        if !response.status().is_success() {
            return Err(FetchError::Status(url, response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(FetchError::TooLong(url));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| FetchError::Unreadable(url, error))
    }
}

/// A published key, if it is one that verifies signatures. Others, and shared secrets that somebody published, are passed over.
fn verification_key(value: Value) -> Option<(String, VerificationKey)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let signs = !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| signs)?;
    if key.family() == jsonwebtoken::AlgorithmFamily::Hmac {
        return None;
    }
    let algorithm = jwk
        .common
        .key_algorithm
        .map(|algorithm| algorithm.to_string());
    let kid = jwk.common.key_id.unwrap_or_default();
    Some((kid, VerificationKey { key, algorithm }))
}

impl VerificationKey {
    /// Whether the key may be used with this algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.family() == algorithm.family()
            && self
                .algorithm
                .as_deref()
                .is_none_or(|own| own.parse() == Ok(algorithm))
    }
}
