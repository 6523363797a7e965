//! Reservations: quotas and concurrency. Take before, settle or give back after; a lease that runs out gives itself back.

use audit::{Crud, NewEvent, Target};
use kernel::{
    Denied, FieldError, LimitReached, Page, PageRequest, Principal, ReservationId, StoreError,
    TenantId, text,
};
use time::{Duration, OffsetDateTime};

use crate::{
    Store, permissions, resource, subscription,
    take::{self, TakeError},
};

/// The longest lease, in seconds: a day.
pub const MAX_TTL_SECONDS: i64 = 86_400;

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet. It counts until its lease runs out.
    Open,
    /// So much was used after all. It holds no longer; its quantity counts on where the quota has no meter.
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

/// What was reserved, and whether more is used with it than the limit allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The reservation.
    pub reservation: Reservation,
    /// Whether the limit, which lets more through, is exceeded.
    pub is_over: bool,
}

/// Which reservations a reader wants. Empty fields do not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this entitlement.
    pub key: Option<String>,
    /// In this state: the text of [`Outcome::as_str`].
    pub status: Option<&'static str>,
}

impl Filter {
    /// Reads a filter from outside.
    ///
    /// # Errors
    /// `key` as it is checked in a [`Wish`]; `unknown_value` on `status`.
    pub fn parse(key: Option<String>, status: Option<&str>) -> Result<Self, FieldError> {
        if let Some(key) = &key {
            text::check("key", key, 255)?;
        }
        let known = ["open", "settled", "released"];
        let status = status
            .map(|status| {
                let message = "must be open, settled or released";
                let unknown = || FieldError::new("status", "unknown_value", message);
                known
                    .into_iter()
                    .find(|one| *one == status)
                    .ok_or_else(unknown)
            })
            .transpose()?;
        Ok(Self { key, status })
    }
}

/// Why reservations were not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListReservationsError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The cursor belongs to another list.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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

impl From<TakeError> for ReserveError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Limit(limit) => Self::Limit(limit),
            TakeError::NotCounted(_) => {
                let message = "is not counted, and cannot be reserved";
                FieldError::new("key", "not_reservable", message).into()
            }
            TakeError::Store(error) => Self::Store(error),
        }
    }
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
) -> Result<Reserved, ReserveError> {
    let tenant_id = by.may(&permissions::RESOURCE_WRITE)?;
    check(&wish)?;
    store.lock_tenant(tenant_id)?;
    let admitted = take::admit(store, tenant_id, &wish.key, wish.quantity, now)?;
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
    let action = "reservation.created";
    trace(store, &reservation, action, Crud::Create, by, now)?;
    Ok(Reserved {
        reservation,
        is_over: admitted.is_over,
    })
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
    let uses_more =
        matches!(outcome, Outcome::Settled { quantity } if quantity > reservation.quantity);
    if uses_more {
        store.lock_tenant(tenant_id)?;
    }
    store.finish_reservation(&reservation, now)?;
    if uses_more {
        take::taken(store, tenant_id, &reservation.key, now)?;
    }
    let action = match outcome {
        Outcome::Released => "reservation.released",
        _ => "reservation.settled",
    };
    trace(store, &reservation, action, Crud::Update, by, now)?;
    Ok(reservation)
}

/// A page of reservations, newest first, whatever became of them: for a client that lost an answer. Needs `resource.read`.
///
/// # Errors
/// See [`ListReservationsError`].
pub fn list(
    store: &mut dyn Store,
    filter: &Filter,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<Reservation>, ListReservationsError> {
    let tenant_id = by.may(&permissions::RESOURCE_READ)?;
    let rows = store.reservations(tenant_id, filter, page, page.key()?)?;
    Ok(Page::from_rows(rows, page.limit, |row| row.id))
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
