//! The built-in issuer: signs with Ed25519, verifies what it signed, and publishes its key.

use base64::{Engine, engine::general_purpose::STANDARD};
use identity::{MintError, TokenError, TokenIssuer, User, VerifiedIdentity};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use kernel::{SessionId, UserId, id::random_bytes};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::{
    IssuerKind, IssuerSettings, SettingsError, oidc,
    token::{Policy, Unverified, ensure, text},
};

/// The `typ` of an access token.
const TOKEN_TYPE: &str = "at+jwt";
/// What precedes the 32 secret bytes in PKCS#8 of an Ed25519 key: RFC 8410.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Makes a new Ed25519 key, PKCS#8 in PEM.
#[must_use]
pub fn generate_signing_key() -> SecretString {
    let der = [&PKCS8_PREFIX[..], &random_bytes::<32>()[..]].concat();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    )
    .into()
}

/// This deployment as an issuer.
#[derive(Clone)]
pub struct LocalIssuer {
    issuer: String,
    kid: String,
    signs: EncodingKey,
    verifies: DecodingKey,
    published: Jwk,
    policy: Policy,
}

impl std::fmt::Debug for LocalIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalIssuer({}, {})", self.issuer, self.kid)
    }
}

impl LocalIssuer {
    /// An issuer named `issuer` that signs with an Ed25519 key, PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`SettingsError`] when the key cannot be read. Says nothing about its content.
    pub fn new(issuer: &str, signing_key: &SecretString) -> Result<Self, SettingsError> {
        let refused = |why: &str| SettingsError {
            issuer: issuer.to_owned(),
            why: why.to_owned(),
        };
        let unreadable = |_| refused("signing_key must be an Ed25519 key, PKCS#8 in PEM");
        let signs =
            EncodingKey::from_ed_pem(signing_key.expose_secret().as_bytes()).map_err(unreadable)?;
        let mut published = Jwk::from_encoding_key(&signs, Algorithm::EdDSA).map_err(unreadable)?;
        let kid = published
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(unreadable)?;
        published.common.key_id = Some(kid.clone());
        published.common.public_key_use = Some(PublicKeyUse::Signature);
        let settings = IssuerSettings {
            algorithms: vec!["EdDSA".to_owned()],
            token_types: vec![TOKEN_TYPE.to_owned()],
            ..IssuerSettings::new(IssuerKind::Local, issuer)
        };
        Ok(Self {
            issuer: issuer.to_owned(),
            kid,
            signs,
            verifies: DecodingKey::from_jwk(&published).map_err(unreadable)?,
            published,
            policy: Policy::new(&settings)?,
        })
    }

    /// Its `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What `/.well-known/jwks.json` answers.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        JwkSet {
            keys: vec![self.published.clone()],
        }
    }

    /// Checks one of its own tokens.
    ///
    /// # Errors
    /// [`TokenError::Invalid`].
    pub fn verify(
        &self,
        token: &Unverified<'_>,
        now: OffsetDateTime,
    ) -> Result<VerifiedIdentity, TokenError> {
        self.policy.check_header(&token.header)?;
        ensure(token.header.kid.as_deref() == Some(&self.kid))?;
        let claims = token.verify(&self.verifies)?;
        self.policy.check_claims(&claims, now)?;
        let mut seen = oidc::identity(&claims)?;
        let user_id: UserId = seen
            .identity
            .subject
            .parse()
            .map_err(|_| TokenError::Invalid)?;
        let session_id = text(&claims, "sid").and_then(|sid| sid.parse::<SessionId>().ok());
        seen.user_id = Some(user_id);
        seen.session_id = Some(session_id.ok_or(TokenError::Invalid)?);
        Ok(seen)
    }
}

