//! Imports: their rows, their totals, and what the tenants have of them.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use kernel::{StoreError, TenantId, TenantStatus};
use time::OffsetDateTime;
use usage::{
    Status,
    import::{Identity, Import, ImportStore, ImportTotal, Imported, Position},
};
use uuid::Uuid;

use crate::memory::MemoryTx;

#[derive(Clone, Default)]
pub(super) struct Tables {
    imports: BTreeMap<Uuid, Import>,
    totals: BTreeMap<(TenantId, Uuid, String, Status), (u64, BigDecimal)>,
}

impl MemoryTx {
    /// An import is a principal, and sees its own row.
    fn own_import(&mut self, id: Uuid) -> Option<&mut Import> {
        if self.scope.principal_id != Some(id) {
            return None;
        }
        self.tables.usage.imports.imports.get_mut(&id)
    }
}

impl ImportStore for MemoryTx {
    fn import(&mut self, id: Uuid) -> Result<Option<Import>, StoreError> {
        Ok(self.own_import(id).cloned())
    }

    fn hold_import(&mut self, identity: &Identity) -> Result<Import, StoreError> {
        let id = identity.id();
        if self.scope.principal_id != Some(id) {
            return Err(StoreError::Unexpected(
                "new row violates row-level security policy".to_owned(),
            ));
        }
        let fresh = || Import {
            mapping: identity.mapping.clone(),
            position: Position::default(),
            unassigned: 0,
            started_at: self.now,
            finished_at: None,
        };
        let imports = &mut self.tables.usage.imports.imports;
        Ok(imports.entry(id).or_insert_with(fresh).clone())
    }

    fn move_import(
        &mut self,
        id: Uuid,
        to: &Position,
        unassigned: u64,
        finished: bool,
    ) -> Result<(), StoreError> {
        let now = self.now;
        if let Some(import) = self.own_import(id) {
            import.position = to.clone();
            import.unassigned += unassigned;
            import.finished_at = finished.then_some(now);
        }
        Ok(())
    }

    fn enter_tenant(&mut self, tenant_id: TenantId) -> Result<(), StoreError> {
        self.scope.tenant_id = Some(tenant_id);
        Ok(())
    }

    fn has_tenant(&mut self, tenant_id: TenantId) -> Result<bool, StoreError> {
        let tenant = self.tables.tenancy.tenants.get(&tenant_id);
        let there = tenant.is_some_and(|tenant| tenant.status != TenantStatus::Deleted);
        Ok(self.sees(tenant_id) && there)
    }

    fn tenant_of_slug(&mut self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        let mut tenants = self.tables.tenancy.tenants.values();
        let found = tenants
            .find(|tenant| tenant.slug.as_str() == slug && tenant.status != TenantStatus::Deleted);
        Ok(found.map(|tenant| tenant.id))
    }

    fn add_import_totals(
        &mut self,
        tenant_id: TenantId,
        id: Uuid,
        totals: &[ImportTotal],
    ) -> Result<(), StoreError> {
        self.must_see(tenant_id)?;
        for total in totals {
            let key = (tenant_id, id, total.metric.clone(), total.status);
            let (events, quantity) = self.tables.usage.imports.totals.entry(key).or_default();
            *events += total.events;
            *quantity += &total.quantity;
        }
        Ok(())
    }

    fn import_totals(
        &mut self,
        tenant_id: TenantId,
        id: Uuid,
    ) -> Result<Vec<ImportTotal>, StoreError> {
        let sees = self.sees(tenant_id);
        let totals = self.tables.usage.imports.totals.iter();
        let own = totals.filter(|((of, import, ..), _)| sees && *of == tenant_id && *import == id);
        let total = |((_, _, metric, status), (events, quantity)): (
            &(TenantId, Uuid, String, Status),
            &(u64, BigDecimal),
        )| ImportTotal {
            metric: metric.clone(),
            status: *status,
            events: *events,
            quantity: quantity.clone(),
        };
        Ok(own.map(total).collect())
    }

    fn imported(
        &mut self,
        tenant_id: TenantId,
        source: &str,
        since: OffsetDateTime,
    ) -> Result<Vec<Imported>, StoreError> {
        let meters = self.effective_meters(tenant_id);
        let mut imported: BTreeMap<String, Imported> = BTreeMap::new();
        let events = self
            .visible_events(tenant_id)
            .filter(|event| event.metered.event.source == source && event.received_at >= since);
        for event in events {
            let metered = &event.metered;
            let Some(meter) = meters.iter().find(|meter| meter.id == metered.meter_id) else {
                continue;
            };
            let row = imported
                .entry(meter.key.clone())
                .or_insert_with(|| Imported {
                    metric: meter.key.clone(),
                    events: 0,
                    quantity: BigDecimal::default(),
                    first_at: metered.occurred_at,
                    last_at: metered.occurred_at,
                });
            row.events += 1;
            row.quantity += metered.quantity.as_decimal();
            row.first_at = row.first_at.min(metered.occurred_at);
            row.last_at = row.last_at.max(metered.occurred_at);
        }
        Ok(imported.into_values().collect())
    }
}
