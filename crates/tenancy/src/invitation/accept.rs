//! Join.

use audit::{Crud, NewEvent};
use kernel::{Denied, InvitationId, Principal, StoreError, TenantId};
use time::OffsetDateTime;

use super::InvitationStatus;
use crate::{Store, Tenant, membership};

/// Why a person did not join.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The token is not one of ours, or its invitation is gone.
    #[error("there is no such invitation")]
    NotFound,
    /// Nobody accepted in time.
    #[error("the invitation has expired; ask for a new one")]
    Expired,
    /// The tenant took it back, or the person declined.
    #[error("the invitation was taken back")]
    Revoked,
    /// It was sent again: only the newest token counts.
    #[error("a newer invitation was sent; use that one")]
    Superseded,
    /// It was sent to somebody else.
    #[error("the invitation is for another e-mail address")]
    ForAnother,
    /// Somebody else used it, or a member who was removed since.
    #[error("the invitation was used")]
    Used,
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The person behind `by`, whose address is `email`, joins the tenant in the scope. Joining twice is the same as once. Whoever is a member
/// already keeps the roles that they have.
///
/// # Errors
/// See [`AcceptError`].
pub fn accept(
    store: &mut dyn Store,
    (tenant_id, id, sends): (TenantId, InvitationId, i32),
    email: &str,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Tenant, AcceptError> {
    let user = by.user()?;
    let tenant = store
        .tenant_for_update(tenant_id)?
        .ok_or(AcceptError::NotFound)?;
    let mut invitation = store
        .invitation(tenant_id, id)?
        .ok_or(AcceptError::NotFound)?;
    if invitation.email != email {
        return Err(AcceptError::ForAnother);
    }
    let is_member = store.member(tenant_id, user)?.is_some();
    match invitation.status_at(now) {
        InvitationStatus::Accepted if invitation.accepted_by == Some(user) && is_member => {
            return Ok(tenant);
        }
        InvitationStatus::Accepted => return Err(AcceptError::Used),
        InvitationStatus::Revoked | InvitationStatus::Declined => return Err(AcceptError::Revoked),
        _ if invitation.sends != sends => return Err(AcceptError::Superseded),
        InvitationStatus::Expired => return Err(AcceptError::Expired),
        InvitationStatus::Pending => {}
    }
    if !tenant.status.may_write() {
        let status = tenant.status;
        return Err(Denied::ReadOnly { status }.into());
    }
    invitation.status = InvitationStatus::Accepted;
    invitation.accepted_by = Some(user);
    store.update_invitation(&invitation, now)?;
    if !is_member {
        let roles = [invitation.role_key.clone()];
        let invited_by = invitation.invited_by;
        membership::add(store, tenant_id, user, &roles, invited_by, by, now)?;
    }
    store.record(NewEvent::new(
        tenant_id,
        "invitation.accepted",
        Crud::Update,
        invitation.target(),
        by,
        now,
    ))?;
    Ok(tenant)
}
