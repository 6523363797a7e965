//! Asking a person to join a tenant.
//!
//! | file | what is in it |
//! |---|---|
//! | `token` | what proves that somebody was invited |
//! | `send` | invite, resend, revoke |
//! | `accept` | join |

mod accept;
mod send;
mod token;

use audit::{Crud, Fact, NewEvent, Target};
use kernel::{InvitationId, Page, PageRequest, Principal, StoreError, TenantId, UserId};
use time::{Duration, OffsetDateTime};

pub use self::{
    accept::{AcceptError, accept},
    send::{InviteError, invite, resend, revoke},
    token::InvitationTokens,
};
use crate::{Store, membership::ListError, permissions};

/// How long a person may take to accept.
pub const LIFETIME: Duration = Duration::days(7);
/// Topic of the fact that an invitation must be mailed.
pub const SEND_TOPIC: &str = "tenancy.invitation_sent";

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationStatus {
    /// Waits for an answer, and holds a seat.
    Pending,
    /// The person joined.
    Accepted,
    /// The person refused.
    Declined,
    /// The tenant took it back.
    Revoked,
    /// Nobody answered in time.
    Expired,
}

impl InvitationStatus {
    const ALL: [Self; 5] = [
        Self::Pending,
        Self::Accepted,
        Self::Declined,
        Self::Revoked,
        Self::Expired,
    ];

    /// The status as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// Reads the text of [`InvitationStatus::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The tenant that invites.
    pub tenant_id: TenantId,
    /// Whom it invites, in lower case.
    pub email: String,
    /// The role they will have.
    pub role_key: String,
    /// Where it stands. A pending one whose time is over counts as expired: see [`Invitation::status_at`].
    pub status: InvitationStatus,
    /// Who invited.
    pub invited_by: Option<UserId>,
    /// How often it was sent.
    pub sends: i32,
    /// Until when it can be accepted.
    pub expires_at: OffsetDateTime,
    /// Who accepted.
    pub accepted_by: Option<UserId>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

impl Invitation {
    /// Where the invitation stands at `now`: the worker may not have come by yet.
    #[must_use]
    pub fn status_at(&self, now: OffsetDateTime) -> InvitationStatus {
        if self.status == InvitationStatus::Pending && self.expires_at <= now {
            InvitationStatus::Expired
        } else {
            self.status
        }
    }

    fn target(&self) -> Target {
        Target::new("invitation", self.id, &self.email)
    }

    fn send(&self, now: OffsetDateTime) -> Fact {
        Fact {
            tenant_id: self.tenant_id,
            topic: SEND_TOPIC,
            key: Some(format!("{}/{}", self.id, self.sends)),
            payload: serde_json::json!({ "invitation_id": self.id, "sends": self.sends }),
            occurred_at: now,
        }
    }
}

/// Gives up an invitation whose time is over. For the worker, once a tenant and a time.
///
/// # Errors
/// [`StoreError`].
pub fn expire(
    store: &mut dyn Store,
    tenant_id: TenantId,
    id: InvitationId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    store.tenant_for_update(tenant_id)?;
    let Some(mut invitation) = store.invitation(tenant_id, id)? else {
        return Ok(false);
    };
    if invitation.status != InvitationStatus::Pending || invitation.expires_at > now {
        return Ok(false);
    }
    invitation.status = InvitationStatus::Expired;
    store.update_invitation(&invitation, now)?;
    let event = NewEvent::new(
        tenant_id,
        "invitation.expired",
        Crud::Update,
        invitation.target(),
        by,
        now,
    );
    store.record(event)?;
    Ok(true)
}

/// A page of the tenant's invitations, newest first.
///
/// # Errors
/// See [`ListError`].
pub fn list(
    store: &mut dyn Store,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<Invitation>, ListError> {
    let tenant_id = by.may(&permissions::MEMBER_READ)?;
    let rows = store.invitations(tenant_id, page.key()?, page.limit)?;
    Ok(Page::from_rows(rows, page.limit, |invitation| {
        invitation.id
    }))
}
