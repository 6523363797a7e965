//! Permission codes, `resource.action`, and sets of them.
//!
//! The catalogue of codes is data (`GET /v1/permissions`); this module knows only how codes are written and how a set contains one.
//! `:` is accepted for `.`, `org.*` means `tenant.*`, `*` is everything, and the scopes `read` and `write` of older systems mean
//! every `.read` and every `.write`, `.create` and `.delete`.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// One code, such as `project.read`. Wildcards are codes too: `project.*`, `*.read`, `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permission(Cow<'static, str>);

impl Permission {
    /// A code known when the program is written.
    #[must_use]
    pub const fn of(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// Reads a code from outside, and normalises its aliases. `None` when it is not written like one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase().replace(':', ".");
        let code = match text.as_str() {
            "*" | "*.*" => "*".to_owned(),
            "read" => "*.read".to_owned(),
            "write" => "*.write".to_owned(),
            _ => {
                let (resource, action) = text.split_once('.')?;
                let word = |part: &str| {
                    part == "*"
                        || (!part.is_empty()
                            && part.len() <= 40
                            && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
                };
                if !word(resource) || !word(action) {
                    return None;
                }
                let resource = if resource == "org" {
                    "tenant"
                } else {
                    resource
                };
                format!("{resource}.{action}")
            }
        };
        Some(Self(Cow::Owned(code)))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the code only reads. A tenant that is frozen or past due may do this and nothing else.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.0.ends_with(".read")
    }

    /// Whether holding `self` means holding `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if self.0 == "*" || self.0 == other.0 {
            return true;
        }
        let (Some((resource, action)), Some((wanted, doing))) =
            (self.0.split_once('.'), other.0.split_once('.'))
        else {
            return false;
        };
        let action_covers = action == "*"
            || action == doing
            || (resource == "*" && action == "write" && matches!(doing, "create" | "delete"));
        (resource == "*" || resource == wanted) && action_covers
    }
}

impl Permission {
    /// What both codes cover, as codes. Two wildcards that cross, such as `project.*` and `*.read`, share what lies where they meet.
    fn shared(&self, other: &Self) -> Vec<Self> {
        if self.covers(other) {
            return vec![other.clone()];
        }
        if other.covers(self) {
            return vec![self.clone()];
        }
        let (Some((a, doing)), Some((b, other_doing))) =
            (self.0.split_once('.'), other.0.split_once('.'))
        else {
            return Vec::new();
        };
        let (resource, action) = match (a, doing, b, other_doing) {
            ("*", action, resource, "*") | (resource, "*", "*", action) => (resource, action),
            _ => return Vec::new(),
        };
        // Over all resources `write` means more than its name; over one it does not, so its parts are named.
        let actions: &[&str] = match action {
            "write" => &["write", "create", "delete"],
            _ => &[action],
        };
        actions
            .iter()
            .map(|action| Self(Cow::Owned(format!("{resource}.{action}"))))
            .collect()
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The codes that somebody holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PermissionSet(BTreeSet<Permission>);

impl PermissionSet {
    /// Whether the set covers this code.
    #[must_use]
    pub fn allows(&self, code: &Permission) -> bool {
        self.0.iter().any(|held| held.covers(code))
    }

    /// The first code of `other` that this set does not cover.
    #[must_use]
    pub fn first_missing<'a>(&self, other: &'a Self) -> Option<&'a Permission> {
        other.0.iter().find(|code| !self.allows(code))
    }

    /// What both sets allow: exactly the codes that each of them covers.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        // Keys with the scope `*`, and keys of owners, are the usual ones, and each of their requests asks.
        if self.is_everything() {
            return other.clone();
        }
        if other.is_everything() {
            return self.clone();
        }
        self.0
            .iter()
            .flat_map(|ours| other.0.iter().flat_map(|theirs| ours.shared(theirs)))
            .collect()
    }

    fn is_everything(&self) -> bool {
        self.0
            .first()
            .is_some_and(|code| self.0.len() == 1 && code.0 == "*")
    }

    /// The codes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Permission> {
        self.0.iter()
    }

    /// Whether nothing is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(codes: I) -> Self {
        Self(codes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(codes: &[&str]) -> PermissionSet {
        codes
            .iter()
            .map(|code| Permission::parse(code).unwrap())
            .collect()
    }

    #[test]
    fn aliases_are_normalised() {
        for (text, code) in [
            ("project:read", "project.read"),
            ("org.write", "tenant.write"),
            ("org:*", "tenant.*"),
            ("read", "*.read"),
            (" PROJECT.Read ", "project.read"),
        ] {
            assert_eq!(Permission::parse(text).unwrap().as_str(), code);
        }
        for text in [
            "",
            "project",
            "project.",
            ".read",
            "a.b.c",
            "a b.c",
            "drop table",
        ] {
            assert!(Permission::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn wildcards_cover_what_they_name_and_no_more() {
        assert!(set(&["*"]).allows(&Permission::of("billing.write")));
        assert!(set(&["project.*"]).allows(&Permission::of("project.delete")));
        assert!(!set(&["project.*"]).allows(&Permission::of("billing.read")));
        assert!(set(&["write"]).allows(&Permission::of("project.create")));
        assert!(!set(&["write"]).allows(&Permission::of("project.read")));
        assert!(!set(&[]).allows(&Permission::of("project.read")));
    }

    #[test]
    fn an_intersection_never_exceeds_either_side() {
        let both =
            set(&["project.*", "billing.read"]).intersection(&set(&["project.read", "*.read"]));
        assert!(both.allows(&Permission::of("project.read")));
        assert!(both.allows(&Permission::of("billing.read")));
        assert!(!both.allows(&Permission::of("project.create")));
    }

    #[test]
    fn wildcards_that_cross_share_what_lies_where_they_meet() {
        let shared = |a: &[&str], b: &[&str]| {
            let both = set(a).intersection(&set(b));
            both.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shared(&["project.*"], &["read"]), ["project.read"]);
        assert_eq!(
            shared(&["write"], &["project.*"]),
            ["project.create", "project.delete", "project.write"]
        );
        assert_eq!(shared(&["project.*"], &["billing.*"]), [""; 0]);
    }

    #[test]
    fn a_wildcard_is_not_covered_by_its_parts() {
        let missing = set(&["project.read"])
            .first_missing(&set(&["project.*"]))
            .cloned();
        assert_eq!(missing, Some(Permission::of("project.*")));
    }
}
