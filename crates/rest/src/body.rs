//! Reading what a client sends: JSON bodies, query strings, ids in paths.

use std::{fmt, future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
    web::{self, Bytes, Data},
};
use kernel::FieldError;
use serde::{
    Deserializer,
    de::{self, DeserializeOwned, Error as _, IgnoredAny, Unexpected, Visitor},
};
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::{Problem, Services, packing::Packing};

/// A JSON body. DTOs deny unknown fields, so a misspelt one is an answer and not a silence.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json = is_json(request);
        let bytes = read_bytes(request, payload);
        Box::pin(async move {
            let bytes = bytes.await?;
            if json {
                parse_json(&bytes).map(Self)
            } else {
                Err(no_json())
            }
        })
    }
}

/// A JSON body that may be left out: nothing, and null, are read as an empty object.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for OptionalBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json = is_json(request);
        let bytes = read_bytes(request, payload);
        Box::pin(async move {
            let bytes = bytes.await?;
            match (bytes.is_empty() || bytes.trim_ascii() == b"null", json) {
                (true, _) => parse_json(b"{}").map(Self),
                (false, true) => parse_json(&bytes).map(Self),
                (false, false) => Err(no_json()),
            }
        })
    }
}

fn no_json() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "request.unsupported_media_type",
        "Send the body as application/json.",
    )
}

fn is_json(request: &HttpRequest) -> bool {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_none_or(|kind| {
        let essence = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    })
}

/// A body that was read before its handler, and left here for it.
struct AlreadyRead(Bytes);

/// Leaves a body that is read and unpacked for the next who asks.
pub(crate) fn put_back(request: &HttpRequest, bytes: Bytes) {
    request.extensions_mut().insert(AlreadyRead(bytes));
}

/// The whole body, unpacked, or a problem that says what is wrong with it: too large, or cut off.
pub(crate) fn read_bytes(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let already = request.extensions_mut().remove::<AlreadyRead>();
    let services = request.app_data::<Data<Services>>();
    let limit = services.map_or(0, |services| services.settings.max_body_bytes);
    let packing = Packing::of(request);
    let payload = web::Payload::from_request(request, payload);
    async move {
        if let Some(AlreadyRead(bytes)) = already {
            return Ok(bytes);
        }
        let packing = packing?;
        let packed = payload.await.map_err(|_| unreadable())?;
        let packed = packed.to_bytes_limited(limit).await;
        let packed = packed.map_err(|_| too_large(limit))?;
        let packed = packed.map_err(|_| unreadable())?;
        let bytes = packing.unpack(packed, limit).await;
        bytes
            .map_err(|_| unreadable())?
            .ok_or_else(|| too_large(limit))
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "request.too_large",
        format!("The body must be at most {limit} bytes."),
    )
    .with("max_bytes", limit)
}

fn unreadable() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "request.unreadable_body",
        "The body could not be read to its end.",
    )
}

/// Parses JSON: 400 when it is none, 422 naming the field when a value does not fit.
///
/// # Errors
/// `request.malformed_json`, `request.invalid`.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would read an array as the fields of a struct, one by one.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => FieldError::new("body", "wrong_type", "must be a JSON object").into(),
            Err(error) => malformed(&error),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            misfit("body", &path, &inner.to_string())
        } else {
            malformed(&inner)
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Reads a whole number. `3.0` is one in JSON, where a number has no other type: some clients write it so.
///
/// # Errors
/// For what is no number, or no whole one.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_i64(Whole)
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
        // The shortest text of a whole float is its digits alone, exactly.
        let digits = number.to_string().parse();
        digits.map_err(|_| E::invalid_value(Unexpected::Float(number), &self))
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "request.malformed_json",
        format!(
            "The body is not JSON: line {}, column {}.",
            error.line(),
            error.column()
        ),
    )
}

/// serde says in words which rule of a type is broken; clients want the field and a code.
fn misfit(whole: &str, path: &str, message: &str) -> Problem {
    let message = message.split(" at line ").next().unwrap_or(message);
    let named = message.split('`').nth(1).unwrap_or_default();
    let (code, leaf) = if message.starts_with("unknown field") {
        ("unknown_field", named)
    } else if message.starts_with("missing field") {
        ("required", named)
    } else if message.starts_with("unknown variant") {
        ("unknown_value", "")
    } else {
        ("wrong_type", "")
    };
    let path = if path == "." { "" } else { path };
    let field = match (path, leaf) {
        ("", "") => whole.to_owned(),
        ("", leaf) => leaf.to_owned(),
        (path, leaf) if leaf.is_empty() || path == leaf || path.ends_with(&format!(".{leaf}")) => {
            path.to_owned()
        }
        (path, leaf) => format!("{path}.{leaf}"),
    };
    FieldError::new(field, code, message.to_owned()).into()
}

