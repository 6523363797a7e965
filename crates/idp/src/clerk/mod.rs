//! Clerk: session tokens of version 1 and 2.

use identity::{OrgClaim, TokenError, VerifiedIdentity};

use crate::{
    oidc,
    token::{Claims, ensure, text},
};

/// What a session token says. The claims are checked already.
///
/// # Errors
/// [`TokenError::Invalid`] for machines, and for sessions that wait for their user to finish a task.
pub fn identity(claims: &Claims) -> Result<VerifiedIdentity, TokenError> {
    let mut seen = oidc::identity(claims)?;
    ensure(!seen.identity.subject.starts_with("mch_"))?;
    ensure(text(claims, "sts") != Some("pending"))?;
    seen.org = org(claims);
    Ok(seen)
}

/// The active organisation: `o` in version 2, `org_id` and `org_slug` before.
fn org(claims: &Claims) -> Option<OrgClaim> {
    let (id, slug) = match claims.get("o").and_then(|o| o.as_object()) {
        Some(o) => (text(o, "id"), text(o, "slg")),
        None => (text(claims, "org_id"), text(claims, "org_slug")),
    };
    id.map(|id| OrgClaim {
        kind: "clerk",
        id: Some(id.to_owned()),
        slug: slug.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(extra: Value) -> Result<VerifiedIdentity, TokenError> {
        let mut claims = json!({"iss": "https://clerk.example", "sub": "user_1", "exp": 1});
        claims
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        identity(claims.as_object().unwrap())
    }

    #[test]
    fn both_versions_name_the_organisation() {
        let wanted = Some(OrgClaim {
            kind: "clerk",
            id: Some("org_1".into()),
            slug: Some("acme".into()),
        });
        let v2 = json!({"v": 2, "o": {"id": "org_1", "slg": "acme", "rol": "admin"}});
        assert_eq!(read(v2).unwrap().org, wanted);
        let v1 = json!({"org_id": "org_1", "org_slug": "acme", "org_role": "org:admin"});
        assert_eq!(read(v1).unwrap().org, wanted);
        assert_eq!(read(json!({})).unwrap().org, None);
    }

    #[test]
    fn pending_sessions_and_machines_are_nobody() {
        assert!(read(json!({"sts": "active"})).is_ok());
        assert_eq!(read(json!({"sts": "pending"})), Err(TokenError::Invalid));
        assert_eq!(read(json!({"sub": "mch_1"})), Err(TokenError::Invalid));
    }
}
