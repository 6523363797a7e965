//! What a verifier asks of a key: `billing.read AND (project.write OR project.create)`.
//!
//! `AND` binds tighter than `OR`; both are read in any case. The text comes from outside, so its length and depth are bounded.

use kernel::{FieldError, Permission, PermissionSet};

const MAX_CHARACTERS: usize = 1000;
const MAX_DEPTH: usize = 16;

/// A parsed question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermissionQuery {
    /// One code.
    Code(Permission),
    /// All of these.
    All(Vec<PermissionQuery>),
    /// At least one of these.
    Any(Vec<PermissionQuery>),
}

impl PermissionQuery {
    /// Parses the value of `field`.
    ///
    /// # Errors
    /// `too_long`, `too_deep` or `invalid_expression`.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, FieldError> {
        if text.len() > MAX_CHARACTERS {
            return Err(FieldError::new(
                field,
                "too_long",
                "must be at most 1000 characters",
            ));
        }
        let mut parser = Parser {
            field,
            tokens: tokens(text),
            at: 0,
        };
        let query = parser.any(0)?;
        match parser.peek() {
            None => Ok(query),
            Some(extra) => Err(parser.unexpected(&format!("unexpected {extra:?}"))),
        }
    }

    /// Whether somebody who holds `permissions` satisfies it.
    #[must_use]
    pub fn allows(&self, permissions: &PermissionSet) -> bool {
        match self {
            Self::Code(code) => permissions.allows(code),
            Self::All(parts) => parts.iter().all(|part| part.allows(permissions)),
            Self::Any(parts) => parts.iter().any(|part| part.allows(permissions)),
        }
    }
}

/// Words and parentheses.
fn tokens(text: &str) -> Vec<String> {
    text.replace('(', " ( ")
        .replace(')', " ) ")
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

struct Parser {
    field: &'static str,
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, message: &str) -> FieldError {
        FieldError::new(self.field, "invalid_expression", message.to_owned())
    }

    fn any(&mut self, depth: usize) -> Result<PermissionQuery, FieldError> {
        let mut parts = vec![self.all(depth)?];
        while self.take("or") {
            parts.push(self.all(depth)?);
        }
        Ok(single_or(parts, PermissionQuery::Any))
    }

    fn all(&mut self, depth: usize) -> Result<PermissionQuery, FieldError> {
        let mut parts = vec![self.atom(depth)?];
        while self.take("and") {
            parts.push(self.atom(depth)?);
        }
        Ok(single_or(parts, PermissionQuery::All))
    }

    fn atom(&mut self, depth: usize) -> Result<PermissionQuery, FieldError> {
        if depth >= MAX_DEPTH {
            return Err(FieldError::new(
                self.field,
                "too_deep",
                "has too many parentheses",
            ));
        }
        if self.take("(") {
            let inner = self.any(depth + 1)?;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err(self.unexpected("a ) is missing"))
            };
        }
        let Some(word) = self.peek() else {
            return Err(self.unexpected("ends too early"));
        };
        match Permission::parse(word) {
            Some(code) => {
                self.at += 1;
                Ok(PermissionQuery::Code(code))
            }
            None => {
                Err(self.unexpected("must be permission codes joined by AND, OR and parentheses"))
            }
        }
    }
}

fn single_or(
    mut parts: Vec<PermissionQuery>,
    many: fn(Vec<PermissionQuery>) -> PermissionQuery,
) -> PermissionQuery {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => many(parts.into_iter().chain(last).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(codes: &[&str], query: &str) -> bool {
        let set = codes
            .iter()
            .map(|code| Permission::parse(code).unwrap())
            .collect();
        PermissionQuery::parse("permissions", query)
            .unwrap()
            .allows(&set)
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert!(holds(&["a.read"], "a.read OR b.read AND c.read"));
        assert!(!holds(&["a.read"], "(a.read OR b.read) AND c.read"));
        assert!(holds(
            &["a.read", "c.read"],
            "( a.read or b:read )and c.read"
        ));
        assert!(holds(&["*"], "a.read and (b.write OR c.read)"));
        assert!(!holds(&[], "a.read"));
    }

    #[test]
    fn bad_expressions_are_refused() {
        for text in [
            "",
            "and",
            "a.read and",
            "a.read b.read",
            "(a.read",
            "a.read)",
            "()",
            "drop table",
            "a.read AND OR b.read",
        ] {
            let error = PermissionQuery::parse("permissions", text).unwrap_err();
            assert_eq!(
                (&*error.field, error.code),
                ("permissions", "invalid_expression"),
                "{text}"
            );
        }
        let deep = format!("{}a.read{}", "(".repeat(100), ")".repeat(100));
        assert_eq!(
            PermissionQuery::parse("permissions", &deep)
                .unwrap_err()
                .code,
            "too_deep"
        );
        let long = "a.read OR ".repeat(200);
        assert_eq!(
            PermissionQuery::parse("permissions", &long)
                .unwrap_err()
                .code,
            "too_long"
        );
    }
}
