//! Counted things of the host product, in memory.

use billing::{Resource, Resources};
use kernel::{PageRequest, StoreError, TenantId};

use crate::memory::{MemoryTx, conflict};

impl Resources for MemoryTx {
    fn resource(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        external_id: &str,
    ) -> Result<Option<Resource>, StoreError> {
        let key = (tenant_id, kind.to_owned(), external_id.to_owned());
        let created_at = self.tables.billing.resources.get(&key);
        Ok(created_at
            .filter(|_| self.sees(tenant_id))
            .map(|created_at| Resource {
                tenant_id,
                kind: key.1,
                external_id: key.2,
                created_at: *created_at,
            }))
    }

    fn resources(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        page: &PageRequest,
        after: Option<&str>,
    ) -> Result<Vec<Resource>, StoreError> {
        let things = self.tables.billing.resources.iter();
        Ok(things
            .filter(|((tenant, of, _), _)| *tenant == tenant_id && of == kind)
            .filter(|((_, _, name), _)| after.is_none_or(|after| name.as_str() > after))
            .filter(|_| self.sees(tenant_id))
            .take(page.limit as usize + 1)
            .map(|((_, kind, external_id), created_at)| Resource {
                tenant_id,
                kind: kind.clone(),
                external_id: external_id.clone(),
                created_at: *created_at,
            })
            .collect())
    }

    fn insert_resource(&mut self, resource: &Resource) -> Result<(), StoreError> {
        let Resource {
            tenant_id,
            kind,
            external_id,
            created_at,
        } = resource;
        self.must_see(*tenant_id)?;
        let key = (*tenant_id, kind.clone(), external_id.clone());
        if self.tables.billing.resources.contains_key(&key) {
            return Err(conflict("resources_pkey"));
        }
        self.refuse_unknown_tenant(*tenant_id, "resources_tenant_id_fkey")?;
        self.tables.billing.resources.insert(key, *created_at);
        Ok(())
    }

    fn delete_resource(
        &mut self,
        tenant_id: TenantId,
        kind: &str,
        external_id: &str,
    ) -> Result<bool, StoreError> {
        if !self.sees(tenant_id) {
            return Ok(false);
        }
        let key = (tenant_id, kind.to_owned(), external_id.to_owned());
        Ok(self.tables.billing.resources.remove(&key).is_some())
    }
}
