//! Subscriptions: which plan a tenant has, since when, and until when.

use kernel::{Denied, FieldError, Principal, StoreError, SubscriptionId, TenantId, Zone};
use time::OffsetDateTime;

use audit::{Crud, NewEvent, Target};

use crate::{Grid, Interval, Period, Plan, PlanRef, Store, permissions, plan};

/// The most that may be asked for at once, of anything counted.
pub const MAX_QUANTITY: i64 = 1_000_000_000_000_000;

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Free until the trial ends.
    Trialing,
    /// In force.
    Active,
    /// In force, with an invoice overdue.
    PastDue,
    /// In force, and not billed.
    Paused,
    /// Over.
    Canceled,
    /// Waits for a first payment.
    Incomplete,
}

impl Status {
    const ALL: [Self; 6] = [
        Self::Trialing,
        Self::Active,
        Self::PastDue,
        Self::Paused,
        Self::Canceled,
        Self::Incomplete,
    ];

    /// The status as stores and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
            Self::Incomplete => "incomplete",
        }
    }

    /// Reads the text of [`Status::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A plan that takes effect at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanChange {
    /// The plan.
    pub plan: PlanRef,
    /// From when on.
    pub effective_at: OffsetDateTime,
}

/// A tenant's subscription. A tenant has at most one that is not canceled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Where it stands.
    pub status: Status,
    /// The plan, unless [`Subscription::pending`] is due: see [`Subscription::plan_at`].
    pub plan: PlanRef,
    /// A plan that was ordered for later.
    pub pending: Option<PlanChange>,
    /// The instant it started at: every period is counted from here.
    pub anchor: OffsetDateTime,
    /// The tenant's zone when it started. Moving house does not move the periods.
    pub zone: Zone,
    /// How often its base price falls due.
    pub interval: Interval,
    /// When it ends, if it was canceled for later.
    pub cancel_at: Option<OffsetDateTime>,
}

impl Subscription {
    /// The grid of its periods, counted in `interval`.
    #[must_use]
    pub fn grid(&self, interval: Interval) -> Grid {
        Grid::new(self.anchor, &self.zone, interval)
    }

    /// The billing period around an instant.
    #[must_use]
    pub fn period_at(&self, at: OffsetDateTime) -> Period {
        self.grid(self.interval).period_at(at)
    }

    /// The plan in force: the pending one as soon as it is due, whether or not anybody has written that down yet.
    #[must_use]
    pub fn plan_at(&self, at: OffsetDateTime) -> &PlanRef {
        match &self.pending {
            Some(pending) if pending.effective_at <= at => &pending.plan,
            _ => &self.plan,
        }
    }

    /// A change that was ordered and is not due yet.
    #[must_use]
    pub fn pending_at(&self, at: OffsetDateTime) -> Option<&PlanChange> {
        self.pending
            .as_ref()
            .filter(|pending| at < pending.effective_at)
    }
}

/// A subscription as it stands at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The subscription.
    pub subscription: Subscription,
    /// The plan in force.
    pub plan: Plan,
    /// The period around the instant.
    pub period: Period,
}

/// Why a tenant was not subscribed.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// No plan on sale has this code.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The tenant has a live subscription already.
    #[error("the tenant has a subscription already")]
    AlreadySubscribed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a subscription was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadSubscriptionError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The tenant has no live subscription.
    #[error("the tenant has no subscription")]
    NotSubscribed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Subscribes a new tenant to a plan, by code or alias, from `now` on. Called by sign-up in its own transaction, on behalf of the
/// system: there is no permission to ask for yet.
///
/// # Errors
/// See [`SubscribeError`].
pub fn subscribe(
    store: &mut dyn Store,
    tenant_id: TenantId,
    plan: &str,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Subscription, SubscribeError> {
    let plan = store
        .plan_on_sale(plan::parse_code(plan)?)?
        .ok_or_else(plan::unknown)?;
    let subscription = Subscription {
        id: SubscriptionId::new(now),
        tenant_id,
        status: Status::Active,
        plan: plan.reference(),
        pending: None,
        anchor: now,
        zone: store.tenant_zone(tenant_id)?,
        interval: plan.interval,
        cancel_at: None,
    };
    store.insert_subscription(&subscription).map_err(|error| {
        if error.conflicts_with("subscriptions_live_key") {
            SubscribeError::AlreadySubscribed
        } else {
            error.into()
        }
    })?;
    store.add_plan_change(
        &subscription,
        &PlanChange {
            plan: plan.reference(),
            effective_at: now,
        },
    )?;
    let target = Target::new("subscription", subscription.id, plan.name);
    store.record(
        NewEvent::new(
            tenant_id,
            "subscription.created",
            Crud::Create,
            target,
            by,
            now,
        )
        .field("plan", &plan.code),
    )?;
    Ok(subscription)
}

/// The tenant's subscription at `now`. Needs `billing.read`.
///
/// # Errors
/// See [`ReadSubscriptionError`].
pub fn read(
    store: &mut dyn Store,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Current, ReadSubscriptionError> {
    let tenant_id = by.may(&permissions::BILLING_READ)?;
    current(store, tenant_id, now)?.ok_or(ReadSubscriptionError::NotSubscribed)
}

/// The live subscription of a tenant at `now`, with its plan.
///
/// # Errors
/// [`StoreError`].
pub fn current(
    store: &mut dyn Store,
    tenant_id: TenantId,
    now: OffsetDateTime,
) -> Result<Option<Current>, StoreError> {
    let Some(subscription) = store.subscription(tenant_id)? else {
        return Ok(None);
    };
    let plan = store.plan(subscription.plan_at(now))?;
    let period = subscription.period_at(now);
    Ok(Some(Current {
        subscription,
        plan,
        period,
    }))
}

/// Checks a count from outside.
///
/// # Errors
/// `out_of_range` on `field` when it is less than `least` or more than [`MAX_QUANTITY`].
pub fn check_quantity(field: &'static str, quantity: i64, least: i64) -> Result<(), FieldError> {
    if (least..=MAX_QUANTITY).contains(&quantity) {
        Ok(())
    } else {
        let message = format!("must be from {least} to {MAX_QUANTITY}");
        Err(FieldError::new(field, "out_of_range", message))
    }
}
