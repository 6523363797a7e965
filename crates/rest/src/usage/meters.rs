//! `/v1/meters`: what is measured.

use ::usage::{
    ChangeMeterError, CreateMeterError, ListMetersError, Meter, MeterChange, MeterError,
    MeterVersion, NewMeter, revision::Fixed,
};
use actix_web::{
    HttpRequest, HttpResponse, get,
    http::StatusCode,
    patch, post,
    web::{Data, Json, Path},
};
use kernel::{FieldError, Name};
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Caller, Problem, Services,
    body::{Body, Params, etag, if_match},
    openapi::texts::{self, FieldName, MeterKey, ValuePath},
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

impl From<MeterError> for Problem {
    fn from(error: MeterError) -> Self {
        match error {
            MeterError::NotFound => Self::not_found("usage.meter_not_found", "meter"),
            MeterError::Denied(error) => error.into(),
            MeterError::Invalid(error) => error.into(),
            MeterError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeMeterError> for Problem {
    fn from(error: ChangeMeterError) -> Self {
        match error {
            ChangeMeterError::NotFound => Self::not_found("usage.meter_not_found", "meter"),
            ChangeMeterError::Standard => Self::conflict(
                "usage.standard_meter",
                "A meter from the start cannot be changed. Make one of another key.",
            ),
            ChangeMeterError::Stale => Self::stale(),
            ChangeMeterError::Denied(error) => error.into(),
            ChangeMeterError::Invalid(error) => error.into(),
            ChangeMeterError::Store(error) => error.into(),
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
    /// The field of an event that holds its value, when that is not `quantity`: a name, or a path such as `$.usage.total_tokens` into its
    /// metadata. `unique` counts the different values of this field.
    #[serde(alias = "field")]
    #[schema(value_type = Option<ValuePath>)]
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
    /// Goes up with each change; the ETag.
    version: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

/// What may change about a meter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MeterChange)]
struct MeterChangeBody {
    /// A name for people.
    #[schema(value_type = Option<texts::Name>)]
    name: Option<String>,
    /// Fields by which its usage is told apart from now on, at most 4.
    #[schema(value_type = Option<Vec<FieldName>>, max_items = 4)]
    dimensions: Option<Vec<String>>,
    /// The field of an event that holds its value, or the path to it; null for `quantity`.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<ValuePath>)]
    value_field: Option<Option<String>>,
    /// Whether a quantity may be less than zero.
    allows_negative: Option<bool>,
    // What never changes is refused by name, unless it is what it was.
    #[schema(ignore)]
    key: Option<String>,
    #[schema(ignore)]
    aggregation: Option<String>,
    #[schema(ignore)]
    unit: Option<String>,
}

impl MeterChangeBody {
    fn read(self) -> Result<MeterChange, FieldError> {
        let name = self.name.map(|name| Name::parse("name", &name));
        Ok(MeterChange {
            name: name.transpose()?,
            dimensions: self.dimensions,
            value_field: self.value_field,
            allows_negative: self.allows_negative,
            fixed: Fixed {
                key: self.key,
                aggregation: self.aggregation,
                unit: self.unit,
            },
        })
    }
}

/// Tells `null` from nothing.
fn said<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// What a meter is or was. Its key, aggregation and unit are always the same.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MeterVersion)]
struct MeterVersionBody {
    /// 1 for the first one.
    version: i64,
    name: String,
    dimensions: Vec<String>,
    value_field: Option<String>,
    allows_negative: bool,
    /// Since when it was in force. Events keep what the version of their time made of them.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<MeterVersion> for MeterVersionBody {
    fn from(version: MeterVersion) -> Self {
        Self {
            version: version.version,
            name: version.name.to_string(),
            dimensions: version.dimensions,
            value_field: version.value_field,
            allows_negative: version.allows_negative,
            created_at: version.created_at,
        }
    }
}

fn shown(meter: Meter, status: StatusCode) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(etag(meter.version))
        .json(MeterBody::from(meter))
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
            version: meter.version,
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
        (status = 201, description = "The meter, with its ETag", body = MeterBody),
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
    Ok(shown(meter, StatusCode::CREATED))
}

/// A meter, as it is now. Needs `meter.read`.
#[utoipa::path(
    tag = "usage",
    params(("key" = String, Path, pattern = "^[a-z][a-z0-9_.]{0,63}$")),
    responses(
        (status = 200, description = "The meter, with its ETag", body = MeterBody),
        (status = 404, description = "`usage.meter_not_found`")
    )
)]
#[get("/v1/meters/{key}")]
pub(super) async fn read(
    services: Data<Services>,
    caller: Caller,
    key: Path<String>,
) -> Result<HttpResponse, Problem> {
    let meter = services.usage.meter(&caller, key.into_inner()).await?;
    Ok(shown(meter, StatusCode::OK))
}

/// Changes a meter of the tenant's own, for events to come. Needs `meter.write`; honours `If-Match`.
#[utoipa::path(
    tag = "usage",
    params(("key" = String, Path, pattern = "^[a-z][a-z0-9_.]{0,63}$"), ("If-Match" = Option<String>, Header)),
    request_body = MeterChangeBody,
    responses(
        (status = 200, description = "The meter, with its new ETag", body = MeterBody),
        (status = 404, description = "`usage.meter_not_found`"),
        (status = 409, description = "`usage.standard_meter`"),
        (status = 412, description = "`request.stale`")
    )
)]
#[patch("/v1/meters/{key}")]
pub(super) async fn change(
    services: Data<Services>,
    caller: Caller,
    key: Path<String>,
    request: HttpRequest,
    Body(body): Body<MeterChangeBody>,
) -> Result<HttpResponse, Problem> {
    let (change, expected) = (body.read()?, if_match(&request)?);
    let usage = &services.usage;
    let meter = usage.change_meter(&caller, key.into_inner(), change, expected);
    Ok(shown(meter.await?, StatusCode::OK))
}

/// What a meter is and was, the newest first. Needs `meter.read`.
#[utoipa::path(
    tag = "usage",
    params(("key" = String, Path, pattern = "^[a-z][a-z0-9_.]{0,63}$"), PageQuery),
    responses(
        (status = 200, description = "A page of versions", body = ListBody<MeterVersionBody>),
        (status = 404, description = "`usage.meter_not_found`")
    )
)]
#[get("/v1/meters/{key}/versions")]
pub(super) async fn versions(
    services: Data<Services>,
    caller: Caller,
    key: Path<String>,
    Params(page): Params<PageQuery>,
) -> Result<Json<ListBody<MeterVersionBody>>, Problem> {
    let (key, page) = (key.into_inner(), page.parse()?);
    let versions = services.usage.meter_versions(&caller, key, page).await?;
    Ok(Json(ListBody::of(versions, MeterVersionBody::from)))
}
