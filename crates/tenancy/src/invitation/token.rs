//! What proves that somebody was invited.
//!
//! The token is a keyed digest of the invitation's id and of how often it was sent. It is stored nowhere: the API and the worker, which
//! share the key, each make it when they need it, and a resend makes the one before it worthless.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use kernel::InvitationId;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Makes and reads tokens. Holds the keys, newest first: all of them are read, the first one signs.
#[derive(Clone)]
pub struct InvitationTokens(Vec<[u8; 32]>);

impl std::fmt::Debug for InvitationTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvitationTokens(…)")
    }
}

const PREFIX: &str = "pli_";

impl InvitationTokens {
    /// Derives one key from each of `secrets`, newest first, so that a secret with other uses can be shared.
    #[must_use]
    pub fn derive(secrets: &[&[u8]]) -> Self {
        Self(
            secrets
                .iter()
                .map(|secret| mac(secret, b"plinth invitation tokens v1"))
                .collect(),
        )
    }

    /// The token of an invitation that was sent `sends` times.
    #[must_use]
    pub fn issue(&self, id: InvitationId, sends: i32) -> String {
        let body = body(id.as_uuid(), sends);
        let key = self.0.first().copied().unwrap_or_default();
        let bytes: Vec<u8> = body.iter().copied().chain(mac(&key, &body)).collect();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token that one of the keys signed; `None` for anything else. Takes the same time whatever is wrong with it.
    #[must_use]
    pub fn open(&self, token: &str) -> Option<(InvitationId, i32)> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let (body, digest) = bytes.split_at_checked(20)?;
        let valid = self.0.iter().any(|key| mac(key, body).ct_eq(digest).into());
        let (id, sends) = body.split_at_checked(16)?;
        let id = Uuid::from_slice(id).ok()?;
        let sends = i32::from_be_bytes(sends.try_into().ok()?);
        valid.then_some((id.into(), sends))
    }
}

fn body(id: Uuid, sends: i32) -> [u8; 20] {
    let mut body = [0; 20];
    for (slot, byte) in body
        .iter_mut()
        .zip(id.as_bytes().iter().copied().chain(sends.to_be_bytes()))
    {
        *slot = byte;
    }
    body
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes a key of any length, so this cannot fail.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().into())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn tokens(secret: &str) -> InvitationTokens {
        InvitationTokens::derive(&[secret.as_bytes()])
    }

    #[test]
    fn a_token_opens_with_its_own_key_only() {
        let id = InvitationId::new(OffsetDateTime::UNIX_EPOCH);
        let token = tokens("one").issue(id, 2);
        assert_eq!(tokens("one").open(&token), Some((id, 2)));
        assert_eq!(tokens("two").open(&token), None);
        let rotated = InvitationTokens::derive(&[b"two", b"one"]);
        assert_eq!(rotated.open(&token), Some((id, 2)));
    }

    #[test]
    fn garbage_opens_nothing() {
        let token = tokens("one").issue(InvitationId::new(OffsetDateTime::UNIX_EPOCH), 1);
        let mut flipped = token.clone();
        flipped.replace_range(
            10..11,
            if token.as_bytes()[10] == b'A' {
                "B"
            } else {
                "A"
            },
        );
        for text in [
            "",
            "pli_",
            "pli_AAAA",
            &token[..token.len() - 2],
            &flipped,
            "nonsense",
        ] {
            assert_eq!(tokens("one").open(text), None, "{text}");
        }
    }
}
