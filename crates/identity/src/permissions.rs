//! The permission codes that Plinth itself knows, as scopes of keys are checked against them.
//!
//! The same codes are rows for `GET /v1/permissions`. `org.*` is read as `tenant.*`, see [`Permission::parse`].

use kernel::Permission;

/// Make an API key.
pub const API_KEY_CREATE: Permission = Permission::of("api_key.create");
/// See API keys, and verify one.
pub const API_KEY_READ: Permission = Permission::of("api_key.read");
/// Rotate an API key.
pub const API_KEY_WRITE: Permission = Permission::of("api_key.write");
/// Revoke an API key.
pub const API_KEY_DELETE: Permission = Permission::of("api_key.delete");

/// Each resource with its actions.
const CATALOGUE: &[(&str, &[&str])] = &[
    ("tenant", &["read", "write", "delete"]),
    ("user", &["invite", "remove"]),
    ("project", &["create", "read", "write", "delete"]),
    ("integration", &["create", "read", "write", "delete"]),
    ("billing", &["read", "write"]),
    ("dashboard", &["create", "read", "write", "delete"]),
    ("secret", &["create", "read", "write", "delete"]),
    ("audit", &["read"]),
    ("ticket", &["create", "read", "write", "delete"]),
    ("usage", &["read", "write", "backfill"]),
    ("meter", &["read", "write"]),
    ("entitlement", &["read"]),
    ("resource", &["read", "write"]),
    ("api_key", &["create", "read", "write", "delete"]),
    ("member", &["read", "write"]),
    ("role", &["read", "write"]),
];

/// Every code, sorted by resource as the catalogue is.
pub fn codes() -> impl Iterator<Item = String> {
    CATALOGUE.iter().flat_map(|(resource, actions)| {
        actions
            .iter()
            .map(move |action| format!("{resource}.{action}"))
    })
}

/// Whether a code, or at least one code under a wildcard, is in the catalogue.
#[must_use]
pub fn is_known(permission: &Permission) -> bool {
    let Some((resource, action)) = permission.as_str().split_once('.') else {
        return permission.as_str() == "*";
    };
    CATALOGUE
        .iter()
        .filter(|(known, _)| resource == "*" || resource == *known)
        .any(|(_, actions)| action == "*" || actions.contains(&action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> bool {
        is_known(&Permission::parse(text).unwrap())
    }

    #[test]
    fn codes_and_wildcards_over_them_are_known() {
        for text in [
            "project.read",
            "org:write",
            "org.*",
            "read",
            "write",
            "*",
            "*.backfill",
            "secret.*",
        ] {
            assert!(known(text), "{text}");
        }
        for text in [
            "project.fly",
            "rocket.read",
            "audit.write",
            "rocket.*",
            "*.fly",
        ] {
            assert!(!known(text), "{text}");
        }
    }

    #[test]
    fn every_code_is_written_like_one() {
        for code in codes() {
            assert_eq!(Permission::parse(&code).unwrap().as_str(), code);
        }
        assert_eq!(codes().count(), 44);
    }
}
