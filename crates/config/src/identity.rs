//! Who is believed, and how keys are kept.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    ConfigError, Missing,
    value::{optional_secret, optional_text},
};

/// Who is believed, and how keys are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// What the first sight of a verified person makes.
    pub provisioning: Provisioning,
    /// Id of the tenant that everybody joins under [`Provisioning::SharedTenant`].
    #[serde(deserialize_with = "optional_text")]
    pub shared_tenant_id: Option<String>,
    /// Secret that API keys are stored under.
    #[serde(deserialize_with = "optional_secret")]
    pub api_key_pepper: Option<SecretString>,
    /// Its number.
    pub api_key_pepper_version: i16,
    /// Older ones, each as `number:pepper`.
    pub previous_api_key_peppers: Vec<SecretString>,
    /// Whose tokens are believed, besides the built-in log-in's.
    pub issuers: Vec<Issuer>,
    /// The built-in log-in.
    pub local: Local,
    /// Clerk, beyond its tokens.
    pub clerk: Clerk,
}

/// What the first sight of a verified person makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provisioning {
    /// A tenant of their own.
    PersonalTenant,
    /// A membership in the one tenant of the deployment.
    SharedTenant,
    /// Nothing: only invited people get in.
    InviteOnly,
    /// A place on the waiting list.
    Waitlist,
}

/// What kind of system issues the tokens: they differ in their claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKind {
    /// Clerk.
    Clerk,
    /// Keycloak.
    Keycloak,
    /// Any other OpenID provider.
    Oidc,
    /// Another deployment's built-in log-in.
    Local,
}

/// Somebody whose tokens are believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// What kind of system it is.
    pub kind: IssuerKind,
    /// Compared exactly with `iss`.
    pub issuer: String,
    /// Where its keys are; `None` to find out by discovery.
    #[serde(default, deserialize_with = "optional_text")]
    pub jwks_url: Option<String>,
    /// Algorithms that are tried.
    #[serde(default = "rs256")]
    pub algorithms: Vec<String>,
    /// When not empty, one of them must be in `aud`.
    #[serde(default)]
    pub audience: Vec<String>,
    /// When not empty, `azp` must be present and listed.
    #[serde(default)]
    pub authorized_parties: Vec<String>,
    /// How far its clock may be off.
    #[serde(default = "seconds::<5>")]
    pub leeway_seconds: u64,
    /// How long its keys are believed without asking again.
    #[serde(default = "seconds::<300>")]
    pub jwks_ttl_seconds: u64,
    /// How long to wait for its keys.
    #[serde(default = "seconds::<3>")]
    pub jwks_timeout_seconds: u64,
    /// Time between fetches for unknown `kid`s.
    #[serde(default = "seconds::<30>")]
    pub jwks_cooldown_seconds: u64,
    /// When not empty, allowed `typ` values.
    #[serde(default)]
    pub token_types: Vec<String>,
}

impl Issuer {
    /// An issuer with the defaults.
    #[must_use]
    pub fn new(kind: IssuerKind, issuer: String) -> Self {
        Self {
            kind,
            issuer,
            jwks_url: None,
            algorithms: rs256(),
            audience: Vec::new(),
            authorized_parties: Vec::new(),
            leeway_seconds: 5,
            jwks_ttl_seconds: 300,
            jwks_timeout_seconds: 3,
            jwks_cooldown_seconds: 30,
            token_types: Vec::new(),
        }
    }
}

fn rs256() -> Vec<String> {
    vec!["RS256".to_owned()]
}

const fn seconds<const N: u64>() -> u64 {
    N
}

/// The built-in log-in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Whether people can register and log in here.
    pub enabled: bool,
    /// `iss` of its tokens.
    pub issuer: String,
    /// Ed25519 private key, PKCS#8 PEM.
    #[serde(deserialize_with = "optional_secret")]
    pub signing_key: Option<SecretString>,
}

impl Local {
    /// The key that signs tokens; `None` when the built-in log-in is off.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] when it is on and has no key.
    pub fn key(&self) -> Result<Option<&SecretString>, ConfigError> {
        match (&self.signing_key, self.enabled) {
            (_, false) => Ok(None),
            (Some(key), true) => Ok(Some(key)),
            (None, true) => Err(missing(
                "identity.local.signing_key",
                "PLINTH__IDENTITY__LOCAL__SIGNING_KEY",
                "signs the tokens of the built-in log-in",
            )),
        }
    }
}

/// Clerk, beyond its tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clerk {
    /// For calls to Clerk's backend API.
    #[serde(deserialize_with = "optional_secret")]
    pub secret_key: Option<SecretString>,
    /// Verifies Clerk's webhooks.
    #[serde(deserialize_with = "optional_secret")]
    pub webhook_signing_secret: Option<SecretString>,
}

impl Identity {
    /// The peppers with their numbers, the current one first.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] when there is no current one, [`ConfigError::Invalid`] when one is too short or has no number.
    pub fn peppers(&self) -> Result<Vec<(i16, SecretString)>, ConfigError> {
        let current = self.api_key_pepper.clone().ok_or_else(|| {
            missing(
                "identity.api_key_pepper",
                "PLINTH__IDENTITY__API_KEY_PEPPER",
                "API keys are stored and invitations are signed under it",
            )
        })?;
        let mut peppers = vec![(self.api_key_pepper_version, current)];
        for text in &self.previous_api_key_peppers {
            let pepper = text
                .expose_secret()
                .split_once(':')
                .and_then(|(number, pepper)| {
                    Some((number.parse::<i16>().ok()?, SecretString::from(pepper)))
                });
            peppers.push(pepper.ok_or_else(|| refuse("must be written as number:pepper"))?);
        }
        if peppers
            .iter()
            .any(|(_, pepper)| pepper.expose_secret().len() < 32)
        {
            return Err(refuse("a pepper must have at least 32 bytes"));
        }
        let mut numbers: Vec<i16> = peppers.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() < peppers.len() {
            return Err(refuse("two peppers have one number"));
        }
        if numbers.last() != Some(&self.api_key_pepper_version) {
            return Err(refuse("the current pepper must have the highest number"));
        }
        Ok(peppers)
    }
}

fn refuse(why: &str) -> ConfigError {
    ConfigError::Invalid {
        key: "identity.api_key_pepper".to_owned(),
        source_name: "with api_key_pepper_version and previous_api_key_peppers".to_owned(),
        why: why.to_owned(),
    }
}

fn missing(key: &'static str, variable: &'static str, purpose: &'static str) -> ConfigError {
    ConfigError::Missing(vec![Missing {
        key,
        variable,
        purpose,
    }])
}
