//! Keycloak: access tokens with the `organization` claim.

use identity::{OrgClaim, TokenError, VerifiedIdentity};
use serde_json::Value;

use crate::{
    oidc,
    token::{Claims, ensure, text},
};

/// What an access token says. The claims are checked already.
///
/// # Errors
/// [`TokenError::Invalid`] for tokens of other kinds: identity tokens, refresh tokens.
pub fn identity(claims: &Claims) -> Result<VerifiedIdentity, TokenError> {
    let mut seen = oidc::identity(claims)?;
    ensure(text(claims, "typ").is_none_or(|typ| typ.eq_ignore_ascii_case("bearer")))?;
    seen.org = org(claims);
    Ok(seen)
}

/// The organisation, when the token names exactly one: `{"alias": {"id": …}}`, or `["alias"]` from the plain mapper. With several there
/// is nothing to choose by.
fn org(claims: &Claims) -> Option<OrgClaim> {
    let (alias, id) = match claims.get("organization")? {
        Value::Object(orgs) if orgs.len() == 1 => {
            let (alias, details) = orgs.iter().next()?;
            (alias.as_str(), details.get("id").and_then(Value::as_str))
        }
        Value::Array(aliases) if aliases.len() == 1 => (aliases.first()?.as_str()?, None),
        _ => return None,
    };
    Some(OrgClaim {
        kind: "keycloak",
        id: id.map(str::to_owned),
        slug: Some(alias.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(extra: Value) -> Result<VerifiedIdentity, TokenError> {
        let mut claims =
            json!({"iss": "https://id/realms/a", "sub": "1", "exp": 1, "typ": "Bearer"});
        claims
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        identity(claims.as_object().unwrap())
    }

    #[test]
    fn one_organisation_is_a_choice_and_several_are_none() {
        let org = |claim: Value| {
            read(json!({ "organization": claim }))
                .unwrap()
                .org
                .map(|org| (org.slug, org.id))
        };
        let (alias, id) = (Some("acme".to_owned()), Some("42".to_owned()));
        assert_eq!(
            org(json!({"acme": {"id": "42"}})),
            Some((alias.clone(), id))
        );
        assert_eq!(org(json!({"acme": {}})), Some((alias.clone(), None)));
        assert_eq!(org(json!(["acme"])), Some((alias, None)));
        for none in [
            json!({"acme": {}, "beta": {}}),
            json!([]),
            json!("acme"),
            json!([7]),
        ] {
            assert_eq!(org(none), None);
        }
    }

    #[test]
    fn other_tokens_are_no_access_tokens() {
        for typ in ["ID", "Refresh", "Offline"] {
            assert_eq!(read(json!({ "typ": typ })), Err(TokenError::Invalid));
        }
    }
}
