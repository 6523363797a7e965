use plinth_identity::{KeyMode, KeyText};
use proptest::{prelude::*, sample::Index};

use crate::matching;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// CRC-32 as ISO 3309 defines it, a bit at a time, in base 62.
fn checksum(body: &str) -> String {
    let mut crc = u32::MAX;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    let mut rest = u64::from(!crc);
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(char::from(ALPHABET[usize::try_from(rest % 62).unwrap()]));
        rest /= 62;
    }
    digits.into_iter().rev().collect()
}

/// A key as somebody else would write it.
fn keys() -> impl Strategy<Value = (KeyMode, String, String)> {
    let mode = prop_oneof![Just(KeyMode::Live), Just(KeyMode::Test)];
    (
        mode,
        matching("[0-9A-Za-z]{16}"),
        matching("[0-9A-Za-z]{43}"),
    )
        .prop_map(|(mode, id, secret)| {
            let body = format!("plk_{}_{id}_{secret}", mode.as_str());
            let text = format!("{body}{}", checksum(&body));
            (mode, id, text)
        })
}

proptest! {
    #[test]
    fn a_key_is_read_as_it_was_written((mode, id, text) in keys()) {
        let key = KeyText::parse(&text).unwrap();
        prop_assert_eq!((key.mode(), key.key_id(), key.reveal()), (mode, &*id, &*text));
        let shown = format!("{key:?}");
        prop_assert!(shown.contains(&id) && !shown.contains(&text[27..]));
    }

    #[test]
    fn a_new_key_has_the_checksum_of_its_body(live in any::<bool>()) {
        let mode = if live { KeyMode::Live } else { KeyMode::Test };
        let key = KeyText::generate(mode);
        let (body, crc) = key.reveal().split_at(69);
        prop_assert_eq!(crc, checksum(body));
        let back = KeyText::parse(key.reveal()).unwrap();
        prop_assert_eq!(back.key_id(), key.key_id());
    }

    #[test]
    fn a_typing_error_is_noticed((_, _, text) in keys(), at in any::<Index>(), letter in matching("[0-9A-Za-z_]|\\PC"), what in 0_u8..5) {
        let at = at.index(text.len());
        let mut wrong = text.clone();
        match what {
            0 => wrong.replace_range(at..=at, &letter),
            1 => wrong.insert_str(at, &letter),
            2 => drop(wrong.remove(at)),
            3 => wrong.truncate(at),
            _ => {
                let next = (at + 1) % text.len();
                let mut bytes = text.clone().into_bytes();
                bytes.swap(at, next);
                wrong = String::from_utf8(bytes).unwrap();
            }
        }
        prop_assert_eq!(KeyText::parse(&wrong).is_some(), wrong == text, "{} for {}", wrong, text);
    }

    #[test]
    fn nothing_else_is_a_key(text in matching("plk_(live|test)_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}|(plk_)?\\PC{0,80}")) {
        let sound = text.len() == 75 && text.is_char_boundary(69) && text[69..] == checksum(&text[..69]);
        prop_assert!(sound || KeyText::parse(&text).is_none());
    }
}
