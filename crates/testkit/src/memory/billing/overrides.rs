//! What operators give a tenant besides its plan, in memory.

use billing::{Override, Overrides, permissions::ENTITLEMENT_OVERRIDE};
use kernel::{StoreError, TenantId, TenantStatus};

use crate::memory::MemoryTx;

impl MemoryTx {
    /// As `app.may_override`: a person needs the permission over the deployment.
    fn must_be_operator(&self) -> Result<(), StoreError> {
        let may = |user| self.global_permissions(user).allows(&ENTITLEMENT_OVERRIDE);
        if self.scope.user_id.is_none_or(may) {
            return Ok(());
        }
        Err(StoreError::Unexpected(
            "only operators give overrides".to_owned(),
        ))
    }
}

impl Overrides for MemoryTx {
    fn has_tenant(&mut self, tenant_id: TenantId) -> Result<bool, StoreError> {
        let row = self.row_of_tenant(tenant_id);
        Ok(row.is_ok_and(|tenant| tenant.status != TenantStatus::Deleted))
    }

    fn overrides(
        &mut self,
        tenant_id: TenantId,
        key: Option<&str>,
    ) -> Result<Vec<Override>, StoreError> {
        let overrides = self.tables.billing.overrides.iter();
        Ok(overrides
            .filter(|((tenant, _), _)| *tenant == tenant_id && self.sees(tenant_id))
            .filter(|((_, about), _)| key.is_none_or(|key| about == key))
            .map(|(_, given)| given.clone())
            .collect())
    }

    fn put_override(&mut self, tenant_id: TenantId, given: &Override) -> Result<(), StoreError> {
        self.must_see(tenant_id)?;
        self.must_be_operator()?;
        let place = (tenant_id, given.grant.key.clone());
        self.tables.billing.overrides.insert(place, given.clone());
        Ok(())
    }

    fn delete_override(&mut self, tenant_id: TenantId, key: &str) -> Result<(), StoreError> {
        self.must_be_operator()?;
        if self.sees(tenant_id) {
            let place = (tenant_id, key.to_owned());
            self.tables.billing.overrides.remove(&place);
        }
        Ok(())
    }
}
