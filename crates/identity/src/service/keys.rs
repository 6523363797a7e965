//! API keys.

use kernel::{ApiKeyId, Page, PageRequest, Principal, Scope, StoreError};

use super::{AccessError, Identity};
use crate::{
    ApiKey, CreateKeyError, KeyMatch, KeyMode, KeyRecord, KeyState, KeyText, KeyUse, NewKey,
    PermissionQuery, ReadKeyError, RevokeKeyError, RotateKeyError, Verification, VerifyKeyError,
    api_key, permissions,
};

impl Identity {
    /// Makes a key; its text is shown here and never again. Needs `api_key.create`.
    ///
    /// # Errors
    /// See [`CreateKeyError`].
    pub async fn create_key(
        &self,
        mode: KeyMode,
        new: NewKey,
        by: &Principal,
    ) -> Result<(ApiKey, KeyText), CreateKeyError> {
        let (scope, by, now) = (Scope::of(by), by.clone(), self.clock.now());
        let text = KeyText::generate(mode);
        let hash = self.peppers.hash(&text);
        self.db
            .run(scope, move |store| {
                let key = api_key::create(store, new, &text, &hash, &by, now)?;
                Ok((key, text))
            })
            .await
    }

    /// A page of the tenant's keys. Needs `api_key.read`.
    ///
    /// # Errors
    /// See [`ReadKeyError`].
    pub async fn keys(
        &self,
        page: PageRequest,
        by: &Principal,
    ) -> Result<Page<ApiKey>, ReadKeyError> {
        let (scope, by) = (Scope::of(by), by.clone());
        self.db
            .run(scope, move |store| api_key::list(store, &page, &by))
            .await
    }

    /// One key. Needs `api_key.read`.
    ///
    /// # Errors
    /// See [`ReadKeyError`].
    pub async fn key(&self, id: ApiKeyId, by: &Principal) -> Result<ApiKey, ReadKeyError> {
        let (scope, by) = (Scope::of(by), by.clone());
        self.db
            .run(scope, move |store| api_key::get(store, id, &by))
            .await
    }

    /// Ends a key. Needs `api_key.delete`.
    ///
    /// # Errors
    /// See [`RevokeKeyError`].
    pub async fn revoke_key(
        &self,
        id: ApiKeyId,
        reason: Option<String>,
        by: &Principal,
    ) -> Result<ApiKey, RevokeKeyError> {
        let (scope, by, now) = (Scope::of(by), by.clone(), self.clock.now());
        self.db
            .run(scope, move |store| {
                api_key::revoke(store, id, reason, &by, now)
            })
            .await
    }

    /// Puts a new key in the place of another. Needs `api_key.write`.
    ///
    /// # Errors
    /// See [`RotateKeyError`].
    pub async fn rotate_key(
        &self,
        id: ApiKeyId,
        overlap_seconds: i64,
        by: &Principal,
    ) -> Result<(ApiKey, KeyText), RotateKeyError> {
        let (scope, by, now) = (Scope::of(by), by.clone(), self.clock.now());
        let peppers = self.peppers.clone();
        self.db
            .run(scope, move |store| {
                let text = |old: &ApiKey| {
                    let text = KeyText::generate(old.mode);
                    let hash = peppers.hash(&text);
                    (text, hash)
                };
                api_key::rotate(store, id, overlap_seconds, text, &by, now)
            })
            .await
    }

    /// Tells whether a key of the caller's tenant is good, and for what. Needs `api_key.read`. Whoever is held to one project is told of
    /// the keys of that project only.
    ///
    /// # Errors
    /// See [`VerifyKeyError`].
    pub async fn verify_key(
        &self,
        text: &str,
        wanted: Option<PermissionQuery>,
        by: &Principal,
    ) -> Result<Verification, VerifyKeyError> {
        let tenant_id = by.may(&permissions::API_KEY_READ)?;
        let Some(text) = KeyText::parse(text) else {
            return Ok(Verification::NOT_FOUND);
        };
        let found = self.find_key(&text).await.map_err(|error| match error {
            AccessError::Hasher(error) => VerifyKeyError::from(error),
            AccessError::Store(error) => VerifyKeyError::from(error),
        })?;
        let now = self.clock.now();
        let judged = found
            .filter(|record| record.key.tenant_id == tenant_id)
            .filter(|record| api_key::is_visible(&record.key, by))
            .map(|record| api_key::judge(&record, wanted.as_ref(), now));
        Ok(judged.unwrap_or(Verification::NOT_FOUND))
    }

    /// What the store knows of a key that somebody signs in with; `None` when it is not good.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn key_access(&self, text: &KeyText) -> Result<Option<KeyRecord>, AccessError> {
        let now = self.clock.now();
        let found = self.find_key(text).await?;
        Ok(found.filter(|record| record.state(now) == KeyState::Live))
    }

    /// Notes that a key was used. Costs no question to the store: see [`Identity::flush_key_uses`].
    pub fn note_key_use(&self, key: &ApiKey) {
        let (tenant_id, key_id, at) = (key.tenant_id, key.id, self.clock.now());
        self.last_used.note(KeyUse {
            tenant_id,
            key_id,
            at,
        });
    }

    /// Writes when keys were used, each at most once a minute. To be called every few seconds, and before the process ends.
    ///
    /// # Errors
    /// [`StoreError`]; the uses of this batch are lost then, and the next use of a key is written again.
    pub async fn flush_key_uses(&self) -> Result<usize, StoreError> {
        let uses = self.last_used.take(self.clock.now());
        let count = uses.len();
        if count > 0 {
            let written: Result<(), StoreError> = self
                .db
                .run(Scope::global(), move |store| store.touch_keys(&uses))
                .await;
            written?;
        }
        Ok(count)
    }

    async fn key_record(&self, key_id: &str) -> Result<Option<KeyRecord>, StoreError> {
        if let Some(reader) = &self.key_reader {
            return reader.key_record(key_id).await;
        }
        let key_ids = [key_id.to_owned()];
        let found = self
            .db
            .run(Scope::global(), move |store| store.key_records(&key_ids))
            .await;
        found.map(|mut records| records.pop())
    }

    /// Finds the key with exactly this text, whatever its state.
    async fn find_key(&self, text: &KeyText) -> Result<Option<KeyRecord>, AccessError> {
        let Some(record) = self.key_record(text.key_id()).await? else {
            return Ok(None);
        };
        let matched = match self.peppers.compare(text, &record.hash) {
            KeyMatch::AskHasher(hash) => {
                let password = crate::Password::offered(text.reveal().to_owned().into());
                if self.hasher.verify(password, Some(hash)).await? {
                    KeyMatch::Outdated
                } else {
                    KeyMatch::No
                }
            }
            matched => matched,
        };
        if matched == KeyMatch::Outdated {
            self.upgrade_hash(&record, text).await;
        }
        Ok((matched != KeyMatch::No && record.key.mode == text.mode()).then_some(record))
    }

    /// Signs a key anew. When it fails the old hash goes on to work, and the next use tries again.
    async fn upgrade_hash(&self, record: &KeyRecord, text: &KeyText) {
        let (tenant_id, id) = (record.key.tenant_id, record.key.id);
        let hash = self.peppers.hash(text);
        let upgraded: Result<(), StoreError> = self
            .db
            .run(Scope::tenant(tenant_id), move |store| {
                store.rehash_key(tenant_id, id, &hash)
            })
            .await;
        if let Err(error) = upgraded {
            tracing::warn!(key = %id, %error, "the key's hash was not upgraded");
        }
    }
}
