//! Sessions of the built-in log-in: families of refresh tokens, of which one at a time is good.
//!
//! Each refresh replaces the token. Whoever shows a token that was replaced has a copy of somebody's token, or lost theirs to somebody
//! who was faster: either way the whole family is revoked.
//!
//! A token's secret has two halves. The first is the same for the whole family, the second changes with each refresh. So a replaced
//! token can be told from an invented one without keeping every digest, and knowing a session's id is not enough to end it.

use audit::{Crud, NewEvent, Target};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{Principal, SessionId, StoreError, TenantId, UserId, id::random_bytes};
use secrecy::{ExposeSecret, SecretString};
use time::{Duration, OffsetDateTime};

use crate::{Store, User, secret::Digest256};

/// How long a session lives without being refreshed, and at most.
pub const LIFETIME: Duration = Duration::days(30);
/// How long an access token lives.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::minutes(15);

const PREFIX: &str = "plr_";
const FAMILY_BYTES: usize = 16;
const TURN_BYTES: usize = 32;

/// A session as the store holds it.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id: the public part of its tokens, and `sid` of the access tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Digest of the half that all its tokens share.
    pub family_digest: Digest256,
    /// Digest of the half that only the current token has.
    pub turn_digest: Digest256,
    /// When it was opened.
    pub created_at: OffsetDateTime,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
    /// When it was ended.
    pub revoked_at: Option<OffsetDateTime>,
}

impl Session {
    /// Whether its tokens are good at `now`.
    #[must_use]
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// Why a session was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeReason {
    /// Its owner logged out.
    Logout,
    /// A replaced token was shown again.
    Reuse,
}

impl RevokeReason {
    /// The reason as the database writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
        }
    }
}

/// A refresh token, `plr_<session id>_<secret>`.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    session_id: SessionId,
    secret: SecretString,
}

impl RefreshToken {
    fn new(session_id: SessionId, family: [u8; FAMILY_BYTES]) -> Self {
        let turn = random_bytes::<TURN_BYTES>();
        let secret = URL_SAFE_NO_PAD.encode([&family[..], &turn[..]].concat());
        Self {
            session_id,
            secret: secret.into(),
        }
    }

    /// Reads a token from outside. `None` when it is not written like one.
    #[must_use]
    pub fn parse(text: &SecretString) -> Option<Self> {
        let text = text.expose_secret();
        if text.len() > 128 {
            return None;
        }
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let token = Self {
            session_id: id.parse().ok()?,
            secret: secret.into(),
        };
        token.halves().is_some().then_some(token)
    }

    /// The session that it claims to belong to.
    #[must_use]
    pub const fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// The token as its owner gets it.
    #[must_use]
    pub fn reveal(&self) -> SecretString {
        format!(
            "{PREFIX}{}_{}",
            self.session_id,
            self.secret.expose_secret()
        )
        .into()
    }

    fn halves(&self) -> Option<([u8; FAMILY_BYTES], [u8; TURN_BYTES])> {
        let bytes = URL_SAFE_NO_PAD.decode(self.secret.expose_secret()).ok()?;
        let (family, turn) = bytes.split_at_checked(FAMILY_BYTES)?;
        Some((family.try_into().ok()?, turn.try_into().ok()?))
    }

    fn family_digest(&self) -> Option<Digest256> {
        self.halves().map(|(family, _)| Digest256::of(&family))
    }

    fn turn_digest(&self) -> Option<Digest256> {
        self.halves().map(|(_, turn)| Digest256::of(&turn))
    }
}

/// Opens a session for `user`, in whose scope the transaction must be.
///
/// # Errors
/// [`StoreError`].
pub fn open(
    store: &mut dyn Store,
    user: &User,
    now: OffsetDateTime,
) -> Result<(Session, RefreshToken), StoreError> {
    let family = random_bytes::<FAMILY_BYTES>();
    let id = SessionId::new(now);
    let token = RefreshToken::new(id, family);
    let turn_digest = token
        .turn_digest()
        .ok_or_else(|| StoreError::Unexpected("a new refresh token cannot be read".into()))?;
    let session = Session {
        id,
        user_id: user.id,
        family_digest: Digest256::of(&family),
        turn_digest,
        created_at: now,
        expires_at: now + LIFETIME,
        revoked_at: None,
    };
    store.insert_session(&session)?;
    Ok((session, token))
}

