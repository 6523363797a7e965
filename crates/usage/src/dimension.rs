//! What a meter's usage is told apart by, beside project, user and model: texts in the metadata of its events.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{Meter, NewEvent, Rejection, value};

/// Dimensions that one meter may declare, and that one question may ask for.
pub const MAX_DIMENSIONS: usize = 4;
/// Bytes that the value of a dimension may have. It is part of a key of the database, together with the others.
pub const MAX_VALUE: usize = 128;

/// A dimension that every event has a field of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    Project,
    User,
    Model,
}

impl BuiltIn {
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "project" | "project_id" => Some(Self::Project),
            "user" | "user_id" => Some(Self::User),
            "model" => Some(Self::Model),
            _ => None,
        }
    }
}

/// The event's values of the meter's dimensions: a JSON object of texts, keys sorted, without spaces. What is absent, `null` or empty is not
/// in it, nor is what events have fields of their own for. `None` when nothing is left.
///
/// # Errors
/// `usage.dimension_too_long` and `usage.invalid_dimension`, on `metadata.<name>`.
pub fn dims_of(meter: &Meter, event: &NewEvent) -> Result<Option<String>, Rejection> {
    let names = || {
        let names = meter.dimensions.iter().map(String::as_str);
        names.filter(|name| BuiltIn::of(name).is_none())
    };
    if names().next().is_none() {
        return Ok(None);
    }
    let names: Vec<&str> = names().collect();
    let found = names.iter().zip(event.metadata.fields(&names));
    let mut dims = BTreeMap::new();
    for (name, json) in found {
        if let Some(json) = json {
            let text = value_of(json).map_err(|error| in_metadata(name, error))?;
            if !text.is_empty() {
                dims.insert(*name, text);
            }
        }
    }
    if dims.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_string(&dims);
    text.map(Some)
        .map_err(|_| Rejection::field("metadata", "must be text"))
}

/// The values of [`dims_of`], by name.
#[must_use]
pub fn read_dims(dims: Option<&str>) -> BTreeMap<String, String> {
    dims.and_then(|dims| serde_json::from_str(dims).ok())
        .unwrap_or_default()
}

fn value_of(json: &str) -> Result<Cow<'_, str>, (&'static str, &'static str)> {
    let text = value::as_text(json).ok_or((
        "usage.invalid_dimension",
        "must be text, a number or a boolean",
    ))?;
    if text.len() > MAX_VALUE {
        return Err(("usage.dimension_too_long", "must be at most 128 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err((
            "usage.invalid_dimension",
            "must not contain control characters",
        ));
    }
    Ok(text)
}

fn in_metadata(name: &str, (code, message): (&'static str, &'static str)) -> Rejection {
    Rejection::new(code, format!("metadata.{name}"), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, meter::tests::meter};

    fn dims(declared: &[&str], metadata: &str) -> Result<Option<String>, (String, &'static str)> {
        let mut meter = meter("calls", "sum");
        meter.dimensions = declared.iter().map(|name| (*name).to_owned()).collect();
        let text = format!(r#"{{"id":"e","metric":"calls","model":"m","metadata":{metadata}}}"#);
        let event = Item::parse_plain(&text).event.unwrap();
        dims_of(&meter, &event).map_err(|error| (error.field.into_owned(), error.code))
    }

    #[test]
    fn declared_values_are_kept_in_one_spelling() {
        let metadata = r#"{"tier":1.50,"region":"e\u0075","far":true,"spent":1e3,"note":"x"}"#;
        let kept = dims(&["tier", "region", "far", "spent"], metadata).unwrap();
        let expected = r#"{"far":"true","region":"eu","spent":"1000","tier":"1.50"}"#;
        assert_eq!(kept.as_deref(), Some(expected));
        assert_eq!(read_dims(kept.as_deref())["tier"], "1.50");
    }

    #[test]
    fn what_is_absent_or_has_a_field_of_its_own_is_not_repeated() {
        let metadata = r#"{"region":"","tier":null,"model":"x","user_id":"u"}"#;
        let declared = ["region", "tier", "plan"];
        assert_eq!(dims(&declared, metadata), Ok(None));
        assert_eq!(dims(&["model", "user_id", "user"], metadata), Ok(None));
        assert_eq!(dims(&declared, "{}"), Ok(None));
        assert_eq!(dims(&[], metadata), Ok(None));
    }

    #[test]
    fn what_is_no_short_text_is_refused_by_name() {
        let refused = |json: &str| {
            let (field, code) = dims(&["region"], &format!(r#"{{"region":{json}}}"#)).unwrap_err();
            assert_eq!(field, "metadata.region");
            code
        };
        let long = |length: usize| format!("\"{}\"", "é".repeat(length));
        assert_eq!(refused(&long(65)), "usage.dimension_too_long");
        assert!(dims(&["region"], &format!(r#"{{"region":{}}}"#, long(64))).is_ok());
        assert_eq!(refused("1e300"), "usage.dimension_too_long");
        for json in [r#"{"a":1}"#, "[]", r#""a\nb""#, r#""\u0085""#] {
            assert_eq!(refused(json), "usage.invalid_dimension", "{json}");
        }
    }
}
