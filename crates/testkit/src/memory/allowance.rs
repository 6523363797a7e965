//! How much of a counted thing a tenant may have: billing's answer to the gates of other domains.

use billing::Counts;
use kernel::{Allowance, StoreError, TenantId};
use time::OffsetDateTime;

use super::{MemoryTx, Tables};

impl MemoryTx {
    /// What plan and overrides allow of `key` at `at`, as `billing::entitlement::allowance`. A key that neither names is not allowed.
    ///
    /// # Errors
    /// [`StoreError::Unexpected`] when the tenant is not there.
    pub(super) fn allowance(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        at: OffsetDateTime,
    ) -> Result<Allowance, StoreError> {
        Ok(self.standing(tenant_id, key, at)?.allowance(at))
    }
}

/// Puts a tenant on a plan that is on sale, from when it was made on.
pub(super) fn subscribe(tables: &mut Tables, tenant_id: TenantId, plan: &str) {
    let Some(tenant) = tables.tenancy.tenants.get_mut(&tenant_id) else {
        return;
    };
    if let Some(plan) = tables.billing.subscribe(tenant, plan) {
        tenant.plan_code = plan;
    }
}
