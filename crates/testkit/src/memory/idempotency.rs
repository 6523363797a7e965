//! `Idempotency-Key`s in memory. They belong to principals, not to tenants.

use std::collections::BTreeMap;

use app::idempotency::{Answer, NewKey, RETENTION, Store, UsedKey};
use kernel::StoreError;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{MemoryTx, conflict, oldest};

#[derive(Clone, Default)]
pub(super) struct Tables {
    keys: BTreeMap<Uuid, Row>,
}

#[derive(Clone)]
struct Row {
    key: NewKey,
    is_committed: bool,
    answer: Option<Answer>,
    created_at: OffsetDateTime,
}

impl Row {
    fn used(&self) -> UsedKey {
        UsedKey {
            id: self.key.id,
            fingerprint: self.key.fingerprint.clone(),
            lease_until: self.key.lease_until,
            committed: self.is_committed,
            answer: self.answer.clone(),
        }
    }
}

impl MemoryTx {
    /// Whose keys are there: the principal that a command is carried out for, or else the one of the scope.
    fn owner_of_keys(&self) -> Option<Uuid> {
        let command = self.scope.command.as_ref();
        command
            .map(|command| command.principal_id)
            .or(self.scope.principal_id)
    }

    fn own_row(&mut self, id: Uuid) -> Option<&mut Row> {
        let owner = self.owner_of_keys();
        let row = self.tables.idempotency.keys.get_mut(&id);
        row.filter(|row| Some(row.key.principal_id) == owner)
    }

    /// Marks the command of the scope as carried out, in the transaction that did it. Whoever lost the lease does not commit.
    pub(super) fn mark_carried_out(&mut self) -> Result<(), StoreError> {
        let Some(command) = self.scope.command.clone() else {
            return Ok(());
        };
        let row = self.own_row(command.id);
        match row.filter(|row| row.key.lease_until == command.lease_until) {
            Some(row) => {
                row.is_committed = true;
                Ok(())
            }
            None => Err(conflict("idempotency_lease")),
        }
    }

    /// Deletes up to `limit` keys of all principals that were made before `before`.
    pub(super) fn forget_idempotency_keys(&mut self, before: OffsetDateTime, limit: u32) -> u64 {
        let keys = &mut self.tables.idempotency.keys;
        let old = keys.iter().filter(|(_, row)| row.created_at < before);
        let gone = oldest(old.map(|(id, row)| (row.created_at, *id)), limit);
        for id in &gone {
            keys.remove(id);
        }
        gone.len() as u64
    }
}

impl Store for MemoryTx {
    fn reserve(
        &mut self,
        key: &NewKey,
        now: OffsetDateTime,
    ) -> Result<Option<UsedKey>, StoreError> {
        if self.owner_of_keys() != Some(key.principal_id) {
            return Err(StoreError::Unexpected(
                "new row violates row-level security policy".to_owned(),
            ));
        }
        let keys = &mut self.tables.idempotency.keys;
        let is_same =
            |row: &Row| (row.key.principal_id, &row.key.key) == (key.principal_id, &key.key);
        keys.retain(|_, row| !is_same(row) || row.created_at >= now - RETENTION);
        if let Some(there) = keys.values().find(|row| is_same(row)) {
            return Ok(Some(there.used()));
        }
        if keys.contains_key(&key.id) {
            return Err(conflict("idempotency_keys_pkey"));
        }
        let row = Row {
            key: key.clone(),
            is_committed: false,
            answer: None,
            created_at: now,
        };
        keys.insert(key.id, row);
        Ok(None)
    }

    fn take_over(
        &mut self,
        used: &UsedKey,
        lease_until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let row = self.own_row(used.id).filter(|row| {
            row.key.lease_until == used.lease_until && !row.is_committed && row.answer.is_none()
        });
        Ok(match row {
            Some(row) => {
                row.key.lease_until = lease_until;
                true
            }
            None => false,
        })
    }

    fn complete(&mut self, id: Uuid, answer: &Answer) -> Result<(), StoreError> {
        if let Some(row) = self.own_row(id) {
            row.answer = Some(answer.clone());
        }
        Ok(())
    }

    fn release(&mut self, id: Uuid) -> Result<(), StoreError> {
        if self.own_row(id).is_some_and(|row| !row.is_committed) {
            self.tables.idempotency.keys.remove(&id);
        }
        Ok(())
    }
}
