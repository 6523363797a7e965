//! `identity` on PostgreSQL.

mod access;
mod key_reader;
mod keys;
mod people;
mod sessions;

use identity::{
    AccessQuery, ApiKey, Digest256, Email, EnvironmentRef, ExternalIdentity, KeyHash, KeyRecord,
    KeyStore, KeyUse, PasswordHash, RevokeReason, Session, Store, User, UserAccess,
};
use kernel::{
    ApiKeyId, EnvironmentId, PageRequest, Permission, PermissionSet, ProjectId, SessionId,
    StoreError, TenantId, UserId,
};
use time::OffsetDateTime;

pub use self::key_reader::PgKeyReader;
use crate::PgTx;

impl KeyStore for PgTx {
    fn insert_key(&mut self, key: &ApiKey, hash: &KeyHash) -> Result<(), StoreError> {
        keys::insert(self.conn(), key, hash)
    }

    fn key(&mut self, tenant_id: TenantId, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        keys::find(self.conn(), tenant_id, id)
    }

    fn lock_key(
        &mut self,
        tenant_id: TenantId,
        id: ApiKeyId,
    ) -> Result<Option<ApiKey>, StoreError> {
        keys::lock(self.conn(), tenant_id, id)
    }

    fn keys(
        &mut self,
        tenant_id: TenantId,
        project_id: Option<ProjectId>,
        page: &PageRequest,
        after: Option<(OffsetDateTime, ApiKeyId)>,
    ) -> Result<Vec<ApiKey>, StoreError> {
        keys::list(self.conn(), tenant_id, project_id, page, after)
    }

    fn lock_keys_of(
        &mut self,
        tenant_id: TenantId,
        creator: UserId,
    ) -> Result<Vec<ApiKey>, StoreError> {
        keys::lock_of(self.conn(), tenant_id, creator)
    }

    fn update_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        keys::update(self.conn(), key)
    }

    fn has_project(&mut self, tenant_id: TenantId, id: ProjectId) -> Result<bool, StoreError> {
        keys::has_project(self.conn(), tenant_id, id)
    }

    fn environment(
        &mut self,
        tenant_id: TenantId,
        project_id: Option<ProjectId>,
        wanted: &EnvironmentRef,
    ) -> Result<Option<(EnvironmentId, ProjectId)>, StoreError> {
        keys::environment(self.conn(), tenant_id, project_id, wanted)
    }

    fn key_records(&mut self, key_ids: &[String]) -> Result<Vec<KeyRecord>, StoreError> {
        keys::records(self.conn(), key_ids)
    }

    fn rehash_key(
        &mut self,
        tenant_id: TenantId,
        id: ApiKeyId,
        hash: &KeyHash,
    ) -> Result<(), StoreError> {
        keys::rehash(self.conn(), tenant_id, id, hash)
    }

    fn touch_keys(&mut self, uses: &[KeyUse]) -> Result<(), StoreError> {
        keys::touch(self.conn(), uses)
    }
}

impl Store for PgTx {
    fn insert_user(&mut self, user: &User) -> Result<(), StoreError> {
        people::insert(self.conn(), user)
    }

    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        people::find(self.conn(), id)
    }

    fn credential(
        &mut self,
        email: &Email,
    ) -> Result<Option<(User, Option<PasswordHash>)>, StoreError> {
        people::credential(self.conn(), email)
    }

    fn link_identity(
        &mut self,
        user_id: UserId,
        identity: &ExternalIdentity,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        people::link(self.conn(), user_id, identity, now)
    }

    fn set_password(
        &mut self,
        user_id: UserId,
        hash: &PasswordHash,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        people::set_password(self.conn(), user_id, hash, now)
    }

    fn set_last_tenant(&mut self, user_id: UserId, tenant_id: TenantId) -> Result<(), StoreError> {
        people::set_last_tenant(self.conn(), user_id, tenant_id)
    }

    fn insert_session(&mut self, session: &Session) -> Result<(), StoreError> {
        sessions::insert(self.conn(), session)
    }

    fn session(
        &mut self,
        id: SessionId,
    ) -> Result<Option<(Session, Option<TenantId>)>, StoreError> {
        sessions::find(self.conn(), id)
    }

    fn turn_session(
        &mut self,
        id: SessionId,
        from: &Digest256,
        to: &Digest256,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        sessions::turn(self.conn(), id, from, to, now)
    }

    fn revoke_session(
        &mut self,
        id: SessionId,
        reason: RevokeReason,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        sessions::revoke(self.conn(), id, reason, now)
    }

    fn access(&mut self, query: &AccessQuery) -> Result<Option<UserAccess>, StoreError> {
        access::find(self.conn(), query)
    }
}

/// Codes as the database keeps them. One that no longer reads as a code allows nothing.
fn permission_set(codes: Vec<String>) -> PermissionSet {
    codes
        .iter()
        .filter_map(|code| Permission::parse(code))
        .collect()
}
