//! `/v1/meters`: what is measured.

use ::usage::{CreateMeterError, ListMetersError, Meter, NewMeter};
use actix_web::{
    HttpResponse, get, post,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Caller, Problem, Services,
    body::{Body, Params},
    openapi::texts::{self, FieldName, MeterKey},
    page::{ListBody, PageQuery},
};

impl From<CreateMeterError> for Problem {
    fn from(error: CreateMeterError) -> Self {
        match error {
            CreateMeterError::Denied(error) => error.into(),
            CreateMeterError::Invalid(error) => error.into(),
            CreateMeterError::Exists { key } => Self::conflict(
                "usage.meter_exists",
                format!("There is a meter {key} already."),
            ),
            CreateMeterError::Store(error) => error.into(),
        }
    }
}

impl From<ListMetersError> for Problem {
    fn from(error: ListMetersError) -> Self {
        match error {
            ListMetersError::Denied(error) => error.into(),
            ListMetersError::Invalid(error) => error.into(),
            ListMetersError::Store(error) => error.into(),
        }
    }
}

/// A meter to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMeter)]
struct NewMeterBody {
    /// What events call it: a lower-case letter, then at most 63 of `a-z0-9_.`.
    #[schema(value_type = MeterKey)]
    key: String,
    /// A name for people; the key when not given.
    #[schema(value_type = Option<texts::Name>)]
    name: Option<String>,
    /// `sum`, `count`, `max`, `min`, `latest` or `unique`.
    #[schema(pattern = "^(sum|count|max|min|latest|unique)$")]
    aggregation: String,
    /// The unit of a quantity.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    unit: String,
    /// Fields by which its usage is told apart, at most 4.
    #[serde(default)]
    #[schema(value_type = Vec<FieldName>, max_items = 4)]
    dimensions: Vec<String>,
    /// The field of an event that holds its value, when that is not `quantity`. `unique` counts the different values of this field.
    #[serde(alias = "field")]
    #[schema(value_type = Option<FieldName>)]
    value_field: Option<String>,
    /// Whether a quantity may be less than zero.
    #[serde(default)]
    allows_negative: bool,
}

/// A meter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Meter)]
struct MeterBody {
    id: Uuid,
    key: String,
    name: String,
    aggregation: &'static str,
    unit: String,
    dimensions: Vec<String>,
    value_field: Option<String>,
    allows_negative: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Meter> for MeterBody {
    fn from(meter: Meter) -> Self {
        Self {
            id: meter.id.into(),
            key: meter.key,
            name: meter.name.to_string(),
            aggregation: meter.aggregation.as_str(),
            unit: meter.unit,
            dimensions: meter.dimensions,
            value_field: meter.value_field,
            allows_negative: meter.allows_negative,
            created_at: meter.created_at,
        }
    }
}

/// The tenant's meters, its own and those that are there from the start, by key. Needs `meter.read`.
#[utoipa::path(
    tag = "usage",
    params(PageQuery),
    responses((status = 200, description = "A page of meters", body = ListBody<MeterBody>))
)]
#[get("/v1/meters")]
pub(super) async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Json<ListBody<MeterBody>>, Problem> {
    let meters = services.usage.meters(&caller, page.parse()?).await?;
    Ok(Json(ListBody::of(meters, MeterBody::from)))
}

/// Makes a meter. Needs `meter.write`.
#[utoipa::path(
    tag = "usage",
    request_body = NewMeterBody,
    responses(
        (status = 201, description = "The meter", body = MeterBody),
        (status = 409, description = "`usage.meter_exists`")
    )
)]
#[post("/v1/meters")]
pub(super) async fn create(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<NewMeterBody>,
) -> Result<HttpResponse, Problem> {
    let new = NewMeter {
        key: body.key,
        name: body.name,
        aggregation: body.aggregation,
        unit: body.unit,
        dimensions: body.dimensions,
        value_field: body.value_field,
        allows_negative: body.allows_negative,
    };
    let meter = services.usage.create_meter(&caller, new).await?;
    Ok(HttpResponse::Created().json(MeterBody::from(meter)))
}
