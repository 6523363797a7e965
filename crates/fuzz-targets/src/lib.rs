//! What fuzzing asserts of each hand-written parser: one function a target, over bytes from anywhere.
//!
//! The fuzzer itself is in `fuzz/`, outside of the workspace, because it wants a nightly toolchain. The assertions are here, so that every
//! `cargo test` compiles them and replays them over `fuzz/seeds/`.
//!
//! | file | what is in it |
//! |---|---|
//! | [`numbers`] | quantities and money |
//! | [`text`] | slugs, addresses, permissions, cursors, zones |
//! | [`secrets`] | API keys and invitation tokens |
//! | [`events`] | usage events, one and many, and their metadata |
#![expect(
    clippy::unwrap_used,
    reason = "an assertion that cannot go on must stop"
)]

pub mod events;
pub mod numbers;
pub mod secrets;
pub mod text;

/// A target: panics when a parser breaks its rule on these bytes.
pub type Target = fn(&[u8]);

/// Every target by name. The name is that of its file in `fuzz/fuzz_targets/` and of its folder in `fuzz/seeds/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("cloud_event", events::cloud_event),
    ("cursor", text::cursor),
    ("email", text::email),
    ("event_batch", events::event_batch),
    ("event_plain", events::event_plain),
    ("invitation_token", secrets::invitation_token),
    ("key_text", secrets::key_text),
    ("metadata", events::metadata),
    ("money", numbers::money),
    ("permission_code", text::permission_code),
    ("permission_query", text::permission_query),
    ("quantity", numbers::quantity),
    ("slug", text::slug),
    ("zone", text::zone),
];

/// The bytes as text, up to the first that are not.
fn utf8(data: &[u8]) -> &str {
    match str::from_utf8(data) {
        Ok(text) => text,
        Err(error) => data
            .get(..error.valid_up_to())
            .and_then(|valid| str::from_utf8(valid).ok())
            .unwrap_or_default(),
    }
}

/// Takes a number off the front; nought bytes stand for those that are missing.
fn take<const N: usize>(data: &mut &[u8]) -> [u8; N] {
    let (front, rest) = data.split_at(data.len().min(N));
    *data = rest;
    let mut bytes = [0; N];
    for (byte, given) in bytes.iter_mut().zip(front) {
        *byte = *given;
    }
    bytes
}
