//! Taking: whether there is room, and what follows from what was taken, in the transaction that takes.
//!
//! Whoever takes holds the tenant's lock from before the count until the commit, so that of two takers the second counts what the first
//! took.

use kernel::{LimitReached, StoreError, TenantId};
use time::OffsetDateTime;

use crate::{Entitlement, Kind, Store, threshold};

/// Something was let through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Whether more is used now than the limit allows.
    pub is_over: bool,
}

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// There is no room.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// What was asked for is not counted: a boolean or a value.
    #[error("{0} is not counted")]
    NotCounted(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets `more` of `key` through, or not, and notes what follows. The caller holds the tenant's lock, and writes down what it takes in the
/// same transaction.
///
/// # Errors
/// See [`TakeError`].
pub fn admit(
    store: &mut dyn Store,
    tenant_id: TenantId,
    key: &str,
    more: i64,
    now: OffsetDateTime,
) -> Result<Admitted, TakeError> {
    let standing = store.standing(tenant_id, key, now)?;
    let Some(grant) = standing.grant.clone() else {
        standing.allowance(now).admit_many(key, 0, more)?;
        return Ok(Admitted::default());
    };
    if matches!(grant.kind, Kind::Boolean | Kind::Static) {
        return Err(TakeError::NotCounted(grant.key));
    }
    if grant.maximum.is_none() {
        return Ok(Admitted::default());
    }
    let mut entitlement = standing.measure(store, tenant_id, grant, now)?;
    standing
        .allowance(now)
        .admit_many(key, entitlement.used, more)?;
    entitlement.used = entitlement.used.saturating_add(more);
    note(store, tenant_id, &standing.plan_code(), &entitlement, now)?;
    Ok(Admitted {
        is_over: entitlement.is_over(),
    })
}

/// Notes what follows from the use of `key` as it is now, after something was taken elsewhere in this transaction. The caller holds the
/// tenant's lock.
///
/// # Errors
/// [`StoreError`].
pub fn taken(
    store: &mut dyn Store,
    tenant_id: TenantId,
    key: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let standing = store.standing(tenant_id, key, now)?;
    let limited = standing
        .grant
        .clone()
        .filter(|grant| grant.maximum.is_some());
    let Some(grant) = limited else {
        return Ok(());
    };
    let entitlement = standing.measure(store, tenant_id, grant, now)?;
    note(store, tenant_id, &standing.plan_code(), &entitlement, now)
}

/// Notes what follows from the use of an entitlement: its grace starts or is over, and thresholds are told.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn note(
    store: &mut dyn Store,
    tenant_id: TenantId,
    plan: &str,
    entitlement: &Entitlement,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    note_crossing(store, tenant_id, entitlement, now)?;
    threshold::tell(store, tenant_id, plan, entitlement, now)
}

/// Use that comes back within the limit has its whole grace again.
fn note_crossing(
    store: &mut dyn Store,
    tenant_id: TenantId,
    entitlement: &Entitlement,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let grant = &entitlement.grant;
    let grants_time = grant
        .enforcement
        .grace()
        .is_some_and(|grace| grace.lasts.is_some());
    match (
        grants_time,
        entitlement.grace_ends_at,
        entitlement.is_over(),
    ) {
        (true, None, true) => {
            let period_start = (grant.kind == Kind::Quota).then_some(entitlement.period.start);
            store.start_grace(tenant_id, &grant.key, period_start, now)
        }
        (true, Some(_), false) => store.end_grace(tenant_id, &grant.key),
        _ => Ok(()),
    }
}
