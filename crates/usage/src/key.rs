//! What makes two events one.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Bytes of a key that say what it belongs together with.
const FAMILY: usize = 6;
/// Bytes at the end of an id that its family leaves out: a thousand numbers in a row are one.
const COUNTING: usize = 3;
/// What ULIDs and TypeIDs are written with, of Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The key of the event with this source and id: the same key, the same event.
///
/// The last 80 bits are SHA-256 over source and id. The first 48 bring together what is likely to come together, so that the index on keys is
/// written in a few places and not all over it, which costs twice as much when it is large: of an id that has a time in it (UUIDv7, ULID, TypeID,
/// whatever prefix it has before an underscore) that time, of any other SHA-256 over source and id without its last three bytes.
pub(crate) fn of(source: &str, id: &str) -> Uuid {
    let mut key = *digest([source, id]).as_bytes();
    let family = time_of(id).unwrap_or_else(|| {
        let stem = id.len().saturating_sub(COUNTING);
        let stem = id.as_bytes().get(..stem).unwrap_or_default();
        first(&digest([source.as_bytes(), stem]))
    });
    for (byte, of_family) in key.iter_mut().zip(family) {
        *byte = of_family;
    }
    Uuid::from_bytes(key)
}

/// 128 bits of SHA-256 over texts, each with its length in front.
pub(crate) fn digest<T: AsRef<[u8]>, const N: usize>(parts: [T; N]) -> Uuid {
    let mut hash = Sha256::new();
    for part in &parts {
        let part = part.as_ref();
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash.finalize()) {
        *byte = hashed;
    }
    Uuid::from_bytes(bytes)
}

fn first(uuid: &Uuid) -> [u8; FAMILY] {
    let mut bytes = [0; FAMILY];
    for (byte, of_uuid) in bytes.iter_mut().zip(uuid.as_bytes()) {
        *byte = *of_uuid;
    }
    bytes
}

/// Milliseconds since 1970, as the id has them.
fn time_of(id: &str) -> Option<[u8; FAMILY]> {
    let id = id.rsplit('_').next()?;
    match id.len() {
        26 => base32(id.as_bytes().get(..10)?),
        32 | 36 => {
            let uuid = Uuid::try_parse(id).ok()?;
            (uuid.get_version_num() == 7).then(|| first(&uuid))
        }
        _ => None,
    }
}

/// Ten digits are fifty bits, and the two in front are none.
fn base32(digits: &[u8]) -> Option<[u8; FAMILY]> {
    let mut time: u64 = 0;
    for digit in digits {
        let value = DIGITS
            .iter()
            .position(|known| known.eq_ignore_ascii_case(digit))?;
        time = time << 5 | u64::try_from(value).ok()?;
    }
    let [0, 0, family @ ..] = time.to_be_bytes() else {
        return None;
    };
    Some(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the keys of these ids begin.
    fn families<const N: usize>(ids: [&str; N]) -> [String; N] {
        ids.map(|id| {
            let simple = of("app", id).simple().to_string();
            simple.chars().take(2 * FAMILY).collect()
        })
    }

    #[test]
    fn an_id_with_a_time_in_it_is_kept_by_that_time() {
        let ids = [
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "01890A5DAC96774BBCCEB302099A8057",
            "evt_01890a5d-ac96-774b-bcce-b302099a8057",
            // The same 128 bits, as a ULID and as a TypeID.
            "01H455VB4PEX5VSKNK084SN02Q",
            "usage_event_01h455vb4pex5vsknk084sn02q",
        ];
        assert_eq!(families(ids), ["01890a5dac96"; 5]);
    }

    #[test]
    fn a_thousand_numbers_in_a_row_are_kept_together() {
        let [a, b, c, other] = families(["run-41000", "run-41007", "run-41999", "run-42000"]);
        assert_eq!((&a, &a), (&b, &c));
        assert_ne!(a, other);
        assert_ne!(of("app", "run-41000"), of("app", "run-41007"));
        assert_ne!(of("app", "run-41000"), of("web", "run-41000"));
    }

    #[test]
    fn what_only_looks_like_a_time_is_none() {
        for id in [
            "",
            "é",
            "ab",
            "01890a5d-ac96-474b-bcce-b302099a8057",
            "01890a5d_ac96_774b_bcce_b302099a8057",
            "81H455VB4PEX5VSKNK084SN02Q",
            "01H455VB4UEX5VSKNK084SN02Q",
            "01H455VB4PEX5VSKNK084SN02",
            "{01890a5dac96774bbcceb302099a8057}",
        ] {
            assert_eq!(time_of(id), None, "{id}");
        }
    }
}
