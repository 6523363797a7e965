//! Where a tenant stands with one entitlement: everything that a decision about it needs, read in one go.

use bigdecimal::{RoundingMode, ToPrimitive};
use kernel::{Allowance, Quantity, StoreError, TenantId, Zone};
use time::OffsetDateTime;

use crate::{Anchor, Check, Counts, Entitlement, Grant, Kind, Period, Store, entitlement::NO_PLAN};

/// When a limit that grants time was first crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// The start of the period that it was crossed in; `None` for a limit.
    pub period_start: Option<OffsetDateTime>,
    /// When.
    pub at: OffsetDateTime,
}

/// What a quota counted in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The metric whose meter counted it; `None` for what reservations settled.
    pub metric: Option<String>,
    /// From when to when.
    pub period: Period,
    /// How much.
    pub quantity: Quantity,
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
    /// Of a quota, when it was known beforehand how it is counted: what it counted in the period around the instant that was asked about, up
    /// to the watermark.
    pub counted: Option<Counted>,
    /// How far usage can be read: see [`Counts::watermark`].
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

    /// Whether `more` of what is granted would be allowed; `None` where its use was not read with the rest.
    #[must_use]
    pub fn check(&self, more: i64, at: OffsetDateTime) -> Option<Check> {
        let Some(grant) = self.grant.clone() else {
            return Some(Check::of(None, more));
        };
        let period = self.period_at(&grant, at);
        let counted = self.known(&grant, period)?;
        let entitlement = self.with_held(grant, period, counted, at);
        Some(Check::of(Some(entitlement), more))
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
        let counted = match self.known(&grant, period) {
            Some(known) => known,
            None => whole(&store.count(tenant_id, &grant, period, &self.watermark)?),
        };
        Ok(self.with_held(grant, period, counted, at))
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
        let counted = match self.known(&grant, period) {
            Some(known) => known,
            None => whole(&counted(store, tenant_id, &grant, period, &self.watermark)?),
        };
        Ok(self.entitlement(grant, period, counted, at))
    }

    /// What is counted, and what open reservations hold.
    fn with_held(
        &self,
        grant: Grant,
        period: Period,
        counted: i64,
        at: OffsetDateTime,
    ) -> Entitlement {
        let held = match grant.kind {
            Kind::Limit | Kind::Quota => self.held,
            Kind::Boolean | Kind::Static => 0,
        };
        self.entitlement(grant, period, counted.saturating_add(held), at)
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

    /// What counts against `grant` in a period, as far as it was read already.
    fn known(&self, grant: &Grant, period: Period) -> Option<i64> {
        match grant.kind {
            Kind::Boolean | Kind::Static => Some(0),
            Kind::Limit => Some(self.things),
            Kind::Quota => self
                .counted
                .as_ref()
                .filter(|counted| counted.metric == grant.metric && counted.period == period)
                .map(|counted| whole(&counted.quantity)),
        }
    }
}

/// What counts against a quota in a period: what its meter counted, or, without one, what its reservations settled.
pub(crate) fn counted<S: Counts + ?Sized>(
    store: &mut S,
    tenant_id: TenantId,
    quota: &Grant,
    period: Period,
    watermark: &str,
) -> Result<Quantity, StoreError> {
    match &quota.metric {
        Some(metric) => store.metered(tenant_id, metric, period, watermark),
        None => store
            .settled(tenant_id, &quota.key, period)
            .map(Quantity::from),
    }
}

/// Half a task used up is a task used up.
fn whole(quantity: &Quantity) -> i64 {
    let whole = quantity
        .as_decimal()
        .with_scale_round(0, RoundingMode::Ceiling);
    whole.to_i64().unwrap_or(i64::MAX).max(0)
}
