//! Tenants in memory.

use kernel::{StoreError, TenantId, TenantStatus};
use tenancy::{Slug, Tenant, TenantStore};
use time::{Duration, OffsetDateTime};

use crate::memory::{MemoryTx, conflict};

/// How long a slug that was given up is nobody else's.
const HELD: Duration = Duration::days(90);

impl MemoryTx {
    /// The row of the tenant in scope, to be written.
    fn own_tenant(&mut self, id: TenantId) -> Option<&mut Tenant> {
        if !self.sees(id) {
            return None;
        }
        self.tables.tenancy.tenants.get_mut(&id)
    }

    fn refuse_taken_slug(&self, slug: &Slug, tenant: TenantId) -> Result<(), StoreError> {
        let mut others = self.tables.tenancy.tenants.values();
        if others.any(|other| other.slug == *slug && other.id != tenant) {
            return Err(conflict("tenants_slug_key"));
        }
        Ok(())
    }

    /// Operators: a person who may administer tenants over the whole deployment, or the one principal without a person and without a tenant.
    fn is_operator(&self) -> bool {
        let scope = &self.scope;
        let may = |user| {
            let permissions = self.global_permissions(user);
            permissions.allows(&tenancy::permissions::ADMIN_TENANTS)
        };
        if scope.user_id.is_some_and(may) {
            return true;
        }
        let principal = scope.command.as_ref().map(|command| command.principal_id);
        principal.or(scope.principal_id).is_some()
            && scope.user_id.is_none()
            && scope.tenant_id.is_none()
    }
}

impl TenantStore for MemoryTx {
    fn insert_tenant(&mut self, tenant: &Tenant) -> Result<(), StoreError> {
        self.must_see(tenant.id)?;
        if self.tables.tenancy.tenants.contains_key(&tenant.id) {
            return Err(conflict("tenants_pkey"));
        }
        self.refuse_taken_slug(&tenant.slug, tenant.id)?;
        self.tables
            .tenancy
            .tenants
            .insert(tenant.id, tenant.clone());
        let since = self.now;
        self.tables.tenancy.status_since.insert(tenant.id, since);
        Ok(())
    }

    fn tenant(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let row = self.own_tenant(id);
        Ok(row
            .filter(|row| row.status != TenantStatus::Deleted)
            .cloned())
    }

    fn tenant_for_update(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        self.tenant(id)
    }

    fn update_tenant(&mut self, tenant: &Tenant) -> Result<(), StoreError> {
        if self.sees(tenant.id) {
            self.refuse_taken_slug(&tenant.slug, tenant.id)?;
        }
        if let Some(row) = self.own_tenant(tenant.id) {
            row.name = tenant.name.clone();
            row.slug = tenant.slug.clone();
            row.timezone = tenant.timezone.clone();
            row.version = tenant.version;
        }
        Ok(())
    }

    fn set_tenant_status(
        &mut self,
        tenant: &Tenant,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        if let Some(row) = self.own_tenant(tenant.id) {
            row.status = tenant.status;
            row.status_reason = tenant.status_reason.clone();
            row.version = tenant.version;
            self.tables.tenancy.status_since.insert(tenant.id, now);
        }
        Ok(())
    }

    fn slug_is_free(&mut self, slug: &Slug, tenant: TenantId) -> Result<bool, StoreError> {
        let held_since = self.now - HELD;
        let is_held = self
            .tables
            .tenancy
            .released_slugs
            .iter()
            .any(|((owner, held), at)| {
                held == slug.as_str() && *owner != tenant && *at > held_since
            });
        Ok(!is_held && self.refuse_taken_slug(slug, tenant).is_ok())
    }

    fn release_slug(
        &mut self,
        id: TenantId,
        slug: &Slug,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        self.must_see(id)?;
        self.tables
            .tenancy
            .released_slugs
            .insert((id, slug.as_str().to_owned()), now);
        Ok(())
    }

    fn all_tenants(
        &mut self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError> {
        if !self.is_operator() {
            return Ok(Vec::new());
        }
        let tenants = self.tables.tenancy.tenants.values();
        let behind = tenants.filter(|tenant| after.is_none_or(|after| tenant.id > after));
        Ok(behind.take(limit as usize + 1).cloned().collect())
    }
}
