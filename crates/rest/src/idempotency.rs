//! `Idempotency-Key` on every POST: the first request does the work, the others get its answer.
//!
//! A key belongs to a principal and lives for 24 hours. The row that reserves it is marked as carried out by the transaction that does
//! the work, so a crash between commit and answer can neither double the work nor hide that it was done.

use actix_web::{
    Error, HttpMessage, HttpResponse,
    body::{self, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use app::idempotency::{Answer, Idempotency, Outcome, Reservation};
use kernel::CommandRef;
use serde_json::Value;

use crate::{
    Caller, Problem, Services,
    body::{put_back, read_bytes},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Names top-level fields of an answer that are shown once: a replay has null in their place. Put into the response's extensions.
#[derive(Debug, Clone, Copy)]
pub struct ShownOnce(pub &'static [&'static str]);

/// Wraps every route; acts on POST with a key.
///
/// # Errors
/// None of its own: refusals are answers, with the codes `idempotency.key_invalid`, `idempotency.key_reused`,
/// `idempotency.in_progress` and `idempotency.outcome_unknown`.
pub async fn layer(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let key = request.headers().get(KEY).cloned();
    let services = request.app_data::<Data<Services>>().cloned();
    let (Some(key), Some(services), true) = (key, services, request.method() == Method::POST)
    else {
        return next
            .call(request)
            .await
            .map(ServiceResponse::map_into_boxed_body);
    };
    let command = match reserve(&mut request, &key, &services.idempotency).await {
        Ok(Reservation::First(command)) => command,
        Ok(Reservation::Seen(outcome)) => {
            return Ok(match seen(outcome) {
                Ok(answer) => request.into_response(answer),
                Err(problem) => request.error_response(problem),
            });
        }
        Err(problem) => return Ok(request.error_response(problem)),
    };
    request.extensions_mut().insert(command.clone());
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(keep(response, &command, &services.idempotency).await)
}

/// Reserves the key. The body is read for its digest, and put back for the handler.
async fn reserve(
    request: &mut ServiceRequest,
    key: &HeaderValue,
    idempotency: &Idempotency,
) -> Result<Reservation, Problem> {
    let key = parse_key(key)?;
    let (http, payload) = request.parts_mut();
    let principal = Caller::or_anonymous(http).await?;
    let bytes = read_bytes(http, payload).await?;
    let target = format!("{} {}", http.method(), http.uri());
    let reserved = idempotency
        .reserve(&principal, key, &target, &bytes)
        .await?;
    put_back(http, bytes);
    Ok(reserved)
}

/// Keeps the answer for replays, or frees the key when nothing was done.
async fn keep(
    response: ServiceResponse<BoxBody>,
    command: &CommandRef,
    idempotency: &Idempotency,
) -> ServiceResponse<BoxBody> {
    let (response, kept) = if keeps(response.status()) {
        let (response, answer) = capture(response).await;
        (response, idempotency.complete(command, answer).await)
    } else {
        (response, idempotency.release(command).await)
    };
    if let Err(error) = kept {
        // What was done is done, and this is its answer; only a replay will not have it.
        tracing::warn!(%error, "an answer was not kept for replays");
    }
    response
}

fn parse_key(value: &HeaderValue) -> Result<String, Problem> {
    let text = value.to_str().unwrap_or_default();
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=255).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "idempotency.key_invalid",
        "Idempotency-Key must be 1 to 255 visible ASCII characters.",
    ))
}

/// 409: another request under the same key is doing the work.
pub(crate) fn in_progress() -> Problem {
    Problem::conflict(
        "idempotency.in_progress",
        "The first request with this Idempotency-Key is still running.",
    )
    .header(header::RETRY_AFTER, 1)
}

/// Answers that are worth keeping: what was done, and what was refused for good. The rest may be tried again with the same key.
fn keeps(status: StatusCode) -> bool {
    !status.is_server_error()
        && !matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT
        )
}

fn seen(outcome: Outcome) -> Result<HttpResponse, Problem> {
    match outcome {
        Outcome::Answered(answer) => {
            let status = StatusCode::from_u16(answer.status).map_err(Problem::unexpected)?;
            let mut response = HttpResponse::build(status);
            for (name, value) in answer.headers {
                response.insert_header((name, value));
            }
            response.insert_header((REPLAYED, "true"));
            Ok(response.body(answer.body))
        }
        Outcome::OtherRequest => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency.key_reused",
            "This Idempotency-Key was used for another request.",
        )),
        Outcome::Running => Err(in_progress()),
        Outcome::CommittedUnanswered => Err(Problem::conflict(
            "idempotency.outcome_unknown",
            "The request was carried out, but its answer was lost. Read the resource to see the result.",
        )),
    }
}

/// Takes the answer apart, keeps what a replay needs, and puts it together again.
async fn capture(response: ServiceResponse<BoxBody>) -> (ServiceResponse<BoxBody>, Answer) {
    let once = response.response().extensions().get::<ShownOnce>().copied();
    // Problems get their request id from the outermost layer, which needs the error itself.
    let problem = response
        .response()
        .error()
        .and_then(|error| error.as_error::<Problem>().cloned());
    let (http, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let bytes = body::to_bytes(body).await.unwrap_or_default();
    let kept = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];
    let headers = kept.iter().filter_map(|name| {
        let value = head.headers().get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let answer = Answer {
        status: head.status().as_u16(),
        headers: headers.collect(),
        body: once.map_or_else(|| bytes.to_vec(), |once| without(&bytes, once.0)),
    };
    let response = match problem {
        Some(problem) => HttpResponse::from_error(problem),
        None => head.set_body(BoxBody::new(bytes)),
    };
    (ServiceResponse::new(http, response), answer)
}

fn without(body: &[u8], secrets: &[&str]) -> Vec<u8> {
    let Ok(Value::Object(mut object)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    for secret in secrets {
        object.insert((*secret).to_owned(), Value::Null);
    }
    serde_json::to_vec(&object).unwrap_or_default()
}
