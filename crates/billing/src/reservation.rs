//! Reservations: hard quotas and concurrency. Take before, settle or give back after; a lease that runs out gives itself back.

use audit::{Crud, NewEvent, Target};
use kernel::{
    Denied, FieldError, LimitReached, Principal, ReservationId, StoreError, TenantId, text,
};
use time::{Duration, OffsetDateTime};

use crate::{Kind, Store, entitlement, permissions, resource, subscription};

/// The longest lease, in seconds: a day.
pub const MAX_TTL_SECONDS: i64 = 86_400;

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet. It counts until its lease runs out.
    Open,
    /// So much was used after all. It counts no longer: the usage events do.
    Settled {
        /// The quantity used.
        quantity: i64,
    },
    /// Nothing was used.
    Released,
}

impl Outcome {
    /// The outcome as stores and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled { .. } => "settled",
            Self::Released => "released",
        }
    }
}

/// Quantity held for work that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Key of the entitlement.
    pub key: String,
    /// How much is held.
    pub quantity: i64,
    /// What became of it.
    pub outcome: Outcome,
    /// When the lease runs out.
    pub expires_at: OffsetDateTime,
    /// When it was taken.
    pub created_at: OffsetDateTime,
}

/// A wish to hold quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Key of the entitlement.
    pub key: String,
    /// How much, from 1.
    pub quantity: i64,
    /// For how long, 1 to [`MAX_TTL_SECONDS`] seconds.
    pub ttl_seconds: i64,
}

/// Why nothing was reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The wish breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The plan's limit is reached.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a reservation was neither settled nor released.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The quantity breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// There is no such reservation.
    #[error("there is no such reservation")]
    NotFound,
    /// It was finished before, with other figures.
    #[error("the reservation was settled or released with other figures")]
    Settled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Holds quantity, within the plan's limit. Needs `resource.write`.
///
/// # Errors
/// See [`ReserveError`].
pub fn reserve(
    store: &mut dyn Store,
    wish: Wish,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Reservation, ReserveError> {
    let tenant_id = by.may(&permissions::RESOURCE_WRITE)?;
    check(&wish)?;
    let allowance = entitlement::allowance(store, tenant_id, &wish.key)?;
    if allowance.max.is_some() {
        let used = used(store, tenant_id, &wish.key, now)?;
        allowance.admit_many(&wish.key, used, wish.quantity)?;
    }
    let reservation = Reservation {
        id: ReservationId::new(now),
        tenant_id,
        key: wish.key,
        quantity: wish.quantity,
        outcome: Outcome::Open,
        expires_at: now + Duration::seconds(wish.ttl_seconds),
        created_at: now,
    };
    store.insert_reservation(&reservation)?;
    trace(
        store,
        &reservation,
        "reservation.created",
        Crud::Create,
        by,
        now,
    )?;
    Ok(reservation)
}

fn check(wish: &Wish) -> Result<(), FieldError> {
    text::check("key", &wish.key, 255)?;
    if wish.key.starts_with("max_") && resource::kind_of_limit(&wish.key).is_none() {
        let message = "is counted by its own routes, and cannot be reserved";
        return Err(FieldError::new("key", "not_reservable", message));
    }
    subscription::check_quantity("quantity", wish.quantity, 1)?;
    if !(1..=MAX_TTL_SECONDS).contains(&wish.ttl_seconds) {
        let message = "must be from 1 to 86400 seconds";
        return Err(FieldError::new("ttl_seconds", "out_of_range", message));
    }
    Ok(())
}

fn used(
    store: &mut dyn Store,
    tenant_id: TenantId,
    key: &str,
    now: OffsetDateTime,
) -> Result<i64, ReserveError> {
    let Some(grant) = store
        .granted(tenant_id, Some(key), now)?
        .in_force(now)
        .pop()
    else {
        return Ok(0);
    };
    if matches!(grant.kind, Kind::Boolean | Kind::Static) {
        let message = "is not counted, and cannot be reserved";
        return Err(FieldError::new("key", "not_reservable", message).into());
    }
    let month = entitlement::quota_month(store, tenant_id, now)?;
    Ok(entitlement::used(store, tenant_id, &grant, month, now)?)
}

/// Says how much was used after all, which may be more or less than was held, and ends the hold. Also when the lease has run out:
/// the work was done. Needs `resource.write`.
///
/// # Errors
/// See [`FinishError`].
pub fn settle(
    store: &mut dyn Store,
    id: ReservationId,
    quantity: i64,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Reservation, FinishError> {
    by.may(&permissions::RESOURCE_WRITE)?;
    subscription::check_quantity("quantity", quantity, 0)?;
    finish(store, id, Outcome::Settled { quantity }, by, now)
}

/// Gives everything back. Needs `resource.write`.
///
/// # Errors
/// See [`FinishError`].
pub fn release(
    store: &mut dyn Store,
    id: ReservationId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Reservation, FinishError> {
    finish(store, id, Outcome::Released, by, now)
}

fn finish(
    store: &mut dyn Store,
    id: ReservationId,
    outcome: Outcome,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Reservation, FinishError> {
    let tenant_id = by.may(&permissions::RESOURCE_WRITE)?;
    let mut reservation = store
        .reservation_for_update(tenant_id, id)?
        .ok_or(FinishError::NotFound)?;
    if reservation.outcome == outcome {
        return Ok(reservation);
    }
    if reservation.outcome != Outcome::Open {
        return Err(FinishError::Settled);
    }
    reservation.outcome = outcome;
    store.finish_reservation(&reservation, now)?;
    let action = match outcome {
        Outcome::Released => "reservation.released",
        _ => "reservation.settled",
    };
    trace(store, &reservation, action, Crud::Update, by, now)?;
    Ok(reservation)
}

fn trace(
    store: &mut dyn Store,
    reservation: &Reservation,
    action: &'static str,
    crud: Crud,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let target = Target::new("reservation", reservation.id, reservation.key.clone());
    let event = NewEvent::new(reservation.tenant_id, action, crud, target, by, now);
    let event = event.field("quantity", reservation.quantity);
    store.record(match reservation.outcome {
        Outcome::Settled { quantity } => event.field("settled_quantity", quantity),
        _ => event,
    })
}
