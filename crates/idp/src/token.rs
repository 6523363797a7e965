//! What every token must satisfy, whoever issued it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use identity::TokenError;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use crate::{IssuerSettings, SettingsError};

/// No honest token is longer.
const MAX_BYTES: usize = 16 * 1024;

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// A token that has been taken apart, and not checked at all.
#[derive(Debug)]
pub struct Unverified<'a> {
    text: &'a str,
    /// Its header.
    pub header: Header,
    /// Its `iss`.
    pub issuer: String,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when it is none, or demands extensions (`crit`) that are not understood here.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_BYTES {
            return Err(TokenError::Invalid);
        }
        let header = decode_header(text).map_err(|_| TokenError::Invalid)?;
        if header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        let payload = text.split('.').nth(1).ok_or(TokenError::Invalid)?;
        let payload = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| TokenError::Invalid)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| TokenError::Invalid)?;
        let issuer = claims
            .get("iss")
            .and_then(Value::as_str)
            .ok_or(TokenError::Invalid)?;
        Ok(Self {
            text,
            header,
            issuer: issuer.to_owned(),
        })
    }

    /// Checks the signature, and gives the claims.
    ///
    /// # Errors
    /// [`TokenError::Invalid`].
    pub fn verify(&self, key: &DecodingKey) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(self.header.alg);
        // The times and parties are checked by `Policy`, against the clock that the rest of the program uses.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        decode::<Claims>(self.text, key, &validation)
            .map(|token| token.claims)
            .map_err(|_| TokenError::Invalid)
    }
}

/// What one issuer's tokens must say.
#[derive(Debug, Clone)]
pub struct Policy {
    issuer: String,
    algorithms: Vec<Algorithm>,
    audience: Vec<String>,
    authorized_parties: Vec<String>,
    token_types: Vec<String>,
    leeway: Duration,
}

impl Policy {
    /// The policy of these settings.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(settings: &IssuerSettings) -> Result<Self, SettingsError> {
        Ok(Self {
            issuer: settings.issuer.clone(),
            algorithms: settings.allowed_algorithms()?,
            audience: settings.audience.clone(),
            authorized_parties: settings.authorized_parties.clone(),
            token_types: settings
                .token_types
                .iter()
                .map(|typ| plain_type(typ))
                .collect(),
            leeway: Duration::seconds(settings.leeway_seconds.min(3600).cast_signed()),
        })
    }

    /// Checks what can be checked before a key is looked for.
    ///
    /// # Errors
    /// [`TokenError::Invalid`].
    pub fn check_header(&self, header: &Header) -> Result<(), TokenError> {
        let typ = header.typ.as_deref().map(plain_type);
        let typ_is_good =
            self.token_types.is_empty() || typ.is_some_and(|typ| self.token_types.contains(&typ));
        ensure(typ_is_good && self.algorithms.contains(&header.alg))
    }

    /// Checks the claims of a token whose signature is right.
    ///
    /// # Errors
    /// [`TokenError::Invalid`].
    pub fn check_claims(&self, claims: &Claims, now: OffsetDateTime) -> Result<(), TokenError> {
        ensure(text(claims, "iss") == Some(&self.issuer))?;
        let expires_at = instant(claims, "exp")?.ok_or(TokenError::Invalid)?;
        // The last instant that there is stays what it is: a signed time must not be able to overflow.
        ensure(now < expires_at.saturating_add(self.leeway))?;
        for claim in ["nbf", "iat"] {
            let not_yet =
                instant(claims, claim)?.is_some_and(|from| now.saturating_add(self.leeway) < from);
            ensure(!not_yet)?;
        }
        ensure(self.audience.is_empty() || self.is_meant_for_us(claims))?;
        let party = text(claims, "azp");
        ensure(
            self.authorized_parties.is_empty()
                || party.is_some_and(|party| self.authorized_parties.iter().any(|p| p == party)),
        )
    }

    fn is_meant_for_us(&self, claims: &Claims) -> bool {
        let ours = |value: &Value| {
            value
                .as_str()
                .is_some_and(|aud| self.audience.iter().any(|a| a == aud))
        };
        match claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(ours),
            Some(value) => ours(value),
            None => false,
        }
    }
}

/// `application/at+jwt` and `AT+JWT` are `at+jwt`.
fn plain_type(typ: &str) -> String {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/")
        .map_or(typ.clone(), str::to_owned)
}

/// [`TokenError::Invalid`] unless `good`.
///
/// # Errors
/// [`TokenError::Invalid`].
pub fn ensure(good: bool) -> Result<(), TokenError> {
    if good {
        Ok(())
    } else {
        Err(TokenError::Invalid)
    }
}

