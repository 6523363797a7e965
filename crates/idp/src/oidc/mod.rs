//! Any OpenID provider: the standard claims.

use identity::{Email, ExternalIdentity, TokenError, VerifiedIdentity};
use serde_json::Value;

use crate::token::{Claims, instant, text};

/// What the standard claims say. The claims are checked already.
///
/// # Errors
/// [`TokenError::Invalid`] when there is no subject.
pub fn identity(claims: &Claims) -> Result<VerifiedIdentity, TokenError> {
    let claim = |name| text(claims, name).ok_or(TokenError::Invalid);
    let (issuer, subject) = (claim("iss")?.to_owned(), claim("sub")?.to_owned());
    if subject.chars().count() > 255 || subject.chars().any(char::is_control) {
        return Err(TokenError::Invalid);
    }
    let email = text(claims, "email").and_then(|email| Email::parse("email", email).ok());
    // Some providers write booleans as text.
    let verified = claims.get("email_verified");
    let email_verified =
        verified == Some(&Value::Bool(true)) || verified.and_then(Value::as_str) == Some("true");
    Ok(VerifiedIdentity {
        identity: ExternalIdentity { issuer, subject },
        user_id: None,
        session_id: None,
        email_verified: email.is_some() && email_verified,
        email,
        name: text(claims, "name")
            .or_else(|| text(claims, "preferred_username"))
            .map(str::to_owned),
        org: None,
        expires_at: instant(claims, "exp")?.ok_or(TokenError::Invalid)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: Value) -> Result<VerifiedIdentity, TokenError> {
        identity(claims.as_object().unwrap())
    }

    #[test]
    fn standard_claims_are_read() {
        let seen = read(json!({
            "iss": "https://a", "sub": "1", "exp": 1, "email": "Ada@Example.com", "email_verified": "true", "name": "Ada"
        }))
        .unwrap();
        assert_eq!(seen.email.unwrap().as_str(), "ada@example.com");
        assert!(seen.email_verified);
        assert_eq!(seen.name.as_deref(), Some("Ada"));
    }

    #[test]
    fn an_unreadable_address_is_no_verified_address() {
        let seen = read(json!({"iss": "https://a", "sub": "1", "exp": 1, "email": "nonsense", "email_verified": true})).unwrap();
        assert_eq!((seen.email, seen.email_verified), (None, false));
    }

    #[test]
    fn a_subject_is_needed() {
        for bad in [
            json!({"iss": "a", "exp": 1}),
            json!({"iss": "a", "exp": 1, "sub": ""}),
            json!({"iss": "a", "exp": 1, "sub": 7}),
            json!({"iss": "a", "exp": 1, "sub": "a\u{0}"}),
        ] {
            assert_eq!(read(bad), Err(TokenError::Invalid));
        }
    }
}
