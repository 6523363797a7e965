//! What an event carries besides: a JSON object, kept as canonical text.
//!
//! Numbers stay the text they came as, so a value read from here is exact. Keys are sorted, so two spellings of one object are one.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::Rejection;

/// Bytes that the canonical text of an event's metadata may have.
pub const MAX_BYTES: usize = 8 * 1024;
/// Objects and arrays that may be inside one another.
const MAX_DEPTH: usize = 32;

/// A JSON object that PostgreSQL can hold; empty when the client sent none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(Option<String>);

impl Metadata {
    /// Reads the text of a JSON object, or of `null`.
    ///
    /// # Errors
    /// `usage.metadata_too_large`, or `usage.invalid_field` on `metadata`.
    pub fn parse(raw: &RawValue) -> Result<Self, Rejection> {
        match raw.get().as_bytes().first() {
            Some(b'n') => Ok(Self::default()),
            Some(b'{') => {
                let mut zeros = 0;
                let text = canonical(raw.get(), 0, &mut zeros)?;
                Self::of(text, zeros)
            }
            _ => Err(Rejection::field("metadata", "must be a JSON object")),
        }
    }

    /// Makes metadata of fields that were next to other things.
    ///
    /// # Errors
    /// As [`Metadata::parse`].
    pub fn of_fields(fields: &BTreeMap<String, &RawValue>) -> Result<Self, Rejection> {
        if fields.is_empty() {
            Ok(Self::default())
        } else {
            let mut zeros = 0;
            let text = object(fields, 0, &mut zeros)?;
            Self::of(text, zeros)
        }
    }

    /// A store may write powers of ten out, so their `zeros` count too.
    fn of(text: String, zeros: usize) -> Result<Self, Rejection> {
        if text.len().saturating_add(zeros) > MAX_BYTES {
            return Err(Rejection::new(
                "usage.metadata_too_large",
                "metadata",
                "must be at most 8192 bytes of JSON, with its powers of ten written out",
            ));
        }
        Ok(Self(Some(text).filter(|text| text != "{}")))
    }

    /// The canonical text; `None` when there is nothing.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The JSON text of one field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        self.at([name]).map(ToOwned::to_owned)
    }

    /// The JSON text at the end of a path of names. Nothing when a step is not there or leads into no object, and for `null`.
    pub(crate) fn at<'n>(&self, steps: impl IntoIterator<Item = &'n str>) -> Option<&str> {
        let mut text = self.as_json()?;
        for step in steps {
            text = pick(text, &[step]).pop()??;
        }
        Some(text).filter(|text| *text != "null")
    }

    /// The JSON texts of fields, in the order of their names. Nothing for what is not there, and for `null`.
    pub(crate) fn fields(&self, names: &[&str]) -> Vec<Option<&str>> {
        let mut found = pick(self.as_json().unwrap_or("{}"), names);
        for text in &mut found {
            *text = text.filter(|text| *text != "null");
        }
        found
    }
}

/// Values of a JSON object by name; none when it is no object. The others are passed over without a copy.
fn pick<'a>(json: &'a str, names: &[&str]) -> Vec<Option<&'a str>> {
    let picked = serde_json::Deserializer::from_str(json).deserialize_map(Pick(names));
    picked.unwrap_or_else(|_| vec![None; names.len()])
}

