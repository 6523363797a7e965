//! `POST /v1/events`: usage comes in.

use ::usage::{IngestError, Options, Outcome, Receipt, ingest::ItemResult};
use actix_web::{
    http::{StatusCode, header},
    post,
    web::{Data, Json},
};
use kernel::FieldError;
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{Object, OneOfBuilder, Schema, Type},
};

use super::batch::{Batch, too_many};
use crate::{Caller, Problem, Services, body::Params};

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Denied(error) => error.into(),
            IngestError::TooMany(items) => too_many(items),
            IngestError::Strict(failures) => Self::invalid(
                failures
                    .into_iter()
                    .map(|(place, rejection)| {
                        let field = match rejection.field.as_ref() {
                            "" => format!("events[{place}]"),
                            field => format!("events[{place}].{field}"),
                        };
                        FieldError::new(field, rejection.code, rejection.message)
                    })
                    .collect(),
            ),
            IngestError::Busy => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "usage.busy",
                "Too many events wait to be written; send the same request again a moment later.",
            )
            .header(header::RETRY_AFTER, 1),
            IngestError::Store(error) => error.into(),
        }
    }
}

/// How events are taken.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct IngestQuery {
    /// All or nothing: an event that is neither accepted nor a duplicate makes the answer 422, and nothing is written.
    #[serde(default)]
    strict: bool,
    /// Events may be older than 35 days. Needs `usage.backfill`.
    #[serde(default)]
    backfill: bool,
}

/// An event in the plain form. CloudEvents 1.0 are taken too.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UsageEvent)]
struct EventBody {
    /// The sender's id for the event: the same when it is sent again. At most 255 bytes.
    id: String,
    /// Key of a meter.
    metric: String,
    /// A number or a decimal string, at most 12 digits behind the point; 1 when not given.
    #[schema(schema_with = decimal, required = false)]
    quantity: Option<String>,
    /// When it happened; when it is received, if not given.
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
    /// Who made the id; `plinth` when not given.
    source: Option<String>,
    /// The sender's own name for a user.
    user_id: Option<String>,
    /// A project of the tenant.
    #[schema(format = Uuid)]
    project_id: Option<String>,
    /// The model that was used.
    model: Option<String>,
    /// Anything else, at most 8 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<String>,
}

/// A decimal as clients write it: no float, so that a string loses nothing either.
fn decimal() -> Schema {
    let text = Object::with_type(Type::String);
    let number = Object::with_type(Type::Number);
    OneOfBuilder::new().item(text).item(number).into()
}

/// One event or many.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body for the contract; events are read one by one, without it"
)]
#[schema(as = UsageEvents)]
#[serde(untagged)]
enum EventsBody {
    /// One event.
    One(EventBody),
    /// At most 1,000.
    Many(Vec<EventBody>),
    /// At most 1,000, in an object.
    Wrapped(WrappedBody),
}

/// Events in an object.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WrappedUsageEvents)]
struct WrappedBody {
    /// The events, at most 1,000.
    events: Vec<EventBody>,
}

/// What became of each event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageReceipt)]
struct ReceiptBody {
    /// Events that were written, and count.
    accepted: usize,
    /// Events that were there before.
    duplicates: usize,
    /// Events whose id stands for another event. That one stays.
    conflicts: usize,
    /// Events that break a rule.
    rejected: usize,
    /// In the order of the request.
    results: Vec<ResultBody>,
}

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageResult)]
struct ResultBody {
    /// The event's id; null when it has none that can be read.
    id: Option<String>,
    /// `accepted`, `duplicate`, `conflict` or `rejected`.
    status: &'static str,
    /// The rule that a rejected event breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The field that breaks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The rule in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

impl From<Receipt> for ReceiptBody {
    fn from(receipt: Receipt) -> Self {
        let [accepted, duplicates, conflicts, rejected] = receipt.counts();
        let results = receipt.results.into_iter().map(ResultBody::from).collect();
        Self {
            accepted,
            duplicates,
            conflicts,
            rejected,
            results,
        }
    }
}

impl From<ItemResult> for ResultBody {
    fn from(result: ItemResult) -> Self {
        let body = Self {
            id: result.id,
            status: result.outcome.status().as_str(),
            reason: None,
            field: None,
            message: None,
        };
        match result.outcome {
            Outcome::Accepted | Outcome::Duplicate => body,
            Outcome::Conflict => Self {
                reason: Some("usage.conflict"),
                ..body
            },
            Outcome::Rejected(rejection) => Self {
                reason: Some(rejection.code),
                field: Some(rejection.field.into_owned()).filter(|field| !field.is_empty()),
                message: Some(rejection.message),
                ..body
            },
        }
    }
}

/// Takes events in: what is answered as accepted is committed, and counts once however often it is sent. Needs `usage.write`.
#[utoipa::path(
    tag = "usage",
    params(IngestQuery),
    request_body(content(
        (EventsBody = "application/json"),
        (EventBody = "application/x-ndjson"),
        (Object = "application/cloudevents+json"),
        (Vec<Object> = "application/cloudevents-batch+json"),
    )),
    responses(
        (status = 200, description = "What became of each event", body = ReceiptBody),
        (status = 413, description = "More than 1,000 events, or more than 1 MiB"),
        (status = 429, description = "Too many events wait to be written. `Retry-After` says when to come back"),
        (status = 422, description = "A strict request with an event that was not taken")
    )
)]
#[post("/v1/events")]
pub(crate) async fn ingest(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<IngestQuery>,
    Batch(items): Batch,
) -> Result<Json<ReceiptBody>, Problem> {
    let options = Options {
        backfill: query.backfill,
        strict: query.strict,
    };
    let receipt = services.usage.ingest(&caller, items, options).await?;
    Ok(Json(receipt.into()))
}
