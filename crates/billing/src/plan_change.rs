//! Changing the plan of a subscription: now, prorated both ways, or at the end of the period.

use audit::{Crud, NewEvent, Target};
use kernel::{Denied, FieldError, Principal, StoreError, TenantId};
use time::OffsetDateTime;

use crate::{
    Current, Entitlement, Plan, PlanChange, Proration, Store, entitlement, permissions, plan,
    subscription,
};

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once: the rest of the period is prorated both ways. The period stays what it is.
    Now,
    /// With the next period. Until then another order replaces this one.
    PeriodEnd,
}

/// An order for another plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Code or alias of the plan.
    pub plan: String,
    /// When.
    pub when: When,
}

/// What an order does, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The subscription: as the order leaves it, or as it is when this is a preview.
    pub current: Current,
    /// The plan that was ordered.
    pub ordered: Plan,
    /// When it takes effect.
    pub effective_at: OffsetDateTime,
    /// What the rest of this period comes to; nought both ways for a change at its end.
    pub proration: Proration,
    /// What the tenant has more of than the plan allows. It keeps it, and may add no more.
    pub over_limit: Vec<Entitlement>,
}

/// Why a plan was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePlanError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No plan on sale has this code, or it is billed in another interval or currency.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The tenant has no live subscription.
    #[error("the tenant has no subscription")]
    NotSubscribed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an order would do. Changes nothing. Needs `billing.read`.
///
/// # Errors
/// See [`ChangePlanError`].
pub fn preview(
    store: &mut dyn Store,
    order: &Order,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Outlook, ChangePlanError> {
    let tenant_id = by.may(&permissions::BILLING_READ)?;
    outlook(store, tenant_id, order, now)
}

/// Carries an order out. Ordering what is in force already takes back an order for later, and is otherwise nothing.
/// Needs `billing.write`.
///
/// # Errors
/// See [`ChangePlanError`].
pub fn change(
    store: &mut dyn Store,
    order: &Order,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Outlook, ChangePlanError> {
    let tenant_id = by.may(&permissions::BILLING_WRITE)?;
    store.lock_tenant(tenant_id)?;
    let now = in_turn(store, tenant_id, now)?;
    let mut outlook = outlook(store, tenant_id, order, now)?;
    let before = outlook.current.clone();
    write(store, order.when, &mut outlook, now)?;
    if outlook.current == before {
        return Ok(outlook);
    }
    for kept in &outlook.over_limit {
        trace_kept(store, tenant_id, kept, &outlook, by, now)?;
    }
    let id = outlook.current.subscription.id;
    let target = Target::new("subscription", id, outlook.ordered.name.clone());
    store.record(
        NewEvent::new(
            tenant_id,
            "subscription.changed",
            Crud::Update,
            target,
            by,
            now,
        )
        .changed("plan", before.plan.code, outlook.ordered.code.clone())
        .field("effective_at", outlook.effective_at),
    )?;
    Ok(outlook)
}

/// Names in the trail what the tenant keeps beyond the ordered plan.
fn trace_kept(
    store: &mut dyn Store,
    tenant_id: TenantId,
    kept: &Entitlement,
    outlook: &Outlook,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let key = &kept.grant.key;
    let target = Target::new("entitlement", key, key.clone());
    let action = "entitlement.grandfathered";
    let event = NewEvent::new(tenant_id, action, Crud::Update, target, by, now)
        .field("plan", &outlook.ordered.code)
        .field("limit", kept.grant.maximum.unwrap_or(-1))
        .field("used", kept.used)
        .field("effective_at", outlook.effective_at);
    store.record(event)
}

/// The instant of this change: not before the last one. The caller read its clock before its turn came, and clocks of several machines
/// differ; history must end with the plan that the subscription has.
fn in_turn(
    store: &mut dyn Store,
    tenant_id: TenantId,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, StoreError> {
    let Some(subscription) = store.subscription(tenant_id)? else {
        return Ok(now);
    };
    let changes = store.plan_changes(&subscription)?;
    Ok(changes
        .last()
        .map_or(now, |last| now.max(last.effective_at)))
}

fn outlook(
    store: &mut dyn Store,
    tenant_id: TenantId,
    order: &Order,
    now: OffsetDateTime,
) -> Result<Outlook, ChangePlanError> {
    let code = plan::parse_code(&order.plan)?;
    let current =
        subscription::current(store, tenant_id, now)?.ok_or(ChangePlanError::NotSubscribed)?;
    let ordered = store.plan_on_sale(code)?.ok_or_else(plan::unknown)?;
    // The version that was bought is kept: ordering the plan one has is no way to another price.
    let ordered = if ordered.code == current.plan.code {
        current.plan.clone()
    } else {
        ordered
    };
    if ordered.interval != current.subscription.interval {
        return Err(incompatible(
            "interval_differs",
            "must be billed in the same interval",
        ));
    }
    if ordered.price.currency != current.plan.price.currency {
        return Err(incompatible(
            "currency_differs",
            "must be billed in the same currency",
        ));
    }
    let effective_at = match order.when {
        When::Now => now,
        When::PeriodEnd => current.period.end,
    };
    let proration = Proration::of(
        current.plan.price,
        ordered.price,
        effective_at,
        current.period,
    );
    let over_limit = over_limit(store, tenant_id, &ordered, now)?;
    Ok(Outlook {
        current,
        ordered,
        effective_at,
        proration,
        over_limit,
    })
}

fn incompatible(code: &'static str, message: &'static str) -> ChangePlanError {
    FieldError::new("plan", code, message).into()
}

fn over_limit(
    store: &mut dyn Store,
    tenant_id: TenantId,
    ordered: &Plan,
    now: OffsetDateTime,
) -> Result<Vec<Entitlement>, StoreError> {
    let mut granted = store.granted(tenant_id, None, now)?;
    // What the ordered plan does not name, it does not allow.
    let named = |key: &str| ordered.grants.iter().any(|grant| grant.key == key);
    granted.by_plan.retain(|old| !named(&old.key));
    for old in &mut granted.by_plan {
        old.maximum = Some(0);
    }
    granted.by_plan.extend(ordered.grants.iter().cloned());
    let mut entitlements = entitlement::with_use(store, tenant_id, granted.in_force(now), now)?;
    entitlements.retain(Entitlement::is_over);
    Ok(entitlements)
}

fn write(
    store: &mut dyn Store,
    when: When,
    outlook: &mut Outlook,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let subscription = &mut outlook.current.subscription;
    let before = subscription.clone();
    // An order for later that has become due is history before anything else happens.
    if let Some(due) = subscription
        .pending
        .take_if(|pending| pending.effective_at <= now)
    {
        store.add_plan_change(subscription, &due)?;
        subscription.plan = due.plan;
    }
    let change = PlanChange {
        plan: outlook.ordered.reference(),
        effective_at: outlook.effective_at,
    };
    subscription.pending = None;
    if change.plan != subscription.plan {
        match when {
            When::Now => {
                store.add_plan_change(subscription, &change)?;
                subscription.plan = change.plan;
                outlook.current.plan = outlook.ordered.clone();
            }
            When::PeriodEnd => subscription.pending = Some(change),
        }
    }
    if *subscription != before {
        store.save_subscription(subscription)?;
    }
    Ok(())
}
