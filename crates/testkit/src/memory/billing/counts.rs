//! What a tenant may have, and what it uses, in memory.

use billing::{
    Anchor, Counted, Counts, Granted, Kind, Outcome, Period, Standing, Subscriptions, resource,
    subscription::Status,
};
use kernel::{Quantity, StoreError, TenantId};
use time::OffsetDateTime;

use super::reservations::Row;
use crate::memory::MemoryTx;

impl MemoryTx {
    /// What the plan in force at `at` and the tenant's overrides grant.
    pub(in crate::memory) fn granted_to(
        &self,
        tenant_id: TenantId,
        key: Option<&str>,
        at: OffsetDateTime,
    ) -> Granted {
        let tables = &self.tables.billing;
        let plan = self
            .live_subscription(tenant_id)
            .filter(|one| one.status != Status::Incomplete)
            .filter(|one| one.cancel_at.is_none_or(|end| at < end))
            .map(|one| one.plan_at(at));
        let overrides = tables.overrides.iter();
        Granted {
            plan: plan.map(|plan| plan.code.clone()),
            by_plan: plan.map_or_else(Vec::new, |plan| tables.plans.grants(plan, key)),
            overrides: overrides
                .filter(|((tenant, _), _)| *tenant == tenant_id && self.sees(tenant_id))
                .filter(|((_, about), _)| key.is_none_or(|key| about == key))
                .map(|(_, given)| given.clone())
                .collect(),
        }
    }

    /// Reservations of a key, when the tenant is in scope.
    fn reservations_of(&self, tenant_id: TenantId, key: &str) -> impl Iterator<Item = &Row> {
        let is_seen = self.sees(tenant_id);
        let rows = self.tables.billing.reservations.values();
        rows.filter(move |row| {
            let one = &row.reservation;
            is_seen && one.tenant_id == tenant_id && one.key == key
        })
    }

    fn things(&self, tenant_id: TenantId, key: &str, at: OffsetDateTime) -> i64 {
        match key {
            "max_members" => self.seats_taken(tenant_id, at),
            "max_projects" => self.projects_counted(tenant_id),
            _ => resource::kind_of_limit(key)
                .map_or(0, |kind| self.counted_resources(tenant_id, kind)),
        }
    }

    fn held(&self, tenant_id: TenantId, key: &str, at: OffsetDateTime) -> i64 {
        let held = self.reservations_of(tenant_id, key).filter(|row| {
            row.reservation.outcome == Outcome::Open && at < row.reservation.expires_at
        });
        held.map(|row| row.reservation.quantity).sum()
    }

    fn counted_resources(&self, tenant_id: TenantId, kind: &str) -> i64 {
        let things = self.tables.billing.resources.keys();
        let counted = things
            .filter(|(tenant, of, _)| *tenant == tenant_id && of == kind && self.sees(tenant_id))
            .count();
        i64::try_from(counted).unwrap_or(i64::MAX)
    }
}

impl Counts for MemoryTx {
    fn granted(
        &mut self,
        tenant_id: TenantId,
        key: Option<&str>,
        at: OffsetDateTime,
    ) -> Result<Granted, StoreError> {
        Ok(self.granted_to(tenant_id, key, at))
    }

    fn standing(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        at: OffsetDateTime,
    ) -> Result<Standing, StoreError> {
        let zone = self.tenant_zone(tenant_id)?;
        let anchor = self.live_subscription(tenant_id).map(|one| Anchor {
            at: one.anchor,
            zone: one.zone.clone(),
        });
        let granted = self.granted_to(tenant_id, Some(key), at);
        let mut standing = Standing {
            plan: granted.plan.clone(),
            grant: granted.in_force(at).pop(),
            anchor,
            zone,
            things: self.things(tenant_id, key, at),
            held: self.held(tenant_id, key, at),
            crossing: self.crossing(tenant_id, key),
            counted: None,
            watermark: self.watermark()?,
        };
        let quota = standing.grant.as_ref();
        let quota = quota.filter(|grant| grant.kind == Kind::Quota && grant.metric.is_none());
        if let Some(quota) = quota {
            let period = standing.period_at(quota, at);
            standing.counted = Some(Counted {
                metric: None,
                period,
                quantity: self.settled(tenant_id, key, period)?.into(),
            });
        }
        Ok(standing)
    }

    fn watermark(&mut self) -> Result<String, StoreError> {
        Ok(self.usage_watermark())
    }

    fn metered(
        &mut self,
        tenant_id: TenantId,
        metric: &str,
        period: Period,
        watermark: &str,
    ) -> Result<Quantity, StoreError> {
        self.metered_total(tenant_id, metric, (period.start, period.end), watermark)
            .map(Quantity::from)
    }

    fn settled(
        &mut self,
        tenant_id: TenantId,
        key: &str,
        period: Period,
    ) -> Result<i64, StoreError> {
        let finished = self
            .reservations_of(tenant_id, key)
            .filter(|row| row.finished_at.is_some_and(|at| period.contains(at)));
        Ok(finished
            .map(|row| match row.reservation.outcome {
                Outcome::Settled { quantity } => quantity,
                Outcome::Open | Outcome::Released => 0,
            })
            .sum())
    }
}