struct Pick<'n>(&'n [&'n str]);

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![None; self.0.len()];
        while let Some(place) = map.next_key_seed(Place(self.0))? {
            match place.and_then(|place| found.get_mut(place)) {
                Some(slot) => *slot = Some(map.next_value::<&RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// Reads a key as its place among the names.
struct Place<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

fn canonical(text: &str, depth: usize, zeros: &mut usize) -> Result<String, Rejection> {
    if depth > MAX_DEPTH {
        return Err(Rejection::field(
            "metadata",
            "must not be nested more than 32 deep",
        ));
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = read(text)?;
            object(&fields, depth, zeros)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = read(text)?;
            let items: Result<Vec<String>, Rejection> = items
                .iter()
                .map(|item| canonical(item.get(), depth + 1, zeros))
                .collect();
            Ok(format!("[{}]", items?.join(",")))
        }
        Some(b'"') => string(&read::<String>(text)?),
        Some(b'-' | b'0'..=b'9') => number(text, zeros),
        _ => Ok(text.to_owned()),
    }
}

fn object(
    fields: &BTreeMap<String, &RawValue>,
    depth: usize,
    zeros: &mut usize,
) -> Result<String, Rejection> {
    let fields: Result<Vec<String>, Rejection> = fields
        .iter()
        .map(|(name, raw)| {
            Ok(format!(
                "{}:{}",
                string(name)?,
                canonical(raw.get(), depth + 1, zeros)?
            ))
        })
        .collect();
    Ok(format!("{{{}}}", fields?.join(",")))
}

fn read<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Rejection> {
    serde_json::from_str(text)
        .map_err(|_| Rejection::field("metadata", "must hold well-formed text only"))
}

/// PostgreSQL cannot hold NUL in text, not even escaped.
fn string(text: &str) -> Result<String, Rejection> {
    if text.contains('\0') {
        return Err(Rejection::field("metadata", "must not contain NUL"));
    }
    serde_json::to_string(text).map_err(|_| Rejection::field("metadata", "must be text"))
}

/// PostgreSQL refuses a number with more digits than it can hold, and with it the whole statement. Those that it holds it writes out when it
/// is asked for them.
fn number(text: &str, zeros: &mut usize) -> Result<String, Rejection> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let power = exponent.parse().ok().map(i32::unsigned_abs);
    match power.and_then(|power| usize::try_from(power).ok()) {
        Some(power) if mantissa.len() <= 64 && power <= 308 => {
            *zeros += power;
            Ok(text.to_owned())
        }
        _ => Err(Rejection::field(
            "metadata",
            "must hold numbers of at most 64 digits and 308 powers of ten",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Metadata, Rejection> {
        Metadata::parse(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn spellings_of_one_object_are_one() {
        let plain = parse(r#"{"a": {"x": 1, "y": [true, null]}, "b": "é"}"#).unwrap();
        let other = parse(r#"{ "b":"\u00e9","a":{"y":[true,null] ,"x":1}}"#).unwrap();
        assert_eq!(plain, other);
        assert_eq!(
            plain.as_json(),
            Some(r#"{"a":{"x":1,"y":[true,null]},"b":"é"}"#)
        );
        assert_eq!(parse("{}").unwrap(), parse("null").unwrap());
    }

    #[test]
    fn numbers_stay_exact() {
        let metadata = parse(r#"{"cost": 0.123456789012345678901234567890}"#).unwrap();
        assert_eq!(
            metadata.field("cost").unwrap(),
            "0.123456789012345678901234567890"
        );
        assert_eq!(metadata.field("other"), None);
    }

    #[test]
    fn fields_are_found_beside_and_inside_one_another() {
        let metadata = parse(r#"{"a":{"b":{"c":1.0},"n":null},"d":"\"e","n":null}"#).unwrap();
        assert_eq!(metadata.at(["a", "b", "c"]), Some("1.0"));
        assert_eq!(metadata.at(["a", "b"]), Some(r#"{"c":1.0}"#));
        for path in [&["a", "n"][..], &["a", "x"], &["d", "e"], &["n"], &["c"]] {
            assert_eq!(metadata.at(path.iter().copied()), None, "{path:?}");
        }
        assert_eq!(
            metadata.fields(&["n", "d", "x"]),
            [None, Some(r#""\"e""#), None]
        );
        assert_eq!(Metadata::default().fields(&["a"]), [None]);
        assert_eq!(Metadata::default().at(["a"]), None);
    }

    #[test]
    fn what_postgresql_cannot_hold_is_refused() {
        let nested = format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
        let cases = [
            r#"{"a":"x\u0000"}"#,
            r#"{"\u0000":1}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e999999}"#,
            r#"{"a":1e-2147483648}"#,
            &nested,
        ];
        for text in cases.into_iter().chain(["[1]", "7", "\"text\""]) {
            assert_eq!(
                parse(text).unwrap_err().code,
                "usage.invalid_field",
                "{text}"
            );
        }
    }

    #[test]
    fn size_is_counted_without_spaces() {
        let fitting = format!("{{ \"a\" : \"{}\" }}", "x".repeat(MAX_BYTES - 8));
        assert_eq!(parse(&fitting).unwrap().as_json().unwrap().len(), MAX_BYTES);
        let larger = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES - 7));
        assert_eq!(parse(&larger).unwrap_err().code, "usage.metadata_too_large");
    }

    #[test]
    fn numbers_count_as_they_are_written_out() {
        let numbers =
            |count: usize| parse(&format!("{{\"a\":[{}]}}", vec!["1e300"; count].join(",")));
        assert!(numbers(26).is_ok());
        assert_eq!(numbers(27).unwrap_err().code, "usage.metadata_too_large");
    }
}
