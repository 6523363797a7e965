//! What this domain needs from others.

use audit::Trail;
use kernel::{
    ApiKeyId, BoxFuture, EnvironmentId, PageRequest, ProjectId, SessionId, StoreError, TenantId,
    UserId,
};
use secrecy::SecretString;
use time::OffsetDateTime;

use crate::{
    AccessQuery, ApiKey, Email, EnvironmentRef, ExternalIdentity, KeyHash, KeyRecord, KeyUse,
    Password, PasswordHash, RevokeReason, Session, User, UserAccess, VerifiedIdentity,
    secret::Digest256,
};

/// Keys, as the store keeps them. Every method fails with [`StoreError`] and nothing else. Where it names a tenant, that is the scope's: a key
/// of another one is not found, and to change it changes nothing and is no error.
pub trait KeyStore: Trail {
    /// Adds a key. MUST refuse a second usable key of the name with a conflict on `api_keys_live_name_key`; a key that was ended or
    /// rotated does not hold its name. MUST refuse a second key of one public name, in whatever tenant, with a conflict on
    /// `api_keys_key_id_key`, and one that points at another tenant's project, environment or key.
    fn insert_key(&mut self, key: &ApiKey, hash: &KeyHash) -> Result<(), StoreError>;

    /// Finds a key of the tenant.
    fn key(&mut self, tenant_id: TenantId, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Finds a key of the tenant and locks it until the transaction ends.
    fn lock_key(&mut self, tenant_id: TenantId, id: ApiKeyId)
    -> Result<Option<ApiKey>, StoreError>;

    /// Keys of the tenant, of one project when it is given, newest first by `(created_at, id)`, at most `page.limit + 1`, behind `after`.
    fn keys(
        &mut self,
        tenant_id: TenantId,
        project_id: Option<ProjectId>,
        page: &PageRequest,
        after: Option<(OffsetDateTime, ApiKeyId)>,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Keys of the tenant that `creator` made and that are not revoked, locked until the transaction ends.
    fn lock_keys_of(
        &mut self,
        tenant_id: TenantId,
        creator: UserId,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Writes how a key ended: `revoked_at`, `revoked_reason` and `overlap_until`; nothing else of it changes.
    fn update_key(&mut self, key: &ApiKey) -> Result<(), StoreError>;

    /// Whether the tenant has this project.
    fn has_project(&mut self, tenant_id: TenantId, id: ProjectId) -> Result<bool, StoreError>;

    /// Finds an environment of the tenant and its project. A name is looked for in `project_id` only.
    fn environment(
        &mut self,
        tenant_id: TenantId,
        project_id: Option<ProjectId>,
        wanted: &EnvironmentRef,
    ) -> Result<Option<(EnvironmentId, ProjectId)>, StoreError>;

    /// Finds keys by their public names, in whatever tenants, with all that signing them in needs; in no order, and without those that
    /// there are not. MUST work before a tenant is known, and MUST be one question to the database.
    fn key_records(&mut self, key_ids: &[String]) -> Result<Vec<KeyRecord>, StoreError>;

    /// Replaces what is kept of a key's text.
    fn rehash_key(
        &mut self,
        tenant_id: TenantId,
        id: ApiKeyId,
        hash: &KeyHash,
    ) -> Result<(), StoreError>;

    /// Writes when keys were used, of whatever tenants. MUST NOT move a time backwards.
    fn touch_keys(&mut self, uses: &[KeyUse]) -> Result<(), StoreError>;
}

/// People and their sessions. Every method fails with [`StoreError`] and nothing else. "Before anybody is known" means: in a transaction
/// whose scope names neither user nor tenant. What is a person's own is written in their scope alone: in another, to change it changes nothing
/// and is no error, and to add to it is one.
pub trait Store: KeyStore {
    /// Adds a user, in whose scope the transaction is. MUST refuse a second one of the address with a conflict on `users_email_key`.
    fn insert_user(&mut self, user: &User) -> Result<(), StoreError>;

    /// Finds a user of this scope: oneself, or a member of the tenant in scope who was not removed.
    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Finds whoever has this address, with their password hash if they have one. MUST work before anybody is known.
    fn credential(
        &mut self,
        email: &Email,
    ) -> Result<Option<(User, Option<PasswordHash>)>, StoreError>;

    /// Adds a name that an identity provider knows the user by. MUST refuse a name that is taken with a conflict on
    /// `user_identities_pkey`.
    fn link_identity(
        &mut self,
        user_id: UserId,
        identity: &ExternalIdentity,
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Sets or replaces the password hash.
    fn set_password(
        &mut self,
        user_id: UserId,
        hash: &PasswordHash,
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Remembers the tenant of the user's last request that named one.
    fn set_last_tenant(&mut self, user_id: UserId, tenant_id: TenantId) -> Result<(), StoreError>;

    /// Adds a session.
    fn insert_session(&mut self, session: &Session) -> Result<(), StoreError>;

    /// Finds a session with the tenant that its user used last, if the user may sign in. MUST work before anybody is known.
    fn session(&mut self, id: SessionId)
    -> Result<Option<(Session, Option<TenantId>)>, StoreError>;

    /// Replaces the turn digest `from` of a session that is live at `now` by `to`. MUST let at most one of several callers with one `from` succeed: says
    /// whether it was this one.
    fn turn_session(
        &mut self,
        id: SessionId,
        from: &Digest256,
        to: &Digest256,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Ends a session. Says whether it had not been ended before.
    fn revoke_session(
        &mut self,
        id: SessionId,
        reason: RevokeReason,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Finds a user and their place in the tenant of the request. MUST work before anybody is known, and MUST be one question to the
    /// database, whose cost does not grow with the number of the user's tenants.
    fn access(&mut self, query: &AccessQuery) -> Result<Option<UserAccess>, StoreError>;
}

/// Why a password was not hashed or compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HasherError {
    /// Too many are waiting already. Try again later.
    #[error("too many log-ins are waiting")]
    Busy,
    /// The hasher broke.
    #[error("the password hasher failed: {0}")]
    Failed(String),
}

/// Hashes passwords with argon2id, away from the threads that serve requests.
pub trait PasswordHasher: Send + Sync {
    /// Hashes a password with a salt of its own.
    ///
    /// MUST bound how many run at once and how many wait, and fail with [`HasherError::Busy`] beyond.
    fn hash(&self, password: Password) -> BoxFuture<'_, Result<PasswordHash, HasherError>>;

    /// Whether a password belongs to a hash. With no hash to compare with it MUST take as long as with one, and say no.
    fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<bool, HasherError>>;
}

/// Reads what signing in with a key needs, outside of any other transaction. It may read for many who ask at once.
pub trait KeyReader: Send + Sync {
    /// As [`KeyStore::key_records`], for one key.
    ///
    /// MUST NOT answer with anything that was read before it was asked: whoever keeps the answer counts changes from then on.
    fn key_record(&self, key_id: &str) -> BoxFuture<'_, Result<Option<KeyRecord>, StoreError>>;
}

/// Why no token was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the token issuer failed: {0}")]
pub struct MintError(pub String);

/// Makes access tokens for users of the built-in log-in.
pub trait TokenIssuer: Send + Sync {
    /// A token that proves, from `now` until `expires_at`, that its bearer is `user` in session `session_id`.
    ///
    /// # Errors
    /// [`MintError`] when the key cannot sign.
    fn mint(
        &self,
        user: &User,
        session_id: SessionId,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<SecretString, MintError>;
}

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is forged, expired, of no trusted issuer, or no token at all. Clients are never told which.
    #[error("the token is invalid")]
    Invalid,
    /// It may be good: its issuer's keys cannot be had right now.
    #[error("the keys of the token's issuer are unavailable")]
    KeysUnavailable,
}

/// Checks access tokens.
pub trait TokenVerifier: Send + Sync {
    /// Checks a token at `now`: signature, algorithm, issuer, times, audience and authorised party.
    fn verify<'a>(
        &'a self,
        token: &'a SecretString,
        now: OffsetDateTime,
    ) -> BoxFuture<'a, Result<VerifiedIdentity, TokenError>>;
}
