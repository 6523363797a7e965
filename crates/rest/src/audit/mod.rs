//! The audit trail.

use ::audit::{AuditEvent, EventFilter, ReadTrailError};
use actix_web::{
    get,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::{
    Caller, Problem, Services,
    body::Params,
    openapi::texts::ShortText,
    page::{ListBody, PageQuery},
};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(list);
}

impl From<ReadTrailError> for Problem {
    fn from(error: ReadTrailError) -> Self {
        match error {
            ReadTrailError::Denied(error) => error.into(),
            ReadTrailError::Invalid(error) => error.into(),
            ReadTrailError::Store(error) => error.into(),
        }
    }
}

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// The action; a prefix when it ends in `*`.
    #[param(value_type = Option<ShortText>)]
    action: Option<String>,
    /// Id of the actor.
    #[param(value_type = Option<ShortText>)]
    actor: Option<String>,
    /// Id of the target.
    #[param(value_type = Option<ShortText>)]
    target: Option<String>,
    /// At or after this instant.
    #[serde(default, deserialize_with = "crate::body::instant")]
    from: Option<OffsetDateTime>,
    /// Before this instant.
    #[serde(default, deserialize_with = "crate::body::instant")]
    to: Option<OffsetDateTime>,
    /// Rows in the page, 1 to 100; 50 when not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-fA-F]{2})*$")]
    cursor: Option<String>,
}

/// Somebody, or something, in an event.
#[derive(Debug, Serialize, ToSchema)]
struct PartyBody {
    /// What it is.
    r#type: String,
    /// Its id.
    id: String,
    /// Its name at the time.
    name: String,
}

/// An event of the trail.
#[derive(Debug, Serialize, ToSchema)]
struct AuditEventBody {
    id: Uuid,
    action: String,
    /// `c`, `r`, `u` or `d`.
    crud: &'static str,
    actor: PartyBody,
    target: PartyBody,
    tenant_id: Uuid,
    project_id: Option<Uuid>,
    description: Option<String>,
    /// Facts, as text.
    #[schema(value_type = Object)]
    fields: Value,
    /// What changed: `{field: [before, after]}`.
    #[schema(value_type = Option<Object>)]
    diff: Option<Value>,
    is_failure: bool,
    is_anonymous: bool,
    source_ip: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<AuditEvent> for AuditEventBody {
    fn from(event: AuditEvent) -> Self {
        Self {
            id: event.id.into(),
            action: event.action,
            crud: event.crud.as_str(),
            actor: PartyBody {
                r#type: event.actor.kind,
                id: event.actor.id,
                name: event.actor.name,
            },
            target: PartyBody {
                r#type: event.target.kind,
                id: event.target.id,
                name: event.target.name,
            },
            tenant_id: event.tenant_id.into(),
            project_id: event.project_id.map(Into::into),
            description: event.description,
            fields: event.fields,
            diff: event.diff,
            is_failure: event.is_failure,
            is_anonymous: event.is_anonymous,
            source_ip: event.source_ip.map(|address| address.to_string()),
            user_agent: event.user_agent,
            request_id: event.request_id,
            created_at: event.created_at,
        }
    }
}

/// The tenant's audit trail, newest first. Needs `audit.read`.
#[utoipa::path(
    tag = "audit",
    params(EventQuery),
    responses((status = 200, description = "A page of events", body = ListBody<AuditEventBody>))
)]
#[get("/v1/audit-events")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<EventQuery>,
) -> Result<Json<ListBody<AuditEventBody>>, Problem> {
    let page = PageQuery {
        limit: query.limit,
        cursor: query.cursor,
    }
    .parse()?;
    let filter = EventFilter {
        action: query.action,
        actor: query.actor,
        target: query.target,
        from: query.from,
        to: query.to,
    };
    let events = services.audit.events(&caller, filter, page).await?;
    Ok(Json(ListBody::of(events, AuditEventBody::from)))
}
