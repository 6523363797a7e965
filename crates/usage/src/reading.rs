//! Reading events from outside: Plinth's plain form, and CloudEvents.
//!
//! Reading looks at one event alone. What needs its meter, its project or the clock is in [`crate::ingest`].

use std::{borrow::Cow, collections::BTreeMap, fmt};

use kernel::{ProjectId, Quantity, quantity::QuantityError};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Metadata, NewEvent, Rejection,
    event::{DEFAULT_SOURCE, MAX_TEXT},
};

/// Reads the plain form.
pub(crate) fn plain(mut fields: Fields<'_>) -> Result<NewEvent, Rejection> {
    let event = NewEvent {
        id: fields.id()?,
        source: fields
            .text("source")?
            .unwrap_or_else(|| DEFAULT_SOURCE.to_owned()),
        metric: fields.metric("metric")?,
        quantity: fields.quantity()?,
        occurred_at: fields.time("occurred_at")?,
        project_id: fields.project()?,
        user_id: fields.text("user_id")?,
        model: fields.text("model")?,
        metadata: fields
            .take("metadata")
            .map(Metadata::parse)
            .transpose()?
            .unwrap_or_default(),
    };
    match fields.rest().into_keys().next() {
        None => Ok(event),
        Some(name) => Err(Rejection::field(name, "is not a field of an event")),
    }
}

/// Reads a CloudEvent 1.0.
pub(crate) fn cloud_event(mut fields: Fields<'_>) -> Result<NewEvent, Rejection> {
    if fields.text("specversion")?.as_deref() != Some("1.0") {
        return Err(Rejection::field("specversion", "must be 1.0"));
    }
    if fields.take("data_base64").is_some() {
        return Err(Rejection::field("data_base64", "must be JSON in data"));
    }
    let mut data: Fields<'_> = match fields.take("data") {
        Some(raw) => serde_json::from_str(raw.get())
            .map_err(|_| Rejection::field("data", "must be a JSON object"))?,
        None => Fields::default(),
    };
    data.prefix = "data.";
    let source = fields.text("source")?;
    // Other context attributes are extensions: the specification lets any be there, and a retry may carry others.
    Ok(NewEvent {
        id: fields.id()?,
        source: source.ok_or_else(|| Rejection::field("source", "must be there"))?,
        metric: fields.metric("type")?,
        occurred_at: fields.time("time")?,
        quantity: data.quantity()?,
        project_id: data.project()?,
        user_id: data.text("user_id")?,
        model: data.text("model")?,
        metadata: Metadata::of_fields(&data.rest())?,
    })
}

/// Names that fields of an event have a meaning under.
const NAMES: [&str; 14] = [
    "id",
    "metric",
    "quantity",
    "occurred_at",
    "source",
    "user_id",
    "project_id",
    "model",
    "metadata",
    "type",
    "time",
    "data",
    "specversion",
    "data_base64",
];

/// Fields that nobody has read yet, each as the text it came as. Where a name is there twice, the last counts.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    /// At the place of their name in [`NAMES`]: events are many, and these need no map.
    known: [Option<&'a RawValue>; NAMES.len()],
    others: BTreeMap<String, &'a RawValue>,
    /// What the sender would write in front of their names.
    prefix: &'static str,
}

impl<'a> Fields<'a> {
    fn take(&mut self, name: &'static str) -> Option<&'a RawValue> {
        let place = NAMES.iter().position(|known| *known == name)?;
        let raw = self.known.get_mut(place)?.take();
        raw.filter(|raw| raw.get() != "null")
    }

    /// The id, whatever else is wrong with it: for the answer.
    pub(crate) fn readable_id(&self) -> Option<String> {
        let raw = self.known.first().copied().flatten()?;
        serde_json::from_str(raw.get()).ok()
    }

    /// The fields that are left, by name.
    fn rest(mut self) -> BTreeMap<String, &'a RawValue> {
        let known = NAMES.iter().zip(self.known);
        let left = known.filter_map(|(name, raw)| Some(((*name).to_owned(), raw?)));
        self.others.extend(left);
        self.others
    }