/// What came of showing a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// The token was good; this one replaces it.
    Replaced(RefreshToken),
    /// The token was replaced before; the session is over.
    Reused,
    /// The session is over, or the token was never one of its own.
    Refused,
}

/// Replaces a token by the next one of its session. `session` is what the store knew a moment ago; of two callers who show one token
/// the store lets one through, and the other is a reuse. Must commit whatever comes of it.
///
/// # Errors
/// [`StoreError`].
pub fn refresh(
    store: &mut dyn Store,
    session: &Session,
    token: &RefreshToken,
    trail: Option<TenantId>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Refreshed, StoreError> {
    let (Some((family, _)), Some(shown)) = (token.halves(), token.turn_digest()) else {
        return Ok(Refreshed::Refused);
    };
    if !session.is_live(now) || Digest256::of(&family) != session.family_digest {
        return Ok(Refreshed::Refused);
    }
    let next = RefreshToken::new(session.id, family);
    let Some(turn) = next.turn_digest() else {
        return Ok(Refreshed::Refused);
    };
    if store.turn_session(session.id, &shown, &turn, now)? {
        return Ok(Refreshed::Replaced(next));
    }
    if store.revoke_session(session.id, RevokeReason::Reuse, now)?
        && let Some(tenant_id) = trail
    {
        let mut event = session_event(session, tenant_id, "session.token_reused", by, now);
        event.is_failure = true;
        store.record(event)?;
    }
    Ok(Refreshed::Reused)
}

/// Ends a session whose token, current or replaced, somebody shows. Says whether the token was one of its own; ending twice is no error.
///
/// # Errors
/// [`StoreError`].
pub fn close(
    store: &mut dyn Store,
    session: &Session,
    token: &RefreshToken,
    trail: Option<TenantId>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    if token.family_digest() != Some(session.family_digest) {
        return Ok(false);
    }
    if store.revoke_session(session.id, RevokeReason::Logout, now)?
        && let Some(tenant_id) = trail
    {
        store.record(session_event(session, tenant_id, "session.closed", by, now))?;
    }
    Ok(true)
}

/// An audit event about a session, in the trail of the tenant that its user used last.
#[must_use]
pub fn session_event(
    session: &Session,
    tenant_id: TenantId,
    action: &'static str,
    by: &Principal,
    now: OffsetDateTime,
) -> NewEvent {
    let crud = if action == "session.opened" {
        Crud::Create
    } else {
        Crud::Delete
    };
    NewEvent::new(
        tenant_id,
        action,
        crud,
        Target::new("session", session.id, ""),
        by,
        now,
    )
    .field("user_id", session.user_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-03-01 12:00 UTC);

    #[test]
    fn a_token_survives_the_wire() {
        let token = RefreshToken::new(SessionId::new(NOW), [7; FAMILY_BYTES]);
        let text = token.reveal();
        assert!(text.expose_secret().starts_with(PREFIX));
        let back = RefreshToken::parse(&text).unwrap();
        assert_eq!(back.session_id(), token.session_id());
        assert_eq!(back.turn_digest(), token.turn_digest());
        assert_eq!(
            back.family_digest(),
            Some(Digest256::of(&[7; FAMILY_BYTES]))
        );
    }

    #[test]
    fn garbage_is_no_token() {
        let good = RefreshToken::new(SessionId::new(NOW), [7; FAMILY_BYTES]).reveal();
        let good = good.expose_secret();
        for text in [
            "",
            "plr_",
            "plr_x_y",
            &good[..good.len() - 1],
            &good[1..],
            &format!("{good}A"),
            &"a".repeat(9000),
        ] {
            assert!(RefreshToken::parse(&text.into()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_session_lives_for_its_time_unless_it_is_ended() {
        let mut session = Session {
            id: SessionId::new(NOW),
            user_id: UserId::new(NOW),
            family_digest: Digest256::of(b"a"),
            turn_digest: Digest256::of(b"b"),
            created_at: NOW,
            expires_at: NOW + LIFETIME,
            revoked_at: None,
        };
        assert!(session.is_live(NOW));
        assert!(!session.is_live(NOW + LIFETIME));
        session.revoked_at = Some(NOW);
        assert!(!session.is_live(NOW));
    }
}
