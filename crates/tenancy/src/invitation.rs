//! Asking a person to join a tenant.
//!
//! The token is a keyed digest of the invitation's id and of how often it was sent. It is stored nowhere: the API and the worker, which
//! share the key, each make it when they need it, and a resend makes the one before it worthless.

use audit::{Crud, Fact, NewEvent, Target};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use kernel::{
    Denied, FieldError, InvitationId, LimitReached, Page, PageRequest, Principal, StoreError,
    TenantId, UserId,
};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{Store, Tenant, membership, membership::ListError, permissions, role};

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

/// Makes and reads tokens. Holds the keys, newest first: all of them are read, the first one signs.
#[derive(Clone)]
pub struct InvitationTokens(Vec<[u8; 32]>);

impl std::fmt::Debug for InvitationTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvitationTokens(…)")
    }
}

const PREFIX: &str = "pli_";

impl InvitationTokens {
    /// Derives one key from each of `secrets`, newest first, so that a secret with other uses can be shared.
    #[must_use]
    pub fn derive(secrets: &[&[u8]]) -> Self {
        Self(
            secrets
                .iter()
                .map(|secret| mac(secret, b"plinth invitation tokens v1"))
                .collect(),
        )
    }

    /// The token of an invitation that was sent `sends` times.
    #[must_use]
    pub fn issue(&self, id: InvitationId, sends: i32) -> String {
        let body = body(id.as_uuid(), sends);
        let key = self.0.first().copied().unwrap_or_default();
        let bytes: Vec<u8> = body.iter().copied().chain(mac(&key, &body)).collect();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token that one of the keys signed; `None` for anything else. Takes the same time whatever is wrong with it.
    #[must_use]
    pub fn open(&self, token: &str) -> Option<(InvitationId, i32)> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let (body, digest) = bytes.split_at_checked(20)?;
        let valid = self.0.iter().any(|key| mac(key, body).ct_eq(digest).into());
        let (id, sends) = body.split_at_checked(16)?;
        let id = Uuid::from_slice(id).ok()?;
        let sends = i32::from_be_bytes(sends.try_into().ok()?);
        valid.then_some((id.into(), sends))
    }
}

fn body(id: Uuid, sends: i32) -> [u8; 20] {
    let mut body = [0; 20];
    for (slot, byte) in body
        .iter_mut()
        .zip(id.as_bytes().iter().copied().chain(sends.to_be_bytes()))
    {
        *slot = byte;
    }
    body
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length, so this cannot fail.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().into())
        .unwrap_or_default()
}

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

/// Checks an e-mail address well enough to send to it, and puts it into lower case.
///
/// # Errors
/// `invalid_email` on the field `email`.
pub fn parse_email(text: &str) -> Result<String, FieldError> {
    let text = text.trim().to_lowercase();
    let (local, domain) = text.rsplit_once('@').unwrap_or_default();
    let clean = |part: &str| {
        !part.is_empty()
            && !part
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || "@<>,;\"()\\".contains(c))
    };
    let dotted = domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !domain.contains("..");
    if text.len() <= 254 && local.len() <= 64 && clean(local) && clean(domain) && dotted {
        Ok(text)
    } else {
        Err(FieldError::new(
            "email",
            "invalid_email",
            "must be an e-mail address",
        ))
    }
}

/// Invites `email` to the tenant with `role_key`. A pending invitation holds a seat; seats are counted under the tenant's lock.
///
/// # Errors
/// See [`InviteError`].
pub fn invite(
    store: &mut dyn Store,
    email: String,
    role_key: &str,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Invitation, InviteError> {
    let tenant_id = by.may(&permissions::USER_INVITE)?;
    role::grantable(store, tenant_id, "role", role_key, by)?;
    let (allowance, used) = store.seats(tenant_id, now)?;
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
    store.insert_invitation(&invitation).map_err(|error| {
        if error.conflicts_with("invitations_pending_key") {
            InviteError::AlreadyInvited {
                email: invitation.email.clone(),
            }
        } else {
            error.into()
        }
    })?;
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

/// Sends a pending or expired invitation again, with a new token and a new deadline.
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
        // An expired one gave its seat back, and takes a new one.
        InvitationStatus::Expired => allowance.admit("max_members", used)?,
        other => return Err(InviteError::NotPending(other)),
    }
    invitation.status = InvitationStatus::Pending;
    invitation.sends += 1;
    invitation.expires_at = now + LIFETIME;
    store.update_invitation(&invitation, now)?;
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
    /// Somebody else used it.
    #[error("the invitation was used")]
    Used,
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The person behind `by`, whose address is `email`, joins the tenant in the scope. Joining twice is the same as once.
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
    match invitation.status_at(now) {
        InvitationStatus::Accepted if invitation.accepted_by == Some(user) => return Ok(tenant),
        InvitationStatus::Accepted => return Err(AcceptError::Used),
        InvitationStatus::Revoked | InvitationStatus::Declined => return Err(AcceptError::Revoked),
        _ if invitation.sends != sends => return Err(AcceptError::Superseded),
        InvitationStatus::Expired => return Err(AcceptError::Expired),
        InvitationStatus::Pending => {}
    }
    invitation.status = InvitationStatus::Accepted;
    invitation.accepted_by = Some(user);
    store.update_invitation(&invitation, now)?;
    let roles = [invitation.role_key.clone()];
    membership::add(
        store,
        tenant_id,
        user,
        &roles,
        invitation.invited_by,
        by,
        now,
    )?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(secret: &str) -> InvitationTokens {
        InvitationTokens::derive(&[secret.as_bytes()])
    }

    #[test]
    fn a_token_opens_with_its_own_key_only() {
        let id = InvitationId::new(OffsetDateTime::UNIX_EPOCH);
        let token = tokens("one").issue(id, 2);
        assert_eq!(tokens("one").open(&token), Some((id, 2)));
        assert_eq!(tokens("two").open(&token), None);
        let rotated = InvitationTokens::derive(&[b"two", b"one"]);
        assert_eq!(rotated.open(&token), Some((id, 2)));
    }

    #[test]
    fn garbage_opens_nothing() {
        let token = tokens("one").issue(InvitationId::new(OffsetDateTime::UNIX_EPOCH), 1);
        let mut flipped = token.clone();
        flipped.replace_range(
            10..11,
            if token.as_bytes()[10] == b'A' {
                "B"
            } else {
                "A"
            },
        );
        for text in [
            "",
            "pli_",
            "pli_AAAA",
            &token[..token.len() - 2],
            &flipped,
            "nonsense",
        ] {
            assert_eq!(tokens("one").open(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_checked_and_put_into_lower_case() {
        assert_eq!(parse_email(" Ann@Example.COM ").unwrap(), "ann@example.com");
        for text in [
            "",
            "a",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.d",
            "a@b..c",
            "a@b.c\nBcc: x@y.z",
            "a\0@b.c",
            "<a@b.c>",
        ] {
            assert!(parse_email(text).is_err(), "{text:?}");
        }
    }
}