    fn named(&self, name: &'static str) -> Cow<'static, str> {
        if self.prefix.is_empty() {
            name.into()
        } else {
            format!("{}{name}", self.prefix).into()
        }
    }

    /// Text of 1 to [`MAX_TEXT`] bytes without control characters; nothing when it is absent, `null` or empty.
    fn text(&mut self, name: &'static str) -> Result<Option<String>, Rejection> {
        let Some(raw) = self.take(name) else {
            return Ok(None);
        };
        let text: String = serde_json::from_str(raw.get())
            .map_err(|_| Rejection::field(self.named(name), "must be text"))?;
        if text.len() > MAX_TEXT {
            return Err(Rejection::field(
                self.named(name),
                "must be at most 255 bytes",
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(Rejection::field(
                self.named(name),
                "must not contain control characters",
            ));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn id(&mut self) -> Result<String, Rejection> {
        let missing = || Rejection::new("usage.missing_id", "id", "must be there, and not empty");
        let raw = self.take("id").ok_or_else(missing)?;
        let id: String = serde_json::from_str(raw.get())
            .map_err(|_| Rejection::new("usage.invalid_id", "id", "must be text"))?;
        if id.is_empty() {
            return Err(missing());
        }
        if id.len() > MAX_TEXT {
            return Err(Rejection::new(
                "usage.id_too_long",
                "id",
                "must be at most 255 bytes",
            ));
        }
        if id.chars().any(char::is_control) {
            return Err(Rejection::new(
                "usage.invalid_id",
                "id",
                "must not contain control characters",
            ));
        }
        Ok(id)
    }

    fn metric(&mut self, name: &'static str) -> Result<String, Rejection> {
        self.text(name)?.ok_or_else(|| {
            Rejection::new("usage.unknown_metric", name, "must be the key of a meter")
        })
    }

    fn quantity(&mut self) -> Result<Quantity, Rejection> {
        self.take("quantity").map_or_else(
            || Ok(Quantity::from(1)),
            |raw| parse_quantity(self.named("quantity"), raw.get()),
        )
    }

    fn time(&mut self, name: &'static str) -> Result<Option<OffsetDateTime>, Rejection> {
        let Some(raw) = self.take(name) else {
            return Ok(None);
        };
        serde_json::from_str::<Cow<'_, str>>(raw.get())
            .ok()
            .and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok())
            .and_then(|at| at.replace_microsecond(at.microsecond()).ok())
            .map(Some)
            .ok_or_else(|| {
                Rejection::new(
                    "usage.invalid_time",
                    name,
                    "must be an RFC 3339 time with its offset",
                )
            })
    }

    fn project(&mut self) -> Result<Option<ProjectId>, Rejection> {
        let Some(text) = self.text("project_id")? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            Rejection::new(
                "usage.unknown_project",
                self.named("project_id"),
                "must be a project of the tenant",
            )
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key()? {
            let raw = map.next_value()?;
            match name {
                FieldName::Known(place) => {
                    if let Some(field) = fields.known.get_mut(place) {
                        *field = Some(raw);
                    }
                }
                FieldName::Other(name) => {
                    fields.others.insert(name, raw);
                }
            }
        }
        Ok(fields)
    }
}

/// A field's name: its place in [`NAMES`], or itself.
enum FieldName {
    Known(usize),
    Other(String),
}

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(FieldNameVisitor)
    }
}

struct FieldNameVisitor;

impl Visitor<'_> for FieldNameVisitor {
    type Value = FieldName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<FieldName, E> {
        let place = NAMES.iter().position(|known| *known == name);
        Ok(place.map_or_else(|| FieldName::Other(name.to_owned()), FieldName::Known))
    }
}

/// Reads a quantity from the JSON text of a number or of a string, exactly.
pub(crate) fn parse_quantity(field: Cow<'static, str>, json: &str) -> Result<Quantity, Rejection> {
    let text: Cow<'_, str> = match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(json)
            .unwrap_or_default()
            .into(),
        _ => json.into(),
    };
    Quantity::parse(&text).map_err(|error| match error {
        QuantityError::TooPrecise => Rejection::new(
            "usage.quantity_too_precise",
            field,
            "must have at most 12 digits behind the point",
        ),
        QuantityError::TooLarge => {
            Rejection::new("usage.invalid_quantity", field, "must be less than 10^20")
        }
        QuantityError::NotANumber => {
            Rejection::new("usage.invalid_quantity", field, "must be a decimal number")
        }
    })
}
#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::Item;

    fn plain(text: &str) -> NewEvent {
        Item::parse_plain(text).event.unwrap()
    }

    fn refusal(text: &str) -> (&'static str, String) {
        let rejection = Item::parse_plain(text).event.unwrap_err();
        (rejection.code, rejection.field.into_owned())
    }

    #[test]
    fn a_plain_event_needs_an_id_and_a_metric() {
        let event = plain(r#"{"id":"e1","metric":"tool_call"}"#);
        assert_eq!(event.quantity.to_string(), "1");
        assert_eq!(event.source, DEFAULT_SOURCE);
        assert_eq!(event.occurred_at, None);
        assert_eq!(
            refusal(r#"{"metric":"tool_call"}"#),
            ("usage.missing_id", "id".into())
        );
        assert_eq!(
            refusal(r#"{"id":"","metric":"chat"}"#),
            ("usage.missing_id", "id".into())
        );
        assert_eq!(
            refusal(r#"{"id":7,"metric":"chat"}"#),
            ("usage.invalid_id", "id".into())
        );
        assert_eq!(
            refusal(r#"{"id":"e1"}"#),
            ("usage.unknown_metric", "metric".into())
        );
        for text in ["7", "[]", "\"x\"", "null", "{"] {
            assert_eq!(refusal(text).0, "usage.malformed", "{text}");
        }
    }

    #[test]
    fn quantities_never_pass_through_a_float() {
        for (json, exact) in [
            ("0.1", "0.1"),
            ("\"0.1\"", "0.1"),
            (
                "12345678901234567890.123456789012",
                "12345678901234567890.123456789012",
            ),
            ("9007199254740993", "9007199254740993"),
            ("1e3", "1000"),
            ("null", "1"),
        ] {
            let event = plain(&format!(r#"{{"id":"e","metric":"m","quantity":{json}}}"#));
            assert_eq!(event.quantity.to_string(), exact);
        }
        for (json, code) in [
            ("\"NaN\"", "usage.invalid_quantity"),
            ("true", "usage.invalid_quantity"),
            ("[1]", "usage.invalid_quantity"),
            ("1e20", "usage.invalid_quantity"),
            ("1e999999999", "usage.invalid_quantity"),
            ("0.0000000000001", "usage.quantity_too_precise"),
        ] {
            let text = format!(r#"{{"id":"e","metric":"m","quantity":{json}}}"#);
            assert_eq!(refusal(&text), (code, "quantity".into()), "{json}");
        }
    }

    #[test]
    fn ids_are_bounded_in_bytes() {
        let id = |id: &str| format!(r#"{{"id":"{id}","metric":"m"}}"#);
        assert!(Item::parse_plain(&id(&"x".repeat(255))).event.is_ok());
        assert_eq!(refusal(&id(&"é".repeat(128))).0, "usage.id_too_long");
        assert_eq!(refusal(&id("a\\u0000b")).0, "usage.invalid_id");
    }

    #[test]
    fn times_are_instants_to_the_microsecond() {
        let at = |time: &str| format!(r#"{{"id":"e","metric":"m","occurred_at":{time}}}"#);
        let event = plain(&at("\"2026-11-01T12:00:00.1234567+05:45\""));
        assert_eq!(
            event.occurred_at,
            Some(datetime!(2026-11-01 06:15:00.123456 UTC))
        );
        for time in [
            "\"yesterday\"",
            "1700000000",
            "\"2026-11-01\"",
            "\"2026-11-01T12:00:00\"",
        ] {
            assert_eq!(
                refusal(&at(time)),
                ("usage.invalid_time", "occurred_at".into()),
                "{time}"
            );
        }
    }

    #[test]
    fn unknown_fields_are_named() {
        let text = r#"{"id":"e","metric":"m","quantty":3}"#;
        assert_eq!(refusal(text), ("usage.invalid_field", "quantty".into()));
        let text = r#"{"id":"e","metric":"m","user_id":7}"#;
        assert_eq!(refusal(text), ("usage.invalid_field", "user_id".into()));
        let text = r#"{"id":"e","metric":"m","project_id":"nonsense"}"#;
        assert_eq!(
            refusal(text),
            ("usage.unknown_project", "project_id".into())
        );
    }

    #[test]
    fn a_cloud_event_says_the_same_as_a_plain_one() {
        let cloud = Item::parse_cloud_event(
            r#"{"specversion":"1.0","id":"e1","source":"app","type":"chat","time":"2026-11-01T00:00:00Z",
                "traceparent":"x","data":{"quantity":"2.5","user_id":"u","model":"m","region":"eu"}}"#,
        );
        let plain = plain(
            r#"{"id":"e1","source":"app","metric":"chat","occurred_at":"2026-11-01T01:00:00+01:00",
                "quantity":2.50,"user_id":"u","model":"m","metadata":{"region":"eu"}}"#,
        );
        let cloud = cloud.event.unwrap();
        assert_eq!(cloud.dedup(), plain.dedup());
        assert_eq!(cloud.payload_hash(), plain.payload_hash());
    }

    #[test]
    fn a_cloud_event_keeps_to_its_specification() {
        let refusal = |text: &str| {
            let rejection = Item::parse_cloud_event(text).event.unwrap_err();
            (rejection.code, rejection.field.into_owned())
        };
        let invalid = |field: &str| ("usage.invalid_field", field.to_owned());
        assert_eq!(
            refusal(r#"{"id":"e","source":"s","type":"m"}"#),
            invalid("specversion")
        );
        let text = r#"{"specversion":"1.0","id":"e","type":"m"}"#;
        assert_eq!(refusal(text), invalid("source"));
        let text = r#"{"specversion":"1.0","id":"e","source":"s","type":"m","data":7}"#;
        assert_eq!(refusal(text), invalid("data"));
        let text = r#"{"specversion":"1.0","id":"e","source":"s","type":"m","data":{"model":7}}"#;
        assert_eq!(refusal(text), invalid("data.model"));
    }

    #[test]
    fn source_and_id_cannot_run_into_each_other() {
        let with = |source: &str, id: &str| {
            plain(&format!(
                r#"{{"id":"{id}","source":"{source}","metric":"m"}}"#
            ))
            .dedup()
        };
        assert_ne!(with("ab", "c"), with("a", "bc"));
    }

    #[test]
    fn a_replay_is_told_from_another_fact() {
        let one = plain(r#"{"id":"e","metric":"m","quantity":1}"#);
        let same = plain(r#"{"quantity":"1.00","metric":"m","id":"e"}"#);
        let other = plain(r#"{"id":"e","metric":"m","quantity":2}"#);
        assert_eq!(one.payload_hash(), same.payload_hash());
        assert_eq!(one.dedup(), other.dedup());
        assert_ne!(one.payload_hash(), other.payload_hash());
    }
}