/// A claim that is a non-empty text.
#[must_use]
pub fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// A claim that is a number of seconds since 1970, whole or not. `None` when it is absent.
///
/// # Errors
/// [`TokenError::Invalid`] when it is something else.
pub fn instant(claims: &Claims, name: &str) -> Result<Option<OffsetDateTime>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_i64().or_else(|| {
        // Some issuers write fractions; whole seconds are enough.
        let number = value.as_number()?.to_string();
        number.split_once('.')?.0.parse().ok()
    });
    let seconds = seconds.ok_or(TokenError::Invalid)?;
    OffsetDateTime::from_unix_timestamp(seconds)
        .map(Some)
        .map_err(|_| TokenError::Invalid)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::IssuerKind;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-03-01 12:00 UTC);

    fn claims(change: impl FnOnce(&mut Claims)) -> Claims {
        let now = NOW.unix_timestamp();
        let mut claims = Claims::new();
        claims.insert("iss".into(), json!("https://a.example"));
        claims.insert("exp".into(), json!(now + 60));
        claims.insert("nbf".into(), json!(now - 60));
        change(&mut claims);
        claims
    }

    fn policy(change: impl FnOnce(&mut IssuerSettings)) -> Policy {
        let mut settings = IssuerSettings::new(IssuerKind::Oidc, "https://a.example");
        change(&mut settings);
        Policy::new(&settings).unwrap()
    }

    fn set(name: &'static str, value: Value) -> impl FnOnce(&mut Claims) {
        move |claims| drop(claims.insert(name.into(), value))
    }

    #[test]
    fn times_are_checked_with_leeway() {
        let (policy, now) = (policy(|_| ()), NOW.unix_timestamp());
        let check =
            |name, value: Value| policy.check_claims(&claims(set(name, value)), NOW).is_ok();
        assert!(check("exp", json!(now - 4)) && !check("exp", json!(now - 5)));
        assert!(check("nbf", json!(now + 5)) && !check("nbf", json!(now + 6)));
        assert!(check("iat", json!(now + 5)) && !check("iat", json!(now + 6)));
        assert!(check("exp", json!(253_402_300_799_i64)), "the year 9999");
        assert!(!check("nbf", json!(253_402_300_799_i64)));
        assert!(check("exp", Value::Number("1900000000.5".parse().unwrap())));
        for bad in [json!("1900000000"), json!(null), json!(-1), json!(i64::MAX)] {
            assert!(!check("exp", bad.clone()), "{bad}");
        }
        assert!(
            policy
                .check_claims(&claims(|claims| drop(claims.remove("exp"))), NOW)
                .is_err()
        );
    }

    #[test]
    fn the_issuer_is_compared_exactly() {
        let policy = policy(|_| ());
        for bad in [
            "https://a.example/",
            "https://A.example",
            "https://b.example",
            "",
        ] {
            assert!(
                policy
                    .check_claims(&claims(set("iss", json!(bad))), NOW)
                    .is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_audience_is_demanded_only_when_configured() {
        let open = policy(|_| ());
        assert!(
            open.check_claims(&claims(set("aud", json!("anything"))), NOW)
                .is_ok()
        );
        let strict = policy(|settings| settings.audience = vec!["api".into(), "api2".into()]);
        for good in [json!("api"), json!(["other", "api2"])] {
            assert!(strict.check_claims(&claims(set("aud", good)), NOW).is_ok());
        }
        for bad in [json!("other"), json!([]), json!(null), json!({"api": 1})] {
            assert!(strict.check_claims(&claims(set("aud", bad)), NOW).is_err());
        }
        assert!(strict.check_claims(&claims(|_| ()), NOW).is_err());
    }

    #[test]
    fn a_listed_party_must_be_present() {
        let policy = policy(|settings| settings.authorized_parties = vec!["https://app".into()]);
        assert!(
            policy
                .check_claims(&claims(set("azp", json!("https://app"))), NOW)
                .is_ok()
        );
        assert!(
            policy
                .check_claims(&claims(set("azp", json!("https://evil"))), NOW)
                .is_err()
        );
        assert!(policy.check_claims(&claims(|_| ()), NOW).is_err());
    }

    #[test]
    fn algorithms_and_types_are_pinned() {
        let policy = policy(|settings| settings.token_types = vec!["JWT".into()]);
        let mut header = Header::new(Algorithm::RS256);
        assert!(policy.check_header(&header).is_ok());
        header.typ = Some("application/at+jwt".into());
        assert!(policy.check_header(&header).is_err());
        assert!(policy.check_header(&Header::new(Algorithm::HS256)).is_err());
    }
}
