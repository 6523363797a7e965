//! Identity in memory.

mod access;
mod keys;
mod people;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use identity::{ApiKey, ExternalIdentity, KeyHash, PasswordHash, Session, User};
use kernel::{ApiKeyId, SessionId, StoreError, TenantId, UserId};

use super::MemoryTx;

#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) users: BTreeMap<UserId, User>,
    passwords: BTreeMap<UserId, PasswordHash>,
    identities: HashMap<ExternalIdentity, UserId>,
    sessions: BTreeMap<SessionId, Session>,
    keys: BTreeMap<(TenantId, ApiKeyId), (ApiKey, KeyHash)>,
    pub(super) global_roles: BTreeSet<(UserId, String)>,
}

impl MemoryTx {
    /// Whether rows of one person are this transaction's to see and to change.
    fn is_own(&self, user: UserId) -> bool {
        self.scope.user_id == Some(user)
    }

    /// Refuses to write a row of another person.
    fn must_own(&self, user: UserId) -> Result<(), StoreError> {
        if self.is_own(user) {
            return Ok(());
        }
        Err(StoreError::Unexpected(
            "new row violates row-level security policy".to_owned(),
        ))
    }
}
