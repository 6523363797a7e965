//! Where a tenant stands with one entitlement: everything that a decision about it needs, read in one go.

use bigdecimal::{RoundingMode, ToPrimitive};
use kernel::{Allowance, StoreError, TenantId, Zone};
use time::OffsetDateTime;

use crate::{Anchor, Entitlement, Grant, Kind, Period, Store, entitlement::NO_PLAN};

/// When a limit that grants time was first crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// The start of the period that it was crossed in; `None` for a limit.
    pub period_start: Option<OffsetDateTime>,
    /// When.
    pub at: OffsetDateTime,
}

/// Where a tenant stands with one entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Code of the plan in force; `None` without a live subscription.
    pub plan: Option<String>,
    /// What is granted: by an override that has not expired, or else by the plan. `None` when neither names the key.
    pub grant: Option<Grant>,
    /// Where billing months start; `None` without a subscription.
    pub anchor: Option<Anchor>,
    /// The zone that the tenant lives in.
    pub zone: Zone,
    /// How many things a limit of this key counts.
    pub things: i64,
    /// What open reservations hold.
    pub held: i64,
    /// When the limit was first crossed, as far as that was noted.
    pub crossing: Option<Crossing>,
    /// How far usage can be read: see [`Counts::watermark`](crate::Counts::watermark).
    pub watermark: String,
}

impl Standing {
    /// The plan's code, for people.
    #[must_use]
    pub fn plan_code(&self) -> String {
        self.plan.clone().unwrap_or_else(|| NO_PLAN.to_owned())
    }

    /// The period of a grant around an instant.
    #[must_use]
    pub fn period_at(&self, grant: &Grant, at: OffsetDateTime) -> Period {
        grant.cycle.period_at(self.anchor.as_ref(), &self.zone, at)
    }

    /// What the grant allows, for those that count by themselves. Without a grant it is nothing.
    #[must_use]
    pub fn allowance(&self, at: OffsetDateTime) -> Allowance {
        let Some(grant) = &self.grant else {
            return Allowance::hard(Some(0), self.plan_code());
        };
        let period = self.period_at(grant, at);
        Allowance {
            max: grant.maximum,
            ceiling: self.ceiling(grant, period, at),
            plan: self.plan_code(),
        }
    }

    /// The use of `grant`, which is the one in force or one that may be.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn measure(
        &self,
        store: &mut dyn Store,
        tenant_id: TenantId,
        grant: Grant,
        at: OffsetDateTime,
    ) -> Result<Entitlement, StoreError> {
        let period = self.period_at(&grant, at);
        let counted = self.counted(store, tenant_id, &grant, period)?;
        let held = match grant.kind {
            Kind::Limit | Kind::Quota => self.held,
            Kind::Boolean | Kind::Static => 0,
        };
        Ok(self.entitlement(grant, period, counted.saturating_add(held), at))
    }

    /// The use of a quota in a period that is over, or to come. Nothing is held in it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn measure_in(
        &self,
        store: &mut dyn Store,
        tenant_id: TenantId,
        grant: Grant,
        period: Period,
        at: OffsetDateTime,
    ) -> Result<Entitlement, StoreError> {
        let counted = self.counted(store, tenant_id, &grant, period)?;
        Ok(self.entitlement(grant, period, counted, at))
    }

    fn entitlement(
        &self,
        grant: Grant,
        period: Period,
        used: i64,
        at: OffsetDateTime,
    ) -> Entitlement {
        Entitlement {
            used,
            period,
            ceiling: self.ceiling(&grant, period, at),
            grace_ends_at: grant
                .enforcement
                .grace_ends_at(self.crossed_at(&grant, period)),
            grant,
        }
    }

    /// When a limit was crossed, or a quota in this period.
    fn crossed_at(&self, grant: &Grant, period: Period) -> Option<OffsetDateTime> {
        let of_period = (grant.kind == Kind::Quota).then_some(period.start);
        self.crossing
            .filter(|crossing| crossing.period_start == of_period)
            .map(|crossing| crossing.at)
    }

    fn ceiling(&self, grant: &Grant, period: Period, at: OffsetDateTime) -> Option<i64> {
        let crossed_at = self.crossed_at(grant, period);
        grant
            .maximum
            .and_then(|most| grant.enforcement.ceiling(most, crossed_at, at))
    }

    fn counted(
        &self,
        store: &mut dyn Store,
        tenant_id: TenantId,
        grant: &Grant,
        period: Period,
    ) -> Result<i64, StoreError> {
        match (grant.kind, &grant.metric) {
            (Kind::Boolean | Kind::Static, _) => Ok(0),
            (Kind::Limit, _) => Ok(self.things),
            (Kind::Quota, None) => store.settled(tenant_id, &grant.key, period),
            (Kind::Quota, Some(metric)) => {
                let metered = store.metered(tenant_id, metric, period, &self.watermark)?;
                // Half a task used up is a task used up.
                let whole = metered
                    .as_decimal()
                    .with_scale_round(0, RoundingMode::Ceiling);
                Ok(whole.to_i64().unwrap_or(i64::MAX).max(0))
            }
        }
    }
}
