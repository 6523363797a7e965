//! The events of a request: how its content type says they are written, and what is answered when they cannot be read.

use std::{future::Future, pin::Pin};

use ::usage::{BatchError, Form, Item, ingest::MAX_ITEMS};
use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
};

use crate::{Problem, body::read_bytes};

/// The events of a request body, at most [`MAX_ITEMS`], each read or refused by itself.
pub(super) struct Batch(pub(super) Vec<Item>);

impl FromRequest for Batch {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = form_of(request);
        let bytes = read_bytes(request, payload);
        Box::pin(async move {
            let bytes = bytes.await?;
            let text = str::from_utf8(&bytes).map_err(|_| malformed("it is not UTF-8"))?;
            Ok(Self(form?.items(text)?))
        })
    }
}

fn form_of(request: &HttpRequest) -> Result<Form, Problem> {
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
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Form::Lines),
        "application/cloudevents+json" => Ok(Form::CloudEvent),
        "application/cloudevents-batch+json" => Ok(Form::CloudEvents),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "request.unsupported_media_type",
            "Send application/json, application/x-ndjson, application/cloudevents+json or \
             application/cloudevents-batch+json.",
        )),
    }
}

impl From<BatchError> for Problem {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Malformed { line, column } => {
                malformed(&format!("line {line}, column {column}"))
            }
            BatchError::Invalid(error) => error.into(),
            BatchError::TooMany(items) => too_many(items),
        }
    }
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

    #[test]
    fn what_is_no_list_of_events_has_a_code() {
        let code = |text: &str| {
            Form::Json
                .items(text)
                .err()
                .map(|error| Problem::from(error).code())
        };
        assert_eq!(code("{"), Some("request.malformed_json"));
        assert_eq!(code("7"), Some("request.invalid"));
        let many = format!("[{}]", vec!["{}"; MAX_ITEMS + 1].join(","));
        assert_eq!(code(&many), Some("usage.too_many_events"));
    }
}
