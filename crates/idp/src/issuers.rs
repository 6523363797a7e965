//! The pinned list of issuers, and the choice among it.

use std::sync::Arc;

use identity::{TokenError, TokenVerifier, VerifiedIdentity};
use kernel::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

use crate::{
    IssuerKind, IssuerSettings, LocalIssuer, SettingsError, clerk,
    jwks::KeyCache,
    keycloak, oidc,
    token::{Policy, Unverified, ensure},
};

struct Remote {
    issuer: String,
    kind: IssuerKind,
    policy: Policy,
    keys: KeyCache,
}

/// Every issuer that this deployment trusts.
pub struct Issuers {
    remote: Vec<Remote>,
    local: Option<Arc<LocalIssuer>>,
}

impl Issuers {
    /// Takes the list of the configuration. Asks nobody: an issuer that is down shows when a token of its comes in.
    ///
    /// # Errors
    /// [`SettingsError`] for settings that cannot be right, an issuer that is listed twice, and a second local one.
    pub fn new(settings: &[IssuerSettings]) -> Result<Self, SettingsError> {
        let mut issuers = Self {
            remote: Vec::new(),
            local: None,
        };
        for entry in settings {
            entry.check()?;
            let refused = |why: String| SettingsError {
                issuer: entry.issuer.clone(),
                why,
            };
            if issuers.names().any(|name| name == entry.issuer) {
                return Err(refused("is listed twice".to_owned()));
            }
            match &entry.signing_key {
                Some(_) if issuers.local.is_some() => {
                    return Err(refused("is a second local issuer".to_owned()));
                }
                Some(key) => issuers.local = Some(Arc::new(LocalIssuer::new(&entry.issuer, key)?)),
                None => issuers.remote.push(Remote {
                    issuer: entry.issuer.clone(),
                    kind: entry.kind,
                    policy: Policy::new(entry)?,
                    keys: KeyCache::new(entry).map_err(refused)?,
                }),
            }
        }
        Ok(issuers)
    }

    /// The built-in issuer, when there is one.
    #[must_use]
    pub fn local(&self) -> Option<Arc<LocalIssuer>> {
        self.local.clone()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let remote = self.remote.iter().map(|remote| remote.issuer.as_str());
        remote.chain(self.local.iter().map(|local| local.issuer()))
    }
}

impl TokenVerifier for Issuers {
    fn verify<'a>(
        &'a self,
        token: &'a SecretString,
        now: OffsetDateTime,
    ) -> BoxFuture<'a, Result<VerifiedIdentity, TokenError>> {
        Box::pin(async move {
            let token = Unverified::parse(token.expose_secret())?;
            if let Some(local) = self
                .local
                .as_ref()
                .filter(|local| local.issuer() == token.issuer)
            {
                return local.verify(&token, now);
            }
            let remote = self
                .remote
                .iter()
                .find(|remote| remote.issuer == token.issuer);
            remote.ok_or(TokenError::Invalid)?.verify(&token, now).await
        })
    }
}

impl Remote {
    async fn verify(
        &self,
        token: &Unverified<'_>,
        now: OffsetDateTime,
    ) -> Result<VerifiedIdentity, TokenError> {
        self.policy.check_header(&token.header)?;
        let key = self.keys.find(token.header.kid.as_deref()).await?;
        ensure(key.fits(token.header.alg))?;
        let claims = token.verify(&key.key)?;
        self.policy.check_claims(&claims, now)?;
        match self.kind {
            IssuerKind::Clerk => clerk::identity(&claims),
            IssuerKind::Keycloak => keycloak::identity(&claims),
            IssuerKind::Oidc | IssuerKind::Local => oidc::identity(&claims),
        }
    }
}
