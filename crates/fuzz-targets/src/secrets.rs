//! API keys and invitation tokens: what is genuine is read, and one wrong character is noticed.

use identity::{KeyMode, KeyText};
use kernel::InvitationId;
use tenancy::InvitationTokens;
use uuid::Uuid;

use crate::{take, utf8};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Text is a key or is not; a key that is put together from the bytes is one, until a character of it changes.
pub fn key_text(mut data: &[u8]) {
    let text = utf8(data);
    if let Some(key) = KeyText::parse(text) {
        assert_eq!(key.reveal(), text);
        assert_eq!(key.reveal().len(), 75);
    }
    let [mode, at, instead] = take(&mut data);
    let mode = if mode & 1 == 0 {
        KeyMode::Live
    } else {
        KeyMode::Test
    };
    let (id, secret) = (base62(take::<16>(&mut data)), base62(take::<43>(&mut data)));
    let body = format!("plk_{}_{id}_{secret}", mode.as_str());
    let text = format!("{body}{}", checksum(&body));
    let key = KeyText::parse(&text).unwrap();
    assert_eq!((key.mode(), key.key_id()), (mode, &*id));
    if let Some(wrong) = with_one_changed(&text, at, instead) {
        assert!(KeyText::parse(&wrong).is_none(), "{wrong} for {text}");
    }
}

/// A token is what its key signed, and nothing else opens.
pub fn invitation_token(mut data: &[u8]) {
    let tokens = InvitationTokens::derive(&[b"the secret of this target"]);
    assert_eq!(tokens.open(utf8(data)), None);
    let [at, instead] = take(&mut data);
    let id = InvitationId::from(Uuid::from_bytes(take(&mut data)));
    let sends = i32::from_be_bytes(take(&mut data));
    let token = tokens.issue(id, sends);
    assert_eq!(tokens.open(&token), Some((id, sends)));
    if let Some(wrong) = with_one_changed(&token, at, instead) {
        assert_eq!(tokens.open(&wrong), None, "{wrong} for {token}");
    }
    let other = InvitationTokens::derive(&[b"another secret"]);
    assert_eq!(other.open(&token), None);
}

fn base62<const N: usize>(bytes: [u8; N]) -> String {
    let letter = |byte: u8| ALPHABET.get(usize::from(byte) % 62).copied();
    bytes
        .into_iter()
        .filter_map(letter)
        .map(char::from)
        .collect()
}

/// CRC-32 as ISO 3309 defines it, a bit at a time, in base 62.
fn checksum(body: &str) -> String {
    let mut crc = u32::MAX;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let crc = u64::from(!crc);
    let digit = |place: u32| usize::try_from(crc / 62_u64.pow(place) % 62).ok();
    (0..6)
        .rev()
        .filter_map(digit)
        .filter_map(|digit| ALPHABET.get(digit).copied())
        .map(char::from)
        .collect()
}

/// The text with another byte at one place; `None` when that would be the same, or no text.
fn with_one_changed(text: &str, at: u8, instead: u8) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let at = usize::from(at) % bytes.len();
    let byte = bytes.get_mut(at)?;
    if *byte == instead {
        return None;
    }
    *byte = instead;
    String::from_utf8(bytes).ok()
}
