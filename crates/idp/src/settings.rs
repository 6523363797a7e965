//! How a trusted issuer is configured.

use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;

/// What kind of issuer it is: decides what the claims mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKind {
    /// Clerk.
    Clerk,
    /// Keycloak.
    Keycloak,
    /// Any other OpenID provider.
    Oidc,
    /// The built-in log-in: this deployment's when there is a `signing_key`, another deployment's otherwise.
    Local,
}

/// One entry of `identity.issuers`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// What kind of issuer it is.
    pub kind: IssuerKind,
    /// Compared exactly with a token's `iss`.
    pub issuer: String,
    /// Where its keys are; found by discovery when absent. `local` needs it when it is
    /// another deployment, and has none when it is this one.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The algorithms that are tried, and no others: `["RS256"]` when empty, `["EdDSA"]` for `local`.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// When set: one of them must be in `aud`.
    #[serde(default)]
    pub audience: Vec<String>,
    /// When set: `azp` must be present and listed.
    #[serde(default)]
    pub authorized_parties: Vec<String>,
    /// How far clocks may differ; an hour at most.
    #[serde(default = "five")]
    pub leeway_seconds: u64,
    /// How long keys are used without asking again.
    #[serde(default = "five_minutes")]
    pub jwks_ttl_seconds: u64,
    /// How long asking may take.
    #[serde(default = "three")]
    pub jwks_timeout_seconds: u64,
    /// The pause between two requests for keys that tokens with an unknown `kid` cause.
    #[serde(default = "thirty")]
    pub jwks_cooldown_seconds: u64,
    /// When set: the allowed `typ` of a token's header.
    #[serde(default)]
    pub token_types: Vec<String>,
    /// For `local` alone: the Ed25519 key that signs, PKCS#8 in PEM.
    #[serde(default)]
    pub signing_key: Option<SecretString>,
}

const fn five() -> u64 {
    5
}
const fn five_minutes() -> u64 {
    300
}
const fn three() -> u64 {
    3
}
const fn thirty() -> u64 {
    30
}

/// Why an issuer's settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("issuer {issuer}: {why}")]
pub struct SettingsError {
    /// Which issuer.
    pub issuer: String,
    /// What is wrong with it.
    pub why: String,
}

impl IssuerSettings {
    /// An issuer with every setting at its default.
    #[must_use]
    pub fn new(kind: IssuerKind, issuer: impl Into<String>) -> Self {
        Self {
            kind,
            issuer: issuer.into(),
            jwks_url: None,
            algorithms: Vec::new(),
            audience: Vec::new(),
            authorized_parties: Vec::new(),
            leeway_seconds: five(),
            jwks_ttl_seconds: five_minutes(),
            jwks_timeout_seconds: three(),
            jwks_cooldown_seconds: thirty(),
            token_types: Vec::new(),
            signing_key: None,
        }
    }

    /// Checks what cannot be right. Asks nobody: an issuer that is down does not stop the start.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn check(&self) -> Result<(), SettingsError> {
        match (self.kind, &self.signing_key, &self.jwks_url) {
            (IssuerKind::Local, Some(_), None) => return Ok(()),
            (IssuerKind::Local, Some(_), Some(_)) => {
                return Err(self.error("has its key here, so it has no jwks_url"));
            }
            (IssuerKind::Local, None, None) => {
                return Err(
                    self.error("needs a signing_key, or the jwks_url of the other deployment")
                );
            }
            (_, Some(_), _) => return Err(self.error("signing_key is for local issuers")),
            _ => {}
        }
        self.check_url(&self.issuer)?;
        self.jwks_url
            .as_deref()
            .map_or(Ok(()), |url| self.check_url(url))?;
        self.allowed_algorithms().map(drop)
    }

    /// The algorithms that are tried.
    ///
    /// # Errors
    /// [`SettingsError`] for an unknown one, and for those with a shared secret: whoever verifies with them could sign too.
    pub fn allowed_algorithms(&self) -> Result<Vec<Algorithm>, SettingsError> {
        if self.kind == IssuerKind::Local {
            return Ok(vec![Algorithm::EdDSA]);
        }
        if self.algorithms.is_empty() {
            return Ok(vec![Algorithm::RS256]);
        }
        let parse = |name: &String| {
            name.parse::<Algorithm>()
                .ok()
                .filter(|algorithm| algorithm.family() != AlgorithmFamily::Hmac)
                .ok_or_else(|| self.error(format!("the algorithm {name} is not allowed")))
        };
        self.algorithms.iter().map(parse).collect()
    }

    /// The time limits of the key cache.
    #[must_use]
    pub const fn jwks_timing(&self) -> (Duration, Duration, Duration) {
        (
            Duration::from_secs(self.jwks_ttl_seconds),
            Duration::from_secs(self.jwks_timeout_seconds),
            Duration::from_secs(self.jwks_cooldown_seconds),
        )
    }

    fn check_url(&self, text: &str) -> Result<(), SettingsError> {
        let url = Url::parse(text).map_err(|_| self.error(format!("{text} is not a URL")))?;
        if is_trustworthy(&url) {
            Ok(())
        } else {
            Err(self.error(format!("{text} must be https; http is for loopback only")))
        }
    }

    fn error(&self, why: impl Into<String>) -> SettingsError {
        SettingsError {
            issuer: self.issuer.clone(),
            why: why.into(),
        }
    }
}

/// Whether keys from this address cannot have been exchanged on their way.
#[must_use]
pub fn is_trustworthy(url: &Url) -> bool {
    let loopback = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    };
    match url.scheme() {
        "https" => url.host_str().is_some(),
        "http" => loopback,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_defaults_and_no_unknown_keys() {
        let json = r#"{"kind": "clerk", "issuer": "https://clerk.example.com"}"#;
        let settings: IssuerSettings = serde_json::from_str(json).unwrap();
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(
            (settings.leeway_seconds, settings.jwks_ttl_seconds),
            (5, 300)
        );
        assert_eq!(settings.allowed_algorithms().unwrap(), [Algorithm::RS256]);
        let json = r#"{"kind": "clerk", "issuer": "https://a.example", "jwks": "x"}"#;
        assert!(serde_json::from_str::<IssuerSettings>(json).is_err());
    }

    #[test]
    fn plain_http_is_for_loopback() {
        let check = |issuer: &str| IssuerSettings::new(IssuerKind::Oidc, issuer).check();
        for good in [
            "https://id.example.com",
            "http://localhost:8080",
            "http://127.0.0.1:1/realms/a",
            "http://[::1]:1",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "http://id.example.com",
            "http://127.0.0.1.example.com",
            "ftp://localhost",
            "id.example.com",
            "file:///etc/passwd",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shared_secrets_are_no_way_to_sign() {
        for name in ["HS256", "none", "rs256", ""] {
            let mut settings = IssuerSettings::new(IssuerKind::Oidc, "https://a.example");
            settings.algorithms = vec![name.to_owned()];
            assert!(settings.check().is_err(), "{name}");
        }
    }

    #[test]
    fn a_local_issuer_needs_its_key() {
        let mut settings = IssuerSettings::new(IssuerKind::Local, "https://plinth.example");
        assert!(settings.check().is_err());
        settings.jwks_url = Some("https://plinth.example/.well-known/jwks.json".into());
        assert_eq!(settings.check(), Ok(()), "another deployment's");
        settings.signing_key = Some("key".into());
        assert!(settings.check().is_err(), "either here or there");
    }
}
