//! People and their sessions in memory.

use identity::{
    AccessQuery, Digest256, Email, ExternalIdentity, PasswordHash, RevokeReason, Session, Store,
    User, UserAccess,
};
use kernel::{SessionId, StoreError, TenantId, UserId};
use time::OffsetDateTime;

use super::access;
use crate::memory::{MemoryTx, conflict, must_exist};

impl MemoryTx {
    fn must_have_user(&self, user: UserId, constraint: &str) -> Result<(), StoreError> {
        must_exist(self.tables.identity.users.contains_key(&user), constraint)
    }

    /// A session that was not revoked, of the person in scope, to be changed.
    fn own_session(&mut self, id: SessionId) -> Option<&mut Session> {
        let scope = self.scope.user_id;
        let row = self.tables.identity.sessions.get_mut(&id)?;
        (Some(row.user_id) == scope && row.revoked_at.is_none()).then_some(row)
    }

    /// Deletes up to `limit` sessions of all people that expired before `before`, and reports how many.
    pub(in crate::memory) fn forget_sessions(&mut self, before: OffsetDateTime, limit: u32) -> u64 {
        let sessions = &mut self.tables.identity.sessions;
        let over = sessions.values().filter(|row| row.expires_at < before);
        let mut over: Vec<(OffsetDateTime, SessionId)> =
            over.map(|row| (row.expires_at, row.id)).collect();
        over.sort();
        over.truncate(limit as usize);
        for (_, id) in &over {
            sessions.remove(id);
        }
        over.len() as u64
    }
}

impl Store for MemoryTx {
    fn insert_user(&mut self, user: &User) -> Result<(), StoreError> {
        self.must_own(user.id)?;
        let users = &mut self.tables.identity.users;
        if users.contains_key(&user.id) {
            return Err(conflict("users_pkey"));
        }
        if users.values().any(|other| other.email == user.email) {
            return Err(conflict("users_email_key"));
        }
        users.insert(user.id, user.clone());
        Ok(())
    }

    fn user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        let tenant = self.scope.tenant_id;
        let is_fellow = || tenant.is_some_and(|tenant| self.has_member(tenant, id));
        if !self.is_own(id) && !is_fellow() {
            return Ok(None);
        }
        Ok(self.tables.identity.users.get(&id).cloned())
    }

    fn credential(
        &mut self,
        email: &Email,
    ) -> Result<Option<(User, Option<PasswordHash>)>, StoreError> {
        let tables = &self.tables.identity;
        let user = tables.users.values().find(|user| user.email == *email);
        Ok(user.map(|user| (user.clone(), tables.passwords.get(&user.id).cloned())))
    }

    fn link_identity(
        &mut self,
        user_id: UserId,
        identity: &ExternalIdentity,
        _now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        self.must_own(user_id)?;
        if self.tables.identity.identities.contains_key(identity) {
            return Err(conflict("user_identities_pkey"));
        }
        self.must_have_user(user_id, "user_identities_user_id_fkey")?;
        let identities = &mut self.tables.identity.identities;
        identities.insert(identity.clone(), user_id);
        Ok(())
    }

    fn set_password(
        &mut self,
        user_id: UserId,
        hash: &PasswordHash,
        _now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        self.must_own(user_id)?;
        self.must_have_user(user_id, "user_credentials_user_id_fkey")?;
        let passwords = &mut self.tables.identity.passwords;
        passwords.insert(user_id, hash.clone());
        Ok(())
    }

    fn set_last_tenant(&mut self, user_id: UserId, tenant_id: TenantId) -> Result<(), StoreError> {
        if self.is_own(user_id)
            && let Some(user) = self.tables.identity.users.get_mut(&user_id)
        {
            user.last_tenant_id = Some(tenant_id);
        }
        Ok(())
    }

    fn insert_session(&mut self, session: &Session) -> Result<(), StoreError> {
        self.must_own(session.user_id)?;
        if self.tables.identity.sessions.contains_key(&session.id) {
            return Err(conflict("sessions_pkey"));
        }
        self.must_have_user(session.user_id, "sessions_user_id_fkey")?;
        let row = Session {
            revoked_at: None,
            ..session.clone()
        };
        self.tables.identity.sessions.insert(session.id, row);
        Ok(())
    }

    fn session(
        &mut self,
        id: SessionId,
    ) -> Result<Option<(Session, Option<TenantId>)>, StoreError> {
        let tables = &self.tables.identity;
        let found = tables.sessions.get(&id).and_then(|session| {
            let user = tables.users.get(&session.user_id)?;
            let may_sign_in = user.status.may_sign_in();
            may_sign_in.then(|| (session.clone(), user.last_tenant_id))
        });
        Ok(found)
    }

    fn turn_session(
        &mut self,
        id: SessionId,
        from: &Digest256,
        to: &Digest256,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let live = self.own_session(id).filter(|row| row.expires_at > now);
        let Some(row) = live.filter(|row| row.turn_digest == *from) else {
            return Ok(false);
        };
        row.turn_digest = *to;
        Ok(true)
    }

    fn revoke_session(
        &mut self,
        id: SessionId,
        _reason: RevokeReason,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let Some(row) = self.own_session(id) else {
            return Ok(false);
        };
        row.revoked_at = Some(now);
        Ok(true)
    }

    fn access(&mut self, query: &AccessQuery) -> Result<Option<UserAccess>, StoreError> {
        Ok(access::find(self, query))
    }
}
