//! The way from a credential to a principal.

use app::authenticate::{Authenticate, AuthenticateError, Named, key_principal, user_principal};
use identity::{Digest256, KeyText};
use kernel::{Principal, RequestInfo};
use secrecy::{ExposeSecret, SecretString};

use super::{
    cache::{Access, AccessCache, Subject},
    credential::Credential,
};

/// Finds out who makes a request, asking the database as seldom as [`AccessCache`] allows.
#[derive(Clone)]
pub struct Authenticator {
    authenticate: Authenticate,
    cache: AccessCache,
}

impl Authenticator {
    /// Over `authenticate`, with a cache that hears the bell: see [`AccessCache`].
    #[must_use]
    pub const fn new(authenticate: Authenticate, cache: AccessCache) -> Self {
        Self {
            authenticate,
            cache,
        }
    }

    /// The principal of a request.
    ///
    /// # Errors
    /// See [`AuthenticateError`].
    pub async fn principal(
        &self,
        shown: Credential,
        named: Named,
        request: RequestInfo,
    ) -> Result<Principal, AuthenticateError> {
        match shown {
            Credential::Operator(key) => self.authenticate.operator(key.expose_secret(), request),
            Credential::Key(text) => self.key(&text, named, request).await,
            Credential::Token(token) => self.user(&token, named, request).await,
        }
    }

    async fn key(
        &self,
        text: &KeyText,
        named: Named,
        request: RequestInfo,
    ) -> Result<Principal, AuthenticateError> {
        let subject = Subject::Key(*Digest256::of(text.reveal().as_bytes()).as_bytes());
        let load = async { self.authenticate.key(text).await.map(Access::Key) };
        let access = self.cache.get(subject, load).await?;
        let Access::Key(record) = &*access else {
            return Err(AuthenticateError::Unauthenticated);
        };
        let principal = key_principal(record, named, request, self.authenticate.now())?;
        self.authenticate.note_key_use(record);
        Ok(principal)
    }

    async fn user(
        &self,
        token: &SecretString,
        named: Named,
        request: RequestInfo,
    ) -> Result<Principal, AuthenticateError> {
        let seen = self.authenticate.token(token).await?;
        let tenant_id = named.tenant()?;
        let subject = Subject::User {
            identity: seen.identity.clone(),
            session_id: seen.session_id,
            tenant_id,
            org: seen.org.clone(),
        };
        let load = async {
            let found = self.authenticate.user(&seen, tenant_id, &request).await;
            found.map(Access::User)
        };
        let access = self.cache.get(subject, load).await?;
        let Access::User(access) = &*access else {
            return Err(AuthenticateError::Unauthenticated);
        };
        user_principal(access, named, request)
    }
}
