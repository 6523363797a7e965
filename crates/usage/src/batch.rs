//! The events of one text, in whichever form they are written.

use std::collections::BTreeMap;

use kernel::FieldError;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Item, ingest::MAX_ITEMS};

/// Reads one event.
type Read = fn(&str) -> Item;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One plain event, an array of them, or `{events: […]}`.
    Json,
    /// Plain events, one a line.
    Lines,
    /// One CloudEvent.
    CloudEvent,
    /// An array of CloudEvents.
    CloudEvents,
}

/// Why a text holds no events that could be taken or refused one by one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// It is not JSON.
    #[error("it is not JSON: line {line}, column {column}")]
    Malformed {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where in the line reading stopped, from 0.
        column: usize,
    },
    /// It is JSON, and no list of events.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// More events than [`MAX_ITEMS`].
    #[error("a request holds at most {MAX_ITEMS} events, and this one has {0}")]
    TooMany(usize),
}

impl Form {
    /// Reads every event of `text`, each well-formed or refused by itself, in order, at most [`MAX_ITEMS`].
    ///
    /// # Errors
    /// See [`BatchError`].
    pub fn items(self, text: &str) -> Result<Vec<Item>, BatchError> {
        match self {
            Self::Lines => {
                let lines = text.lines().map(str::trim);
                each(lines.filter(|line| !line.is_empty()), Item::parse_plain)
            }
            Self::CloudEvents if is_array(text) => each_of(text, Item::parse_cloud_event),
            Self::CloudEvents => array(parse(text)?, "body", Item::parse_cloud_event),
            Self::CloudEvent => one(parse(text)?, Item::parse_cloud_event),
            Self::Json if is_array(text) => each_of(text, Item::parse_plain),
            Self::Json => {
                let body: &RawValue = parse(text)?;
                match envelope(body)? {
                    Some(events) => array(events, "events", Item::parse_plain),
                    None => one(body, Item::parse_plain),
                }
            }
        }
    }
}

/// Whether an array begins here: then nobody needs to find out where it ends first.
fn is_array(text: &str) -> bool {
    text.trim_ascii_start().starts_with('[')
}

fn each_of(array: &str, read: Read) -> Result<Vec<Item>, BatchError> {
    let events: Vec<&RawValue> = parse(array)?;
    each(events.into_iter().map(RawValue::get), read)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, BatchError> {
    serde_json::from_str(text).map_err(|error| BatchError::Malformed {
        line: error.line(),
        column: error.column(),
    })
}

/// The array in `{events: […]}`, when the body is that.
fn envelope(body: &RawValue) -> Result<Option<&RawValue>, FieldError> {
    let Ok(mut fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(body.get()) else {
        return Ok(None);
    };
    let Some(events) = fields.remove("events") else {
        return Ok(None);
    };
    match fields.into_keys().next() {
        None => Ok(Some(events)),
        Some(name) => Err(FieldError::new(
            name,
            "unknown_field",
            "must not be beside events",
        )),
    }
}

fn one(event: &RawValue, read: Read) -> Result<Vec<Item>, BatchError> {
    if event.get().starts_with('{') {
        return Ok(vec![read(event.get())]);
    }
    Err(FieldError::new(
        "body",
        "wrong_type",
        "must be an event or an array of events",
    )
    .into())
}

fn array(events: &RawValue, field: &'static str, read: Read) -> Result<Vec<Item>, BatchError> {
    let events: Vec<&RawValue> = serde_json::from_str(events.get())
        .map_err(|_| FieldError::new(field, "wrong_type", "must be an array of events"))?;
    each(events.into_iter().map(RawValue::get), read)
}

fn each<'a>(
    texts: impl Iterator<Item = &'a str> + Clone,
    read: Read,
) -> Result<Vec<Item>, BatchError> {
    let count = texts.clone().count();
    if count > MAX_ITEMS {
        return Err(BatchError::TooMany(count));
    }
    Ok(texts.map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(form: Form, text: &str) -> Vec<Option<String>> {
        form.items(text)
            .unwrap()
            .into_iter()
            .map(|item| item.id)
            .collect()
    }

    fn some(id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    #[test]
    fn one_many_and_wrapped_events_are_told_apart() {
        assert_eq!(ids(Form::Json, r#" {"id":"a","metric":"m"} "#), [some("a")]);
        assert_eq!(
            ids(Form::Json, r#"[{"id":"a"},7,{"id":"b"}]"#),
            [some("a"), None, some("b")]
        );
        assert_eq!(ids(Form::Json, r#"{"events":[{"id":"a"}]}"#), [some("a")]);
        assert_eq!(ids(Form::Json, "[]"), []);
    }

    #[test]
    fn a_bad_line_does_not_spoil_the_others() {
        let text = "{\"id\":\"a\",\"metric\":\"m\"}\r\n\nnonsense\n{\"id\":\"b\"}";
        assert_eq!(ids(Form::Lines, text), [some("a"), None, some("b")]);
    }

    #[test]
    fn what_is_no_list_of_events_is_refused_as_a_whole() {
        let refusal = |form: Form, text: &str| form.items(text).unwrap_err();
        for text in ["{", ""] {
            assert!(matches!(
                refusal(Form::Json, text),
                BatchError::Malformed { line: 0 | 1, .. }
            ));
        }
        for text in ["7", r#"{"events":7}"#, r#"{"events":[],"x":1}"#] {
            assert!(matches!(refusal(Form::Json, text), BatchError::Invalid(_)));
        }
        assert!(matches!(
            refusal(Form::CloudEvents, "{}"),
            BatchError::Invalid(_)
        ));
        let many = format!("[{}]", vec!["{}"; MAX_ITEMS + 1].join(","));
        assert_eq!(
            refusal(Form::Json, &many),
            BatchError::TooMany(MAX_ITEMS + 1)
        );
    }
}
