//! How a key is kept: HMAC-SHA-256 under a pepper that is not in the database.
//!
//! A key carries 256 random bits, so nobody guesses it from a fast hash; the pepper makes a stolen database useless even to somebody who
//! could plant rows of their own. Peppers have versions: the newest signs, every one still listed verifies, and a key that was used
//! is signed anew.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::{KeyText, PasswordHash, secret::Digest256};

/// Fewest bytes of a pepper.
const MIN_BYTES: usize = 32;

/// One pepper.
#[derive(Clone)]
pub struct Pepper {
    /// Its number; a higher one is newer.
    pub version: i16,
    /// The secret: at least 32 bytes.
    pub key: SecretSlice<u8>,
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper(v{})", self.version)
    }
}

/// Why a list of peppers is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PepperError {
    /// There is none.
    #[error("at least one pepper is needed")]
    Missing,
    /// Two have one number.
    #[error("two peppers have the version {0}")]
    Repeated(i16),
    /// One is too short.
    #[error("pepper {0} has fewer than 32 bytes")]
    TooShort(i16),
}

/// What the store keeps of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyHash {
    /// Ours.
    Hmac {
        /// The pepper's version.
        version: i16,
        /// The code itself.
        code: Digest256,
    },
    /// Of a key that was imported.
    Argon2id(PasswordHash),
}

/// How a key compares with what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMatch {
    /// It is the key, and its hash is up to date.
    Yes,
    /// It is the key; its hash was made under an old pepper and should be replaced.
    Outdated,
    /// It is another key, or its pepper is no longer listed.
    No,
    /// Only a password hasher can tell.
    AskHasher(PasswordHash),
}

/// The peppers in use, newest last.
#[derive(Debug, Clone)]
pub struct Peppers(Vec<Pepper>);

impl Peppers {
    /// Takes a list in any order.
    ///
    /// # Errors
    /// See [`PepperError`].
    pub fn new(mut peppers: Vec<Pepper>) -> Result<Self, PepperError> {
        peppers.sort_by_key(|pepper| pepper.version);
        let repeated = peppers.windows(2).find_map(|pair| match pair {
            [a, b] if a.version == b.version => Some(a.version),
            _ => None,
        });
        if let Some(version) = repeated {
            return Err(PepperError::Repeated(version));
        }
        let short = |pepper: &&Pepper| pepper.key.expose_secret().len() < MIN_BYTES;
        if let Some(pepper) = peppers.iter().find(short) {
            return Err(PepperError::TooShort(pepper.version));
        }
        if peppers.is_empty() {
            Err(PepperError::Missing)
        } else {
            Ok(Self(peppers))
        }
    }

    /// What to keep of a key.
    #[must_use]
    pub fn hash(&self, key: &KeyText) -> KeyHash {
        let newest = self.0.last();
        KeyHash::Hmac {
            version: newest.map_or(0, |pepper| pepper.version),
            code: code(newest, key.reveal()),
        }
    }

    /// Compares a key with what was kept, in constant time.
    #[must_use]
    pub fn compare(&self, key: &KeyText, kept: &KeyHash) -> KeyMatch {
        match kept {
            KeyHash::Argon2id(hash) => KeyMatch::AskHasher(hash.clone()),
            KeyHash::Hmac {
                version,
                code: kept,
            } => {
                let pepper = self.0.iter().find(|pepper| pepper.version == *version);
                if pepper.is_none() || code(pepper, key.reveal()) != *kept {
                    KeyMatch::No
                } else if self
                    .0
                    .last()
                    .is_some_and(|newest| newest.version == *version)
                {
                    KeyMatch::Yes
                } else {
                    KeyMatch::Outdated
                }
            }
        }
    }
}

fn code(pepper: Option<&Pepper>, text: &str) -> Digest256 {
    let key = pepper.map_or(&[][..], |pepper| pepper.key.expose_secret());
    // HMAC takes keys of any length, so this cannot fail; a digest of nothing would match nothing.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Digest256::stored([0; 32]),
        |mac| {
            Digest256::stored(
                mac.chain_update(text.as_bytes())
                    .finalize()
                    .into_bytes()
                    .into(),
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyMode;

    fn pepper(version: i16, byte: u8) -> Pepper {
        Pepper {
            version,
            key: vec![byte; 32].into(),
        }
    }

    #[test]
    fn a_key_matches_its_own_hash_and_no_other() {
        let peppers = Peppers::new(vec![pepper(1, 1)]).unwrap();
        let (key, other) = (
            KeyText::generate(KeyMode::Live),
            KeyText::generate(KeyMode::Live),
        );
        assert_eq!(peppers.compare(&key, &peppers.hash(&key)), KeyMatch::Yes);
        assert_eq!(peppers.compare(&other, &peppers.hash(&key)), KeyMatch::No);
    }

    #[test]
    fn an_old_pepper_verifies_until_it_is_dropped() {
        let key = KeyText::generate(KeyMode::Live);
        let kept = Peppers::new(vec![pepper(1, 1)]).unwrap().hash(&key);
        let both = Peppers::new(vec![pepper(2, 2), pepper(1, 1)]).unwrap();
        assert_eq!(both.compare(&key, &kept), KeyMatch::Outdated);
        assert!(matches!(both.hash(&key), KeyHash::Hmac { version: 2, .. }));
        assert_eq!(
            Peppers::new(vec![pepper(2, 2)])
                .unwrap()
                .compare(&key, &kept),
            KeyMatch::No
        );
        let replaced = Peppers::new(vec![pepper(1, 9)]).unwrap();
        assert_eq!(replaced.compare(&key, &kept), KeyMatch::No);
    }

    #[test]
    fn bad_lists_are_refused() {
        assert_eq!(Peppers::new(vec![]).unwrap_err(), PepperError::Missing);
        assert_eq!(
            Peppers::new(vec![pepper(1, 1), pepper(1, 2)]).unwrap_err(),
            PepperError::Repeated(1)
        );
        let short = Pepper {
            version: 3,
            key: vec![1; 31].into(),
        };
        assert_eq!(
            Peppers::new(vec![short]).unwrap_err(),
            PepperError::TooShort(3)
        );
    }
}
