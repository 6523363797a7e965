//! API keys in memory.

use identity::{ApiKey, Creator, EnvironmentRef, KeyHash, KeyRecord, KeyStore, KeyUse};
use kernel::{
    ApiKeyId, EnvironmentId, PageRequest, PermissionSet, ProjectId, StoreError, TenantId, UserId,
};
use time::OffsetDateTime;

use crate::memory::{MemoryTx, conflict, must_exist};

/// Whether a key holds its name.
fn holds_name(key: &ApiKey) -> bool {
    key.revoked_at.is_none() && key.overlap_until.is_none()
}

impl MemoryTx {
    /// Keys of the tenant in scope.
    fn own_keys(&self, tenant_id: TenantId) -> impl Iterator<Item = &ApiKey> {
        let rows = self.tables.identity.keys.values().map(|(key, _)| key);
        rows.filter(move |key| key.tenant_id == tenant_id && self.sees(tenant_id))
    }

    /// A key of the tenant in scope and its hash, to be changed.
    fn own_key(&mut self, tenant_id: TenantId, id: ApiKeyId) -> Option<&mut (ApiKey, KeyHash)> {
        if !self.sees(tenant_id) {
            return None;
        }
        self.tables.identity.keys.get_mut(&(tenant_id, id))
    }

    fn refuse_taken_key_name(&self, key: &ApiKey) -> Result<(), StoreError> {
        let mut others = self.own_keys(key.tenant_id);
        let is_taken = holds_name(key)
            && others
                .any(|other| holds_name(other) && other.name == key.name && other.id != key.id);
        if is_taken {
            return Err(conflict("api_keys_live_name_key"));
        }
        Ok(())
    }

    /// What a key points at is there, in its own tenant.
    fn check_key_references(&self, key: &ApiKey) -> Result<(), StoreError> {
        let (tables, tenant) = (&self.tables, key.tenant_id);
        let (tenancy, identity) = (&tables.tenancy, &tables.identity);
        let has_project = |id| tenancy.projects.contains_key(&(tenant, id));
        let has_environment = |id| tenancy.environments.contains_key(&(tenant, id));
        let has_key = |id| identity.keys.contains_key(&(tenant, id));
        let has_user = |id| identity.users.contains_key(&id);
        for (found, constraint) in [
            (
                tenancy.tenants.contains_key(&tenant),
                "api_keys_tenant_id_fkey",
            ),
            (
                key.project_id.is_none_or(has_project),
                "api_keys_tenant_id_project_id_fkey",
            ),
            (
                key.environment_id.is_none_or(has_environment),
                "api_keys_tenant_id_environment_id_fkey",
            ),
            (
                key.rotated_from.is_none_or(has_key),
                "api_keys_tenant_id_rotated_from_fkey",
            ),
            (
                key.created_by.is_none_or(has_user),
                "api_keys_created_by_fkey",
            ),
        ] {
            must_exist(found, constraint)?;
        }
        Ok(())
    }

    /// The creator of a key, as they stand now, whatever the scope.
    fn creator(&self, tenant_id: TenantId, user: UserId) -> Creator {
        let is_member = self.active_member(tenant_id, user).is_some();
        let known = self.tables.identity.users.get(&user);
        let may_sign_in = known.is_some_and(|user| user.status.may_sign_in());
        let permissions = if is_member {
            self.member_permissions(tenant_id, user)
        } else {
            PermissionSet::default()
        };
        Creator {
            is_active: is_member && may_sign_in,
            permissions,
        }
    }
}

impl KeyStore for MemoryTx {
    fn insert_key(&mut self, key: &ApiKey, hash: &KeyHash) -> Result<(), StoreError> {
        self.must_see(key.tenant_id)?;
        let place = (key.tenant_id, key.id);
        let mut rows = self.tables.identity.keys.iter();
        if rows.any(|(other, _)| *other == place) {
            return Err(conflict("api_keys_pkey"));
        }
        let mut rows = self.tables.identity.keys.values();
        if rows.any(|(other, _)| other.key_id == key.key_id) {
            return Err(conflict("api_keys_key_id_key"));
        }
        self.refuse_taken_key_name(key)?;
        self.check_key_references(key)?;
        let row = (key.clone(), hash.clone());
        self.tables.identity.keys.insert(place, row);
        Ok(())
    }

