//! The name of a tenant or a project in a URL, and perhaps in a host name.

use std::fmt;

use kernel::{FieldError, id::random_bytes};
use serde::Serialize;
use uuid::Uuid;

/// Slugs that nobody gets: they would pass for a part of the product.
pub const RESERVED: [&str; 23] = [
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "billing",
    "cdn",
    "console",
    "dashboard",
    "docs",
    "help",
    "internal",
    "login",
    "mail",
    "plinth",
    "public",
    "root",
    "signup",
    "static",
    "status",
    "support",
    "system",
    "www",
];

/// Lower-case letters, digits and single dashes; starts and ends with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// Checks the slug of a tenant: 3 to 40 characters, no `--` (so no punycode look-alike), not shaped like a UUID, not reserved.
    ///
    /// # Errors
    /// On the field `slug`: `too_short`, `too_long`, `invalid_characters`, `double_dash`, `looks_like_an_id`, `reserved`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        Self::of_length(text, 3)
    }

    /// Checks the slug of a project: as for a tenant, from 2 characters on.
    ///
    /// # Errors
    /// As [`Slug::parse`].
    pub fn parse_project(text: &str) -> Result<Self, FieldError> {
        Self::of_length(text, 2)
    }

    fn of_length(text: &str, least: usize) -> Result<Self, FieldError> {
        let error = |code, message| Err(FieldError::new("slug", code, message));
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if text.chars().count() < least {
            return error(
                "too_short",
                if least == 2 {
                    "must have at least 2 characters"
                } else {
                    "must have at least 3 characters"
                },
            );
        }
        if text.chars().count() > 40 {
            return error("too_long", "must have at most 40 characters");
        }
        let ends =
            text.bytes().next().is_some_and(letter) && text.bytes().last().is_some_and(letter);
        if !ends || !text.bytes().all(|byte| letter(byte) || byte == b'-') {
            return error(
                "invalid_characters",
                "must be lower-case letters, digits and dashes, and start and end with a letter or digit",
            );
        }
        if text.contains("--") {
            return error("double_dash", "must not contain two dashes in a row");
        }
        if RESERVED.contains(&text) {
            return error("reserved", "is reserved; choose another");
        }
        if Uuid::parse_str(text).is_ok() {
            return error("looks_like_an_id", "must not be shaped like a UUID");
        }
        Ok(Self(text.to_owned()))
    }

    /// Makes a slug out of any text: what can be kept of it, then `suffix` when one is given or too little is left.
    #[must_use]
    pub fn suggest(text: &str, suffix: Option<&str>) -> Self {
        let mut base = String::new();
        for character in text.to_lowercase().chars() {
            if character.is_ascii_lowercase() || character.is_ascii_digit() {
                base.push(character);
            } else if !base.is_empty() && !base.ends_with('-') {
                base.push('-');
            }
        }
        let base: String = base.chars().take(28).collect();
        let base = base.trim_matches('-');
        let base = if base.is_empty() { "untitled" } else { base };
        match suffix {
            None => Self::parse(base).unwrap_or_else(|_| Self(format!("{base}-1"))),
            Some(suffix) => Self(format!("{base}-{suffix}")),
        }
    }

    /// Another suggestion for the same text, when the plain one is taken. Its suffix is random: one that counts meets those that were given
    /// up or archived, and tells how many there are.
    #[must_use]
    pub fn suggest_another(text: &str) -> Self {
        let suffix = format!("{:08x}", u32::from_be_bytes(random_bytes()));
        Self::suggest(text, Some(&suffix))
    }

    /// A slug that a store holds already.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_slugs_say_why() {
        for (text, code) in [
            ("ab", "too_short"),
            ("-abc", "invalid_characters"),
            ("abc-", "invalid_characters"),
            ("UPPER", "invalid_characters"),
            ("under_score", "invalid_characters"),
            ("héllo", "invalid_characters"),
            ("a\0b", "invalid_characters"),
            ("a--b", "double_dash"),
            ("xn--80ak6aa92e", "double_dash"),
            ("admin", "reserved"),
            ("00000000-0000-0000-0000-000000000000", "looks_like_an_id"),
        ] {
            assert_eq!(Slug::parse(text).unwrap_err().code, code, "{text}");
        }
        assert_eq!(Slug::parse(&"a".repeat(41)).unwrap_err().code, "too_long");
        assert!(Slug::parse(&"a".repeat(40)).is_ok());
        assert!(Slug::parse("acme-2").is_ok());
        assert!(Slug::parse_project("ab").is_ok());
        assert_eq!(Slug::parse_project("admin").unwrap_err().code, "reserved");
    }

    #[test]
    fn suggestions_are_slugs() {
        for text in [
            "Acme Inc.",
            "a.b+c",
            "x",
            "admin",
            "--",
            "",
            "ÄÖÜ",
            "日本",
            &"long ".repeat(20),
        ] {
            for suffix in [None, Some("7f3a9c")] {
                let slug = Slug::suggest(text, suffix);
                assert!(Slug::parse(slug.as_str()).is_ok(), "{text:?} gave {slug}");
            }
        }
        assert_eq!(Slug::suggest("Acme Inc.", None).as_str(), "acme-inc");
        assert_eq!(
            Slug::suggest("Acme Inc.", Some("7f3a9c")).as_str(),
            "acme-inc-7f3a9c"
        );
    }
}
