//! The events of a request, in whichever form they come.

use std::{collections::BTreeMap, future::Future, pin::Pin};

use ::usage::{Item, ingest::MAX_ITEMS};
use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
};
use kernel::FieldError;
use serde_json::value::RawValue;

use crate::{Problem, body::read_bytes};

/// Reads one event as text.
type Read = fn(&str) -> Item;

/// The events of a request body, at most [`MAX_ITEMS`], each read or refused by itself.
pub(super) struct Batch(pub(super) Vec<Item>);

impl FromRequest for Batch {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = Form::of(request);
        let bytes = read_bytes(request, payload);
        Box::pin(async move {
            let bytes = bytes.await?;
            let text = str::from_utf8(&bytes).map_err(|_| malformed("it is not UTF-8"))?;
            form?.items(text).map(Self)
        })
    }
}

/// How events are written, by content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One plain event, an array of them, or `{events: […]}`.
    Json,
    /// Plain events, one a line.
    Lines,
    /// One CloudEvent.
    CloudEvent,
    /// An array of CloudEvents.
    CloudEvents,
}

impl Form {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.map_or("application/json", |value| {
            value.to_str().unwrap_or_default()
        });
        let essence = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            "application/cloudevents+json" => Ok(Self::CloudEvent),
            "application/cloudevents-batch+json" => Ok(Self::CloudEvents),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.unsupported_media_type",
                "Send application/json, application/x-ndjson, application/cloudevents+json or \
                 application/cloudevents-batch+json.",
            )),
        }
    }

    fn items(self, text: &str) -> Result<Vec<Item>, Problem> {
        match self {
            Self::Lines => {
                let lines: Vec<&str> = text
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .collect();
                each(&lines, Item::parse_plain)
            }
            Self::CloudEvents => array(parse(text)?, "body", Item::parse_cloud_event),
            Self::CloudEvent => one(parse(text)?, Item::parse_cloud_event),
            Self::Json => {
                let body: &RawValue = parse(text)?;
                if body.get().starts_with('[') {
                    return array(body, "body", Item::parse_plain);
                }
                match envelope(body)? {
                    Some(events) => array(events, "events", Item::parse_plain),
                    None => one(body, Item::parse_plain),
                }
            }
        }
    }
}

fn parse(text: &str) -> Result<&RawValue, Problem> {
    serde_json::from_str(text)
        .map_err(|error| malformed(&format!("line {}, column {}", error.line(), error.column())))
}

/// The array in `{events: […]}`, when the body is that.
fn envelope(body: &RawValue) -> Result<Option<&RawValue>, Problem> {
    let Ok(mut fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(body.get()) else {
        return Ok(None);
    };
    let Some(events) = fields.remove("events") else {
        return Ok(None);
    };
    match fields.into_keys().next() {
        None => Ok(Some(events)),
        Some(name) => {
            Err(FieldError::new(name, "unknown_field", "must not be beside events").into())
        }
    }
}

fn one(event: &RawValue, read: Read) -> Result<Vec<Item>, Problem> {
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

fn array(events: &RawValue, field: &'static str, read: Read) -> Result<Vec<Item>, Problem> {
    let events: Vec<&RawValue> = serde_json::from_str(events.get())
        .map_err(|_| FieldError::new(field, "wrong_type", "must be an array of events"))?;
    let texts: Vec<&str> = events.iter().map(|event| event.get()).collect();
    each(&texts, read)
}

fn each(texts: &[&str], read: Read) -> Result<Vec<Item>, Problem> {
    if texts.len() > MAX_ITEMS {
        return Err(too_many(texts.len()));
    }
    Ok(texts.iter().map(|text| read(text)).collect())
}

/// 413 naming the limit.
pub(super) fn too_many(items: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "usage.too_many_events",
        format!("A request holds at most {MAX_ITEMS} events; this one has {items}."),
    )
    .with("max_events", MAX_ITEMS)
}

fn malformed(why: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "request.malformed_json",
        format!("The body is not JSON: {why}."),
    )
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
        let code = |form: Form, text: &str| form.items(text).err().map(|problem| problem.code());
        assert_eq!(code(Form::Json, "{"), Some("request.malformed_json"));
        assert_eq!(code(Form::Json, ""), Some("request.malformed_json"));
        assert_eq!(code(Form::Json, "7"), Some("request.invalid"));
        assert_eq!(code(Form::Json, r#"{"events":7}"#), Some("request.invalid"));
        assert_eq!(
            code(Form::Json, r#"{"events":[],"x":1}"#),
            Some("request.invalid")
        );
        assert_eq!(code(Form::CloudEvents, "{}"), Some("request.invalid"));
        let many = format!("[{}]", vec!["{}"; MAX_ITEMS + 1].join(","));
        assert_eq!(code(Form::Json, &many), Some("usage.too_many_events"));
    }
}
