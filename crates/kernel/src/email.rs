//! E-mail addresses.

use std::fmt;

use serde::Serialize;

use crate::FieldError;

/// The longest address that SMTP carries.
const MAX: usize = 254;

/// An e-mail address, in lower case. ASCII only: two spellings of one mailbox must not become two people, and how other letters fold
/// depends on the machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Parses the value of `field`.
    ///
    /// # Errors
    /// `required`, `too_long` or `invalid_email`.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(FieldError::new(field, "required", "must not be empty"));
        }
        if text.len() > MAX {
            return Err(FieldError::new(
                field,
                "too_long",
                "must be at most 254 characters",
            ));
        }
        match text.split_once('@') {
            Some((local, domain)) if is_local_part(local) && is_domain(domain) => {
                Ok(Self(text.to_ascii_lowercase()))
            }
            _ => Err(FieldError::new(
                field,
                "invalid_email",
                "must be an e-mail address",
            )),
        }
    }

    /// An address that a store holds already.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`: the name of somebody who gave none.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or(&*self.0, |(local, _)| local)
    }
}

fn is_local_part(text: &str) -> bool {
    let atom = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b))
    };
    text.len() <= 64 && text.split('.').all(atom)
}

fn is_domain(text: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.contains('.') && text.split('.').all(label)
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_stored_in_lower_case() {
        let email = Email::parse("email", "  Ada.Lovelace+X@Example.COM ").unwrap();
        assert_eq!(email.as_str(), "ada.lovelace+x@example.com");
        assert_eq!(email.local_part(), "ada.lovelace+x");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "a",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a@@b.c",
            "a b@c.d",
            "a@b..c",
            ".a@b.c",
            "a..b@c.d",
            "a@-b.c",
            "a@b.c\0",
            "é@b.c",
            "a@b.c>",
            "\"a\"@b.c",
            &long,
        ] {
            assert_eq!(
                Email::parse("email", text).unwrap_err().code,
                "invalid_email",
                "{text:?}"
            );
        }
        assert_eq!(Email::parse("email", " ").unwrap_err().code, "required");
        let huge = format!("a@{}.com", "b.".repeat(200));
        assert_eq!(Email::parse("email", &huge).unwrap_err().code, "too_long");
    }
}
