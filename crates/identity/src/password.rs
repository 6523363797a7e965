//! Passwords: what may be one, and what is kept of it. The hashing itself is behind [`PasswordHasher`](crate::PasswordHasher): it is
//! CPU work of tens of milliseconds, so it happens outside of every transaction.

use std::fmt;

use kernel::FieldError;
use secrecy::{ExposeSecret, SecretString};

/// Fewest characters of a new password.
pub const MIN_CHARACTERS: usize = 10;
/// Most characters of a password.
pub const MAX_CHARACTERS: usize = 256;

/// A password as somebody typed it.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// A new password: 10 to 256 characters, no NUL. Nothing else is demanded; length is what helps.
    ///
    /// # Errors
    /// `too_short`, `too_long` or `control_character` on `field`.
    pub fn new(field: &'static str, text: SecretString) -> Result<Self, FieldError> {
        let length = text.expose_secret().chars().count();
        if length < MIN_CHARACTERS {
            return Err(FieldError::new(
                field,
                "too_short",
                "must be at least 10 characters",
            ));
        }
        if length > MAX_CHARACTERS {
            return Err(FieldError::new(
                field,
                "too_long",
                "must be at most 256 characters",
            ));
        }
        if text.expose_secret().contains('\0') {
            return Err(FieldError::new(
                field,
                "control_character",
                "must not contain NUL",
            ));
        }
        Ok(Self(text))
    }

    /// A password to be compared. One that could never have been set compares as empty, so that the comparison takes as long as any.
    #[must_use]
    pub fn offered(text: SecretString) -> Self {
        if text.expose_secret().len() > MAX_CHARACTERS * 4 {
            Self(SecretString::default())
        } else {
            Self(text)
        }
    }

    /// The password itself, for the hasher.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A password hash in PHC format, such as `$argon2id$v=19$…`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash that a hasher made or a store holds.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The hash as text, for the store and the hasher.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(text: &str) -> Result<Password, FieldError> {
        Password::new("password", SecretString::from(text))
    }

    #[test]
    fn new_passwords_are_long_and_bounded() {
        assert!(new("0123456789").is_ok());
        assert!(new(&"é".repeat(256)).is_ok());
        assert_eq!(new("123456789").unwrap_err().code, "too_short");
        assert_eq!(new(&"é".repeat(257)).unwrap_err().code, "too_long");
        assert_eq!(new("0123456789\0").unwrap_err().code, "control_character");
    }

    #[test]
    fn nothing_is_shown_in_debug_output() {
        let shown = format!(
            "{:?} {:?}",
            new("correct horse").unwrap(),
            PasswordHash::stored("$x".into())
        );
        assert!(!shown.contains("horse") && !shown.contains("$x"), "{shown}");
    }
}
