//! What a tenant's plan allows: the limits of members and projects in the default catalogue.

use kernel::{Allowance, StoreError, TenantId};
use time::OffsetDateTime;

use super::{MemoryTx, Tables};

/// Plan, `max_members`, `max_projects`; `None` is unlimited.
const PLANS: [(&str, Option<i64>, Option<i64>); 4] = [
    ("free", Some(3), Some(1)),
    ("starter", Some(10), Some(5)),
    ("pro", Some(50), Some(20)),
    ("enterprise", None, None),
];

impl MemoryTx {
    /// How much of `key` the tenant in scope may have at `at`. Nobody else runs meanwhile, so there is no lock to take.
    pub(super) fn allowance(
        &self,
        tenant_id: TenantId,
        key: &str,
        _at: OffsetDateTime,
    ) -> Result<Allowance, StoreError> {
        let tenant = self.tables.tenancy.tenants.get(&tenant_id);
        let tenant = tenant
            .filter(|tenant| self.sees(tenant.id))
            .ok_or_else(|| StoreError::Unexpected("there is no such tenant".to_owned()))?;
        let limits = PLANS.iter().find(|(code, ..)| *code == tenant.plan_code);
        let max = match (limits, key) {
            (Some((_, members, _)), "max_members") => *members,
            (Some((_, _, projects)), "max_projects") => *projects,
            _ => Some(0),
        };
        Ok(Allowance {
            max,
            plan: tenant.plan_code.clone(),
        })
    }
}

/// Puts a tenant on a plan of the default catalogue.
pub(super) fn subscribe(tables: &mut Tables, tenant_id: TenantId, plan: &str) {
    if let Some(tenant) = tables.tenancy.tenants.get_mut(&tenant_id) {
        plan.clone_into(&mut tenant.plan_code);
    }
}