    fn key(&mut self, tenant_id: TenantId, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.own_key(tenant_id, id).map(|(key, _)| key.clone()))
    }

    fn lock_key(
        &mut self,
        tenant_id: TenantId,
        id: ApiKeyId,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.key(tenant_id, id)
    }

    fn keys(
        &mut self,
        tenant_id: TenantId,
        project_id: Option<ProjectId>,
        page: &PageRequest,
        after: Option<(OffsetDateTime, ApiKeyId)>,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let place = |key: &ApiKey| (key.created_at, key.id);
        let mut found: Vec<ApiKey> = self
            .own_keys(tenant_id)
            .filter(|key| project_id.is_none() || key.project_id == project_id)
            .filter(|key| after.is_none_or(|after| place(key) < after))
            .cloned()
            .collect();
        found.sort_by_key(|key| std::cmp::Reverse(place(key)));
        found.truncate(page.limit as usize + 1);
        Ok(found)
    }

    fn lock_keys_of(
        &mut self,
        tenant_id: TenantId,
        creator: UserId,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let own = self.own_keys(tenant_id);
        let own = own.filter(|key| key.created_by == Some(creator) && key.revoked_at.is_none());
        Ok(own.cloned().collect())
    }

    fn update_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        if self.key(key.tenant_id, key.id)?.is_none() {
            return Ok(());
        }
        self.refuse_taken_key_name(key)?;
        if let Some((row, _)) = self.own_key(key.tenant_id, key.id) {
            row.revoked_at = key.revoked_at;
            row.revoked_reason.clone_from(&key.revoked_reason);
            row.overlap_until = key.overlap_until;
        }
        Ok(())
    }

    fn has_project(&mut self, tenant_id: TenantId, id: ProjectId) -> Result<bool, StoreError> {
        let projects = &self.tables.tenancy.projects;
        Ok(self.sees(tenant_id) && projects.contains_key(&(tenant_id, id)))
    }

    fn environment(
        &mut self,
        tenant_id: TenantId,
        project_id: Option<ProjectId>,
        wanted: &EnvironmentRef,
    ) -> Result<Option<(EnvironmentId, ProjectId)>, StoreError> {
        if !self.sees(tenant_id) {
            return Ok(None);
        }
        let rows = self.tables.tenancy.environments.iter();
        let mut own = rows.filter(|((tenant, _), _)| *tenant == tenant_id);
        let found = own.find(|(_, row)| match wanted {
            EnvironmentRef::Id(id) => row.id == *id,
            EnvironmentRef::Name(name) => Some(row.project_id) == project_id && row.name == *name,
        });
        Ok(found.map(|(_, row)| (row.id, row.project_id)))
    }

    fn key_records(&mut self, key_ids: &[String]) -> Result<Vec<KeyRecord>, StoreError> {
        let rows = self.tables.identity.keys.values();
        let found = rows.filter(|(key, _)| key_ids.contains(&key.key_id));
        let records = found.filter_map(|(key, hash)| {
            let tenant = self.tables.tenancy.tenants.get(&key.tenant_id)?;
            Some(KeyRecord {
                key: key.clone(),
                hash: hash.clone(),
                tenant_status: tenant.status,
                creator: key.created_by.map(|user| self.creator(tenant.id, user)),
            })
        });
        Ok(records.collect())
    }

    fn rehash_key(
        &mut self,
        tenant_id: TenantId,
        id: ApiKeyId,
        hash: &KeyHash,
    ) -> Result<(), StoreError> {
        if let Some((_, kept)) = self.own_key(tenant_id, id) {
            kept.clone_from(hash);
        }
        Ok(())
    }

    /// Of whatever tenants, so the scope does not matter.
    fn touch_keys(&mut self, uses: &[KeyUse]) -> Result<(), StoreError> {
        for used in uses {
            let place = (used.tenant_id, used.key_id);
            if let Some((key, _)) = self.tables.identity.keys.get_mut(&place) {
                key.last_used_at = key.last_used_at.max(Some(used.at));
            }
        }
        Ok(())
    }
}
