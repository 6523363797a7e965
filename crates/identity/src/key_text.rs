//! The text of an API key: `plk_{live|test}_{keyid}_{secret}{crc}`.
//!
//! The checksum is no secret and no protection. It refuses typing errors and random traffic before a database is asked, and lets
//! scanners of leaked secrets know one of ours when they see it.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::secret::{base62_of_u32, random_base62};

const KEY_ID: usize = 16;
const SECRET: usize = 43;
const CHECKSUM: usize = 6;

/// What a key is for. Both are equally strong; the mode is for people and for their tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyMode {
    /// Production.
    Live,
    /// Everything else.
    Test,
}

impl KeyMode {
    /// The mode as it stands in a key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Reads the text of [`KeyMode::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Test]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

/// A whole key, secret included.
#[derive(Clone)]
pub struct KeyText {
    mode: KeyMode,
    key_id: String,
    text: SecretString,
}

impl KeyText {
    /// A new key with 256 random bits.
    #[must_use]
    pub fn generate(mode: KeyMode) -> Self {
        let key_id = random_base62(KEY_ID);
        let body = format!("plk_{}_{key_id}_{}", mode.as_str(), random_base62(SECRET));
        let text = format!("{body}{}", checksum(&body));
        Self {
            mode,
            key_id,
            text: text.into(),
        }
    }

    /// Reads a key from outside. `None` when it is not written like one or its checksum is wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mode, rest) = text.strip_prefix("plk_")?.split_once('_')?;
        let mode = KeyMode::parse(mode)?;
        let (key_id, secret) = rest.split_once('_')?;
        let alphanumeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if key_id.len() != KEY_ID
            || secret.len() != SECRET + CHECKSUM
            || !alphanumeric(key_id)
            || !alphanumeric(secret)
        {
            return None;
        }
        let (body, crc) = text.split_at_checked(text.len() - CHECKSUM)?;
        (crc == checksum(body)).then(|| Self {
            mode,
            key_id: key_id.to_owned(),
            text: text.to_owned().into(),
        })
    }

    /// What it is for.
    #[must_use]
    pub const fn mode(&self) -> KeyMode {
        self.mode
    }

    /// The public name it is looked up by.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The whole key, to be shown once to its owner, or hashed.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({}…)", prefix(self.mode, &self.key_id))
    }
}

/// The part of a key that is no secret: up to and with the key id.
#[must_use]
pub fn prefix(mode: KeyMode, key_id: &str) -> String {
    format!("plk_{}_{key_id}", mode.as_str())
}

fn checksum(body: &str) -> String {
    base62_of_u32(crc32fast::hash(body.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_the_wire() {
        let key = KeyText::generate(KeyMode::Test);
        let back = KeyText::parse(key.reveal()).unwrap();
        assert_eq!(key.reveal().len(), 75);
        assert_eq!((back.mode(), back.key_id()), (KeyMode::Test, key.key_id()));
        assert!(
            key.reveal()
                .starts_with(&format!("{}_", prefix(KeyMode::Test, key.key_id())))
        );
    }

    #[test]
    fn one_wrong_character_anywhere_is_noticed() {
        let key = KeyText::generate(KeyMode::Live);
        for at in 0..key.reveal().len() {
            let mut bytes = key.reveal().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            assert!(
                KeyText::parse(&String::from_utf8(bytes).unwrap()).is_none(),
                "at {at}"
            );
        }
    }

    #[test]
    fn garbage_is_no_key() {
        let key = KeyText::generate(KeyMode::Live);
        let text = key.reveal();
        for garbage in [
            "",
            "plk_",
            "plk_live_",
            "plk_prod_a_b",
            &text[..74],
            &format!("{text}0"),
            &format!(" {text}"),
            "plk_live_é_é",
        ] {
            assert!(KeyText::parse(garbage).is_none(), "{garbage}");
        }
    }

    #[test]
    fn debug_output_stops_at_the_prefix() {
        let key = KeyText::generate(KeyMode::Live);
        let shown = format!("{key:?}");
        assert!(shown.contains(key.key_id()) && !shown.contains(&key.reveal()[27..]));
    }
}
