//! Tenancy in memory, one file a port as in `plinth-pg`.

mod tenants;

use std::collections::BTreeMap;

use kernel::TenantId;
use tenancy::Tenant;
use time::OffsetDateTime;

#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) tenants: BTreeMap<TenantId, Tenant>,
    /// When a tenant gave a slug up.
    released_slugs: BTreeMap<(TenantId, String), OffsetDateTime>,
}
