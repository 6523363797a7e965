//! Invite, resend, revoke.

use audit::{Crud, NewEvent};
use kernel::{Denied, Email, FieldError, InvitationId, LimitReached, Principal, StoreError};
use time::OffsetDateTime;

use super::{Invitation, InvitationStatus, LIFETIME};
use crate::{Store, permissions, role};

/// Why nobody was invited, or an invitation was not changed.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// The person is a member already.
    #[error("{email} is a member already")]
    AlreadyMember {
        /// The address.
        email: String,
    },
    /// The person has a pending invitation already.
    #[error("{email} is invited already; resend the invitation instead")]
    AlreadyInvited {
        /// The address.
        email: String,
    },
    /// There is no such invitation.
    #[error("there is no such invitation")]
    NotFound,
    /// The invitation is not pending any more.
    #[error("the invitation is {}", .0.as_str())]
    NotPending(InvitationStatus),
    /// The plan has no seat left.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// A value breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Invites `email` to the tenant with `role_key`. A pending invitation holds a seat; seats are counted under the tenant's lock.
///
/// # Errors
/// See [`InviteError`].
pub fn invite(
    store: &mut dyn Store,
    email: &Email,
    role_key: &str,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Invitation, InviteError> {
    let tenant_id = by.may(&permissions::USER_INVITE)?;
    role::grantable(store, tenant_id, "role", role_key, by)?;
    let (allowance, used) = store.seats(tenant_id, now)?;
    let email = email.as_str().to_owned();
    if store.is_member(tenant_id, &email)? {
        return Err(InviteError::AlreadyMember { email });
    }
    // One that is over but not yet expired by the worker would stand in the way.
    store.expire_invitation_to(tenant_id, &email, now)?;
    allowance.admit("max_members", used)?;
    let invitation = Invitation {
        id: InvitationId::new(now),
        tenant_id,
        email,
        role_key: role_key.to_owned(),
        status: InvitationStatus::Pending,
        invited_by: by.user_id,
        sends: 1,
        expires_at: now + LIFETIME,
        accepted_by: None,
        created_at: now,
    };
    store
        .insert_invitation(&invitation)
        .map_err(|error| already_invited(error, &invitation))?;
    store.seat_taken(tenant_id, now)?;
    store.publish(invitation.send(now))?;
    store.record(
        NewEvent::new(
            tenant_id,
            "invitation.created",
            Crud::Create,
            invitation.target(),
            by,
            now,
        )
        .field("role", role_key),
    )?;
    Ok(invitation)
}

/// An address has one pending invitation.
fn already_invited(error: StoreError, invitation: &Invitation) -> InviteError {
    if error.conflicts_with("invitations_pending_key") {
        InviteError::AlreadyInvited {
            email: invitation.email.clone(),
        }
    } else {
        error.into()
    }
}

/// Sends a pending or expired invitation again, with a new token and a new deadline. An expired one stays so when the person joined or was
/// invited anew in the meantime.
///
/// # Errors
/// See [`InviteError`].
pub fn resend(
    store: &mut dyn Store,
    id: InvitationId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Invitation, InviteError> {
    let tenant_id = by.may(&permissions::USER_INVITE)?;
    let (allowance, used) = store.seats(tenant_id, now)?;
    let mut invitation = store
        .invitation(tenant_id, id)?
        .ok_or(InviteError::NotFound)?;
    match invitation.status_at(now) {
        InvitationStatus::Pending => {}
        InvitationStatus::Expired if store.is_member(tenant_id, &invitation.email)? => {
            let email = invitation.email;
            return Err(InviteError::AlreadyMember { email });
        }
        // An expired one gave its seat back, and takes a new one.
        InvitationStatus::Expired => allowance.admit("max_members", used)?,
        other => return Err(InviteError::NotPending(other)),
    }
    invitation.status = InvitationStatus::Pending;
    invitation.sends += 1;
    invitation.expires_at = now + LIFETIME;
    store
        .update_invitation(&invitation, now)
        .map_err(|error| already_invited(error, &invitation))?;
    store.seat_taken(tenant_id, now)?;
    store.publish(invitation.send(now))?;
    let event = NewEvent::new(
        tenant_id,
        "invitation.resent",
        Crud::Update,
        invitation.target(),
        by,
        now,
    );
    store.record(event.field("sends", invitation.sends))?;
    Ok(invitation)
}

/// Takes a pending invitation back. Taking one back twice is the same as once.
///
/// # Errors
/// See [`InviteError`].
pub fn revoke(
    store: &mut dyn Store,
    id: InvitationId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Invitation, InviteError> {
    let tenant_id = by.may(&permissions::USER_INVITE)?;
    store.tenant_for_update(tenant_id)?;
    let mut invitation = store
        .invitation(tenant_id, id)?
        .ok_or(InviteError::NotFound)?;
    match invitation.status {
        InvitationStatus::Pending => {}
        InvitationStatus::Revoked => return Ok(invitation),
        other => return Err(InviteError::NotPending(other)),
    }
    invitation.status = InvitationStatus::Revoked;
    store.update_invitation(&invitation, now)?;
    store.record(NewEvent::new(
        tenant_id,
        "invitation.revoked",
        Crud::Update,
        invitation.target(),
        by,
        now,
    ))?;
    Ok(invitation)
}
