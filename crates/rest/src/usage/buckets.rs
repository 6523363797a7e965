//! `GET /v1/usage` and its summary: usage goes out, exact at once.

use std::collections::BTreeMap;

use ::usage::{ReadUsageError, Summary, UsageRow};
use actix_web::{
    get,
    web::{Data, Json},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::question::Question;
use crate::{Caller, Problem, Services, body::Params, page::ListBody};

impl From<ReadUsageError> for Problem {
    fn from(error: ReadUsageError) -> Self {
        match error {
            ReadUsageError::Denied(error) => error.into(),
            ReadUsageError::Invalid(error) => error.into(),
            ReadUsageError::Store(error) => error.into(),
        }
    }
}

/// Which usage is wanted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the parameters for the contract; `Question` reads them"
)]
struct UsageQuery {
    /// Key of a meter; may be there more than once. All meters when not given.
    metric: Option<Vec<String>>,
    /// First instant; the start of the current month when not given.
    #[param(format = DateTime)]
    from: Option<String>,
    /// First instant no longer in the range; five minutes from now when not given.
    #[param(format = DateTime)]
    to: Option<String>,
    /// `15m`, `hour`, `day`, `month` or `total`; `day` when not given.
    #[param(pattern = "^(15m|hour|day|month|total)$")]
    granularity: Option<String>,
    /// `project`, `user`, `model`, at most 4 dimensions of the meters, or several of these with commas.
    #[param(pattern = "^([A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*)?$")]
    group_by: Option<String>,
    /// `filter[region]=eu`: only usage with this value of a dimension, which may be what `group_by` may name. Several values of one are
    /// alternatives; no value is usage without the dimension.
    #[param(style = DeepObject, explode, value_type = Option<BTreeMap<String, String>>)]
    filter: Option<()>,
    /// IANA time zone; the tenant's when not given.
    timezone: Option<String>,
    /// Rows in the page, 1 to 100; 50 when not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-fA-F]{2})*$")]
    cursor: Option<String>,
}

/// Usage of one metric in one bucket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageBody {
    /// Key of the meter.
    metric: String,
    /// The instant the bucket starts, with the zone's offset.
    #[serde(with = "time::serde::rfc3339")]
    bucket: OffsetDateTime,
    /// How much: a decimal string.
    quantity: String,
    /// How one was made of many.
    aggregation: &'static str,
    /// The unit of the quantity.
    unit: String,
    /// The project, when grouped by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    project_id: Option<Option<Uuid>>,
    /// The user, when grouped by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user_id: Option<Option<String>>,
    /// The model, when grouped by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    model: Option<Option<String>>,
    /// The values of other dimensions, when grouped by them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    dimensions: BTreeMap<String, Option<String>>,
}

/// Usage of the tenant, in buckets of any time zone. Needs `usage.read`.
#[utoipa::path(
    tag = "usage",
    params(UsageQuery),
    responses((status = 200, description = "A page of buckets that are not empty", body = ListBody<UsageBody>))
)]
#[get("/v1/usage")]
pub(super) async fn read(
    services: Data<Services>,
    caller: Caller,
    question: Question,
) -> Result<Json<ListBody<UsageBody>>, Problem> {
    let by = question.request.group_by.clone();
    let rows = services
        .usage
        .usage(&caller, question.request, question.page)
        .await?;
    let show = |row: UsageRow| UsageBody {
        metric: row.metric,
        bucket: row.bucket,
        quantity: row.quantity.to_string(),
        aggregation: row.aggregation.as_str(),
        unit: row.unit,
        project_id: by.project.then(|| row.project_id.map(Into::into)),
        user_id: by.user.then_some(row.user_id),
        model: by.model.then_some(row.model),
        dimensions: row.dimensions,
    };
    Ok(Json(ListBody::of(rows, show)))
}

/// Which days are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SummaryQuery {
    /// How many days, today among them: 1 to 366; 30 when not given.
    #[param(minimum = 1, maximum = 366)]
    days: Option<i64>,
}

/// Totals of days.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageSummary)]
struct SummaryBody {
    /// First instant: the start of the first day.
    #[serde(with = "time::serde::rfc3339")]
    from: OffsetDateTime,
    /// First instant no longer in the range: the end of today.
    #[serde(with = "time::serde::rfc3339")]
    to: OffsetDateTime,
    /// By date, then by metric.
    data: Vec<DayBody>,
}

/// The total of one metric on one day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageDay)]
struct DayBody {
    /// The day in the tenant's time zone, such as `2026-11-21`.
    date: String,
    /// Key of the meter.
    metric: String,
    /// How much: a decimal string.
    quantity: String,
}

impl From<Summary> for SummaryBody {
    fn from(summary: Summary) -> Self {
        let data = summary
            .days
            .into_iter()
            .map(|(date, metric, quantity)| DayBody {
                date: date.to_string(),
                metric,
                quantity: quantity.to_string(),
            });
        Self {
            from: summary.from,
            to: summary.to,
            data: data.collect(),
        }
    }
}

/// Daily totals per metric, for a dashboard. Needs `usage.read`.
#[utoipa::path(
    tag = "usage",
    params(SummaryQuery),
    responses((status = 200, description = "Totals of the last days", body = SummaryBody))
)]
#[get("/v1/usage/summary")]
pub(super) async fn summarise(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<SummaryQuery>,
) -> Result<Json<SummaryBody>, Problem> {
    let summary = services
        .usage
        .summary(&caller, query.days.unwrap_or(30))
        .await?;
    Ok(Json(summary.into()))
}
