//! The built-in log-in.

use kernel::{Principal, PrincipalKind, RequestInfo, Scope, SessionId, StoreError, TenantId};
use secrecy::SecretString;
use time::Duration;

use super::Identity;
use crate::{
    Email, HasherError, MintError, Password, PasswordHash, RefreshToken, Refreshed, User, session,
};

/// What somebody who logged in goes on with.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Proves who they are, for [`session::ACCESS_TOKEN_LIFETIME`].
    pub access_token: SecretString,
    /// Buys the next access token, once.
    pub refresh_token: SecretString,
    /// How long the access token lives.
    pub expires_in: Duration,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// No built-in issuer is configured.
    #[error("the built-in log-in is off")]
    Disabled,
    /// The address or the password is wrong; nobody is told which.
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    /// The password is right, but the user is not active.
    #[error("the user is not active")]
    NotActive,
    /// The hasher is busy or broken.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The issuer cannot sign.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a refresh token bought nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// No built-in issuer is configured.
    #[error("the built-in log-in is off")]
    Disabled,
    /// The token is no token, was used before, or its session is over.
    #[error("the refresh token is invalid")]
    Invalid,
    /// The issuer cannot sign.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Identity {
    /// Hashes a new password, before the transaction that keeps the hash.
    ///
    /// # Errors
    /// [`HasherError`].
    pub async fn hash_password(&self, password: Password) -> Result<PasswordHash, HasherError> {
        self.hasher.hash(password).await
    }

    /// Tokens for a session that was just opened or refreshed.
    ///
    /// # Errors
    /// [`MintError`], also when the built-in log-in is off.
    pub fn tokens(
        &self,
        user: &User,
        session_id: SessionId,
        refresh_token: &RefreshToken,
    ) -> Result<Tokens, MintError> {
        let issuer = self.issuer.as_ref();
        let issuer = issuer.ok_or_else(|| MintError("no built-in issuer is configured".into()))?;
        let now = self.clock.now();
        let expires_in = session::ACCESS_TOKEN_LIFETIME;
        Ok(Tokens {
            access_token: issuer.mint(user, session_id, now, now + expires_in)?,
            refresh_token: refresh_token.reveal(),
            expires_in,
        })
    }

    /// Opens a session for whoever knows the password. An unknown address takes as long as a wrong password and answers the same.
    ///
    /// # Errors
    /// See [`LogInError`].
    pub async fn log_in(
        &self,
        email: Email,
        password: SecretString,
        request: RequestInfo,
    ) -> Result<(User, Tokens), LogInError> {
        if !self.has_local_log_in() {
            return Err(LogInError::Disabled);
        }
        let found: Result<_, StoreError> = self
            .db
            .run(Scope::global(), move |store| store.credential(&email))
            .await;
        let (user, hash) = found?.unzip();
        let right = self
            .hasher
            .verify(Password::offered(password), hash.flatten())
            .await?;
        let Some(user) = user.filter(|_| right) else {
            return Err(LogInError::InvalidCredentials);
        };
        if !user.status.may_sign_in() {
            return Err(LogInError::NotActive);
        }
        let (now, by, trail) = (
            self.clock.now(),
            person(&user, request),
            user.last_tenant_id,
        );
        let opened: Result<_, StoreError> = self
            .db
            .run(scope(&by, trail), move |store| {
                let (session, token) = session::open(store, &user, now)?;
                if let Some(tenant_id) = trail {
                    let event =
                        session::session_event(&session, tenant_id, "session.opened", &by, now);
                    store.record(event)?;
                }
                Ok((user, session, token))
            })
            .await;
        let (user, session, token) = opened?;
        let tokens = self.tokens(&user, session.id, &token)?;
        Ok((user, tokens))
    }

    /// Exchanges a refresh token for the next pair. Showing one twice ends the session.
    ///
    /// # Errors
    /// See [`RefreshError`].
    pub async fn refresh(
        &self,
        token: SecretString,
        request: RequestInfo,
    ) -> Result<(User, Tokens), RefreshError> {
        if !self.has_local_log_in() {
            return Err(RefreshError::Disabled);
        }
        let token = RefreshToken::parse(&token).ok_or(RefreshError::Invalid)?;
        let id = token.session_id();
        let found: Result<_, StoreError> = self
            .db
            .run(Scope::global(), move |store| store.session(id))
            .await;
        let (session, trail) = found?.ok_or(RefreshError::Invalid)?;
        let now = self.clock.now();
        let scope = Scope {
            tenant_id: trail,
            command: request.command.clone(),
            ..Scope::user(session.user_id)
        };
        let turned: Result<_, StoreError> = self
            .db
            .run(scope, move |store| {
                let Some(user) = store.user(session.user_id)? else {
                    return Ok(None);
                };
                let by = person(&user, request);
                let turned = session::refresh(store, &session, &token, trail, &by, now)?;
                Ok(Some((user, turned)))
            })
            .await;
        match turned? {
            Some((user, Refreshed::Replaced(next))) => {
                let tokens = self.tokens(&user, id, &next)?;
                Ok((user, tokens))
            }
            _ => Err(RefreshError::Invalid),
        }
    }

    /// Ends the session of a refresh token. Ending it twice is no error.
    ///
    /// # Errors
    /// See [`RefreshError`].
    pub async fn log_out(
        &self,
        token: SecretString,
        request: RequestInfo,
    ) -> Result<(), RefreshError> {
        let token = RefreshToken::parse(&token).ok_or(RefreshError::Invalid)?;
        let id = token.session_id();
        let found: Result<_, StoreError> = self
            .db
            .run(Scope::global(), move |store| store.session(id))
            .await;
        let (session, trail) = found?.ok_or(RefreshError::Invalid)?;
        let now = self.clock.now();
        let scope = Scope {
            tenant_id: trail,
            command: request.command.clone(),
            ..Scope::user(session.user_id)
        };
        let closed: Result<_, StoreError> = self
            .db
            .run(scope, move |store| {
                let Some(user) = store.user(session.user_id)? else {
                    return Ok(false);
                };
                session::close(store, &session, &token, trail, &person(&user, request), now)
            })
            .await;
        if closed? {
            Ok(())
        } else {
            Err(RefreshError::Invalid)
        }
    }
}

/// The user, and the tenant whose trail tells of it.
fn scope(by: &Principal, trail: Option<TenantId>) -> Scope {
    Scope {
        tenant_id: trail,
        ..Scope::of(by)
    }
}

/// The user as a principal that may nothing: enough for the audit trail.
fn person(user: &User, request: RequestInfo) -> Principal {
    Principal {
        kind: PrincipalKind::User,
        id: user.id.as_uuid(),
        name: user.display_name().to_owned(),
        user_id: Some(user.id),
        ..Principal::anonymous(request)
    }
}
