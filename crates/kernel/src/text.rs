//! Free text from outside.

use std::fmt;

use serde::Serialize;

use crate::FieldError;

/// Checks text that is kept as it came: at most `max` characters, and no control characters.
///
/// PostgreSQL cannot store NUL, and the others break logs, terminals and CSV files.
///
/// # Errors
/// `too_long` or `control_character` on `field`.
pub fn check(field: &'static str, text: &str, max: usize) -> Result<(), FieldError> {
    if text.chars().count() > max {
        return Err(FieldError::new(
            field,
            "too_long",
            format!("must be at most {max} characters"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(FieldError::new(
            field,
            "control_character",
            "must not contain control characters",
        ));
    }
    Ok(())
}

/// A display name: 1 to 255 characters after trimming, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Parses the value of `field`.
    ///
    /// # Errors
    /// `required` when nothing is left after trimming; `too_long` and `control_character` as [`check`] says.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(FieldError::new(field, "required", "must not be empty"));
        }
        check(field, text, 255)?;
        Ok(Self(text.to_owned()))
    }

    /// A name that a store holds already.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_bounded_and_free_of_control_characters() {
        assert_eq!(Name::parse("name", "  Acme  ").unwrap().as_str(), "Acme");
        assert_eq!(Name::parse("name", " \t ").unwrap_err().code, "required");
        assert_eq!(
            Name::parse("name", &"é".repeat(256)).unwrap_err().code,
            "too_long"
        );
        assert!(Name::parse("name", &"é".repeat(255)).is_ok());
        assert_eq!(
            Name::parse("name", "a\0b").unwrap_err().code,
            "control_character"
        );
    }
}
