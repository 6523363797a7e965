//! `GET /v1/events` and `GET /v1/events/{id}`: events as they were sent.

use std::future::{Ready, ready};

use ::usage::{EventsRequest, FindEventError, StoredEvent};
use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    get,
    web::{Data, Json, Path},
};
use kernel::{FieldError, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::question::{instant, number, words};
use crate::{Caller, Problem, Services, body::Params, openapi::texts::ShortText, page::ListBody};

impl From<FindEventError> for Problem {
    fn from(error: FindEventError) -> Self {
        match error {
            FindEventError::Denied(error) => error.into(),
            FindEventError::NotFound => Self::not_found("usage.event_not_found", "event"),
            FindEventError::Store(error) => error.into(),
        }
    }
}

/// Which events are wanted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the parameters for the contract; `Wanted` reads them"
)]
struct EventsParams {
    /// Key of a meter; may be there more than once. All meters when not given.
    metric: Option<Vec<String>>,
    /// Happened at or after this instant.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Happened before this instant.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Who made the id.
    #[param(value_type = Option<ShortText>)]
    source: Option<String>,
    /// The sender's own name for a user.
    #[param(value_type = Option<ShortText>)]
    user_id: Option<String>,
    /// A project of the tenant.
    #[param(format = Uuid)]
    project_id: Option<String>,
    /// Rows in the page at most, 1 to 100; 50 when not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-fA-F]{2})*$")]
    cursor: Option<String>,
}

/// The query string, whose `metric` may be there more than once.
struct Wanted {
    request: EventsRequest,
    page: PageRequest,
}

impl FromRequest for Wanted {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::parse(request.query_string()).map_err(Problem::from))
    }
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, FieldError> {
        let mut request = EventsRequest::default();
        let (mut limit, mut cursor) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "metric" => request.metrics.extend(words(&value)),
                "from" => request.from = Some(instant("from", &value)?),
                "to" => request.to = Some(instant("to", &value)?),
                "source" => request.source = Some(value.into_owned()),
                "user_id" => request.user_id = Some(value.into_owned()),
                "project_id" => request.project_id = Some(uuid("project_id", &value)?.into()),
                "limit" => limit = Some(number(&value)?),
                "cursor" => cursor = Some(value.into_owned()),
                _ => {
                    let name = name.into_owned();
                    return Err(FieldError::new(name, "unknown_field", "is not a parameter"));
                }
            }
        }
        request.metrics.sort();
        request.metrics.dedup();
        Ok(Self {
            request,
            page: PageRequest::parse(limit, cursor.as_deref())?,
        })
    }
}

fn uuid(field: &'static str, value: &str) -> Result<Uuid, FieldError> {
    Uuid::try_parse(value).map_err(|_| FieldError::new(field, "invalid_uuid", "must be a UUID"))
}

/// Which of several events with one id.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SourceQuery {
    /// Who made the id; `plinth`, the source of plain events, when not given.
    #[param(value_type = Option<ShortText>)]
    source: Option<String>,
}

/// An event as it was sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredUsageEvent)]
struct StoredEventBody {
    /// The sender's id for the event.
    id: String,
    /// Who made the id.
    source: String,
    /// Key of the meter.
    metric: String,
    /// How much: a decimal string.
    quantity: String,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    occurred_at: OffsetDateTime,
    /// When it was received.
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    /// The project.
    project_id: Option<Uuid>,
    /// The sender's own name for a user.
    user_id: Option<String>,
    /// The model.
    model: Option<String>,
    /// Whatever else the sender said.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
}

impl From<StoredEvent> for StoredEventBody {
    fn from(event: StoredEvent) -> Self {
        Self {
            id: event.id,
            source: event.source,
            metric: event.metric,
            quantity: event.quantity.to_string(),
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            project_id: event.project_id.map(Into::into),
            user_id: event.user_id,
            model: event.model,
            // A store holds JSON. Its text goes out as it is: numbers in it stay exact.
            metadata: event
                .metadata
                .and_then(|text| RawValue::from_string(text).ok()),
        }
    }
}

/// Events as they were sent, the latest to happen first. Needs `usage.read`.
///
/// A page can be short, or empty, and still have a `next_cursor`: the list is over when that is null. Events that come in meanwhile move
/// no other to another page.
#[utoipa::path(
    tag = "usage",
    params(EventsParams),
    responses((status = 200, description = "A page of events", body = ListBody<StoredEventBody>))
)]
#[get("/v1/events")]
pub(super) async fn list(
    services: Data<Services>,
    caller: Caller,
    Wanted { request, page }: Wanted,
) -> Result<Json<ListBody<StoredEventBody>>, Problem> {
    let events = services.usage.events(&caller, request, page).await?;
    Ok(Json(ListBody::of(events, StoredEventBody::from)))
}

/// The event that a source gave this id. When the id was used again after 35 days, the last one. Needs `usage.read`.
#[utoipa::path(
    tag = "usage",
    params(("id" = ShortText, Path, description = "The sender's id for the event"), SourceQuery),
    responses(
        (status = 200, description = "The event", body = StoredEventBody),
        (status = 404, description = "There is no such event, or it is not kept any more")
    )
)]
#[get("/v1/events/{id}")]
pub(super) async fn read(
    services: Data<Services>,
    caller: Caller,
    id: Path<String>,
    Params(query): Params<SourceQuery>,
) -> Result<Json<StoredEventBody>, Problem> {
    let event = services
        .usage
        .event(&caller, id.into_inner(), query.source)
        .await?;
    Ok(Json(event.into()))
}
