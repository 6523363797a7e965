//! Random text, and digests of secrets.

use kernel::id::random_bytes;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `length` characters drawn evenly from `0-9A-Za-z`: 5.95 bits each, so 43 of them carry 256 bits.
#[must_use]
pub fn random_base62(length: usize) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // Six bits give 0 to 63; dropping 62 and 63 keeps every character equally likely.
        let drawn = random_bytes::<64>();
        let letters = drawn
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        text.extend(
            letters
                .take(length - text.len())
                .map(|letter| char::from(*letter)),
        );
    }
    text
}

/// `value` in base 62, six characters wide.
#[must_use]
pub fn base62_of_u32(value: u32) -> String {
    let mut rest = u64::from(value);
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(rest % 62).unwrap_or(0);
        *digit = ALPHABET.get(index).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// A SHA-256 digest of a secret that carries enough randomness to need no salt. Compares in constant time.
#[derive(Debug, Clone, Copy)]
pub struct Digest256([u8; 32]);

impl Digest256 {
    /// The digest of `secret`.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// A digest that was computed elsewhere, or that a store holds.
    #[must_use]
    pub const fn stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest as bytes, for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Digest256 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest256 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_has_its_length_and_alphabet() {
        for length in [1, 16, 43, 200] {
            let text = random_base62(length);
            assert_eq!(text.len(), length);
            assert!(text.bytes().all(|byte| ALPHABET.contains(&byte)));
        }
        assert_ne!(random_base62(16), random_base62(16));
    }

    #[test]
    fn numbers_have_a_fixed_width() {
        assert_eq!(base62_of_u32(0), "000000");
        assert_eq!(base62_of_u32(61), "00000z");
        assert_eq!(base62_of_u32(62), "000010");
        assert_eq!(base62_of_u32(u32::MAX), "4gfFC3");
    }
}