impl TokenIssuer for LocalIssuer {
    fn mint(
        &self,
        user: &User,
        session_id: SessionId,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<SecretString, MintError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        let claims = json!({
            "iss": self.issuer,
            "sub": user.id,
            "sid": session_id,
            "iat": now.unix_timestamp(),
            // Made a moment early, for verifiers whose clock is behind.
            "nbf": (now - Duration::seconds(1)).unix_timestamp(),
            "exp": expires_at.unix_timestamp(),
            "email": user.email.as_str(),
            "email_verified": user.email_verified,
            "name": user.name.as_ref().map(kernel::Name::as_str),
        });
        encode(&header, &claims, &self.signs)
            .map(SecretString::from)
            .map_err(|error| MintError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use identity::{Email, UserStatus};

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-03-01 12:00 UTC);

    fn user() -> User {
        User {
            id: UserId::new(NOW),
            email: Email::parse("email", "ada@example.com").unwrap(),
            email_verified: false,
            name: None,
            status: UserStatus::Active,
            last_tenant_id: None,
            created_at: NOW,
        }
    }

    fn check(
        issuer: &LocalIssuer,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<VerifiedIdentity, TokenError> {
        issuer.verify(&Unverified::parse(token)?, now)
    }

    #[test]
    fn it_verifies_what_it_signed_until_it_expires() {
        let issuer = LocalIssuer::new("plinth", &generate_signing_key()).unwrap();
        let (user, session_id) = (user(), SessionId::new(NOW));
        let end = NOW + Duration::minutes(15);
        let token = issuer.mint(&user, session_id, NOW, end).unwrap();
        let token = token.expose_secret();
        let seen = check(&issuer, token, NOW).unwrap();
        assert_eq!(
            (seen.user_id, seen.session_id),
            (Some(user.id), Some(session_id))
        );
        assert!(check(&issuer, token, end + Duration::seconds(4)).is_ok());
        assert_eq!(
            check(&issuer, token, end + Duration::seconds(5)),
            Err(TokenError::Invalid)
        );
        assert_eq!(
            check(&issuer, token, NOW - Duration::minutes(1)),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn another_key_a_changed_token_and_no_signature_are_refused() {
        let issuer = LocalIssuer::new("plinth", &generate_signing_key()).unwrap();
        let other = LocalIssuer::new("plinth", &generate_signing_key()).unwrap();
        let end = NOW + Duration::minutes(15);
        let token = issuer.mint(&user(), SessionId::new(NOW), NOW, end).unwrap();
        let token = token.expose_secret();
        assert_eq!(check(&other, token, NOW), Err(TokenError::Invalid));
        let (head, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(
            check(&issuer, &format!("{head}."), NOW),
            Err(TokenError::Invalid)
        );
        let flipped = if signature.starts_with('A') { "B" } else { "A" };
        let changed = format!("{head}.{flipped}{}", &signature[1..]);
        assert_eq!(check(&issuer, &changed, NOW), Err(TokenError::Invalid));
        let none = format!("eyJhbGciOiJub25lIn0.{}.", head.split('.').nth(1).unwrap());
        assert_eq!(check(&issuer, &none, NOW), Err(TokenError::Invalid));
        for garbage in ["", ".", "..", "a.b.c", &"a".repeat(20_000)] {
            assert_eq!(check(&issuer, garbage, NOW), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn the_published_key_holds_no_secret() {
        let pem = generate_signing_key();
        let issuer = LocalIssuer::new("plinth", &pem).unwrap();
        let jwks = serde_json::to_value(issuer.jwks()).unwrap();
        let key = &jwks["keys"][0];
        assert_eq!(
            (&key["kty"], &key["crv"], &key["use"]),
            (&json!("OKP"), &json!("Ed25519"), &json!("sig"))
        );
        assert!(key["kid"].is_string() && key.get("d").is_none());
        assert!(!format!("{issuer:?}").contains(&pem.expose_secret()[28..50]));
    }

    #[test]
    fn a_bad_key_is_refused_without_being_shown() {
        let error = LocalIssuer::new("plinth", &"not a key".into()).unwrap_err();
        assert!(!error.to_string().contains("not a key"));
    }
}
