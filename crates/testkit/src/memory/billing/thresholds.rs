//! What follows from the use of a limit, and looking for metered use, in memory.

use std::collections::BTreeMap;

use billing::{
    Crossing, Grant, Kind, QuotaWatch, Thresholds,
    threshold::{Look, Reached, Touched},
};
use kernel::{StoreError, TenantId};
use time::{Duration, OffsetDateTime};

use crate::memory::MemoryTx;

/// How long a threshold is remembered.
const REMEMBERED: Duration = Duration::days(100);

impl MemoryTx {
    /// When a limit was first crossed, as far as that was noted.
    pub(super) fn crossing(&self, tenant_id: TenantId, key: &str) -> Option<Crossing> {
        let place = (tenant_id, key.to_owned());
        let crossing = self.tables.billing.crossings.get(&place);
        crossing.copied().filter(|_| self.sees(tenant_id))
    }

    /// Whether a quota of some plan, or one of the tenant's own, counts a meter.
    fn is_metered_by_a_quota(&self, tenant_id: TenantId, metric: &str) -> bool {
        let tables = &self.tables.billing;
        let counts =
            |grant: &Grant| grant.kind == Kind::Quota && grant.metric.as_deref() == Some(metric);
        let own = tables.overrides.iter();
        let mut own = own.filter(|((tenant, _), _)| *tenant == tenant_id);
        tables.plans.grant_something(counts) || own.any(|(_, given)| counts(&given.grant))
    }
}

impl Thresholds for MemoryTx {
    fn mark_thresholds(
        &mut self,
        tenant_id: TenantId,
        reached: &Reached,
    ) -> Result<Vec<i16>, StoreError> {
        self.must_see(tenant_id)?;
        let marks = &mut self.tables.billing.thresholds;
        let (key, oldest) = (&reached.key, reached.at - REMEMBERED);
        marks.retain(|(tenant, of, start, ..)| {
            (*tenant, of) != (tenant_id, key) || *start >= oldest
        });
        let thresholds = reached.thresholds.iter().copied();
        let new = thresholds.filter(|threshold| {
            let start = reached.period_start;
            marks.insert((tenant_id, key.clone(), start, reached.maximum, *threshold))
        });
        Ok(new.collect())
    }

    fn start_grace(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        period_start: Option<OffsetDateTime>,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        self.must_see(tenant_id)?;
        let crossing = Crossing { period_start, at };
        let place = (tenant_id, key.to_owned());
        self.tables.billing.crossings.insert(place, crossing);
        Ok(())
    }

    fn end_grace(&mut self, tenant_id: TenantId, key: &str) -> Result<(), StoreError> {
        if self.sees(tenant_id) {
            let place = (tenant_id, key.to_owned());
            self.tables.billing.crossings.remove(&place);
        }
        Ok(())
    }
}

impl QuotaWatch for MemoryTx {
    fn look(&mut self, at_most: u32) -> Result<Look, StoreError> {
        let from = self.tables.billing.watched;
        let (to, used, more) = self.usage_since(from, at_most as usize);
        let mut touched: BTreeMap<(TenantId, String), Touched> = BTreeMap::new();
        for (tenant_id, metric, at) in used {
            if !self.is_metered_by_a_quota(tenant_id, &metric) {
                continue;
            }
            let one = touched
                .entry((tenant_id, metric.clone()))
                .or_insert(Touched {
                    tenant_id,
                    metric,
                    first_at: at,
                    last_at: at,
                });
            one.first_at = one.first_at.min(at);
            one.last_at = one.last_at.max(at);
        }
        let mark = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Look {
            from: mark(from),
            to: mark(to),
            touched: touched.into_values().collect(),
            more,
        })
    }

    fn looked(&mut self, look: &Look) -> Result<(), StoreError> {
        let watched = &mut self.tables.billing.watched;
        if i64::try_from(*watched) == Ok(look.from) {
            *watched = usize::try_from(look.to).unwrap_or(*watched);
        }
        Ok(())
    }
}