/// A query string.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        let deserializer = serde_urlencoded::Deserializer::new(pairs);
        let parsed = serde_path_to_error::deserialize(deserializer)
            .map(Self)
            .map_err(|error| {
                let path = error.path().to_string();
                misfit("query", &path, &error.into_inner().to_string())
            });
        std::future::ready(parsed)
    }
}

/// The first id in the path. What is no UUID names nothing, and says so.
#[derive(Debug, Clone, Copy)]
pub struct PathId<T>(pub T);

impl<T: From<Uuid>> FromRequest for PathId<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (name, value) = request.match_info().iter().next().unwrap_or(("id", ""));
        let parsed = Uuid::try_parse(value)
            .map(|id| Self(id.into()))
            .map_err(|_| FieldError::new(name.to_owned(), "invalid_uuid", "must be a UUID").into());
        std::future::ready(parsed)
    }
}

/// Reads `If-Match`: the version that a change is meant for. `*` and nothing mean any.
///
/// # Errors
/// 412 when it is no ETag that we gave.
pub fn if_match(request: &HttpRequest) -> Result<Option<i64>, Problem> {
    let Some(value) = request.headers().get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.trim_start_matches("W/").trim_matches('"').parse();
    version.map(Some).map_err(|_| Problem::stale())
}

/// The ETag of a version.
#[must_use]
pub fn etag(version: i64) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{version}\""))
}

/// An instant that a client may leave out, as RFC 3339.
///
/// # Errors
/// The deserializer's, and when it is in the year 10000 of UTC.
pub(crate) fn instant<'de, D>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error>
where
    D: Deserializer<'de>,
{
    let at = time::serde::rfc3339::option::deserialize(deserializer)?;
    let in_utc = |at| in_utc(at).ok_or_else(|| D::Error::custom("must be before the year 10000"));
    at.map(in_utc).transpose()
}

/// The instant, with UTC's offset. West of Greenwich the last hours of 9999 are of a year that RFC 3339 and stores cannot write.
pub(crate) fn in_utc(at: OffsetDateTime) -> Option<OffsetDateTime> {
    at.checked_to_offset(UtcOffset::UTC)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use time::macros::datetime;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[serde(rename = "name")]
        _name: String,
        #[serde(default, rename = "size")]
        _size: u32,
        #[serde(default, rename = "count", deserialize_with = "whole")]
        _count: i64,
    }

    fn told(body: &str) -> (u16, String) {
        let problem = parse_json::<Thing>(body.as_bytes()).unwrap_err();
        let told = problem
            .first_error()
            .unwrap_or_else(|| problem.code().to_owned());
        (
            actix_web::ResponseError::status_code(&problem).as_u16(),
            told,
        )
    }

    #[test]
    fn bad_bodies_name_the_field_and_the_rule() {
        assert_eq!(told("{"), (400, "request.malformed_json".to_owned()));
        assert_eq!(
            told(r#"{"name":"a"} x"#),
            (400, "request.malformed_json".to_owned())
        );
        assert_eq!(told("{}"), (422, "name:required".to_owned()));
        assert_eq!(
            told(r#"{"name":"a","nmae":1}"#),
            (422, "nmae:unknown_field".to_owned())
        );
        assert_eq!(told(r#"{"name":7}"#), (422, "name:wrong_type".to_owned()));
        assert_eq!(
            told(r#"{"name":"a","size":-1}"#),
            (422, "size:wrong_type".to_owned())
        );
        assert_eq!(told("[]"), (422, "body:wrong_type".to_owned()));
    }

    #[test]
    fn an_instant_is_one_that_a_store_can_hold() {
        let read = |json: &str| instant(&mut serde_json::Deserializer::from_str(json)).ok();
        assert_eq!(read("null"), Some(None));
        assert_eq!(
            read(r#""2026-11-01T00:00:00+05:45""#),
            Some(Some(datetime!(2026-10-31 18:15 UTC)))
        );
        assert_eq!(
            read(r#""9999-12-31T23:59:59Z""#),
            Some(Some(datetime!(9999-12-31 23:59:59 UTC)))
        );
        assert_eq!(read(r#""9999-12-31T23:59:59-12:00""#), None);
        assert_eq!(read(r#""yesterday""#), None);
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let read = |count: &str| {
            parse_json::<Thing>(format!(r#"{{"name":"a","count":{count}}}"#).as_bytes())
                .map(|thing| thing._count)
                .map_err(|problem| problem.first_error())
        };
        for (text, number) in [
            ("3", 3),
            ("3.0", 3),
            ("-0.0", 0),
            ("3e2", 300),
            ("1e15", 1_000_000_000_000_000),
        ] {
            assert_eq!(read(text).unwrap(), number, "{text}");
        }
        for text in [
            "3.5",
            "1e300",
            "9223372036854775808",
            "\"3\"",
            "null",
            "true",
        ] {
            let refused = read(text).unwrap_err();
            assert_eq!(refused.as_deref(), Some("count:wrong_type"), "{text}");
        }
    }
}
