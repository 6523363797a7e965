//! Reservations of quota and concurrency.

use ::billing::{
    Outcome, Reservation, Wish,
    reservation::{Filter, FinishError, ListReservationsError, ReserveError},
};
use actix_web::{
    HttpResponse, get, post,
    web::{Data, Json},
};
use kernel::ReservationId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::is_false;
use crate::{
    Caller, Problem, Services,
    body::{self, Body, Params, PathId},
    openapi::texts::ShortText,
    page::{ListBody, PageQuery},
};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(list)
        .service(reserve)
        .service(settle)
        .service(release);
}

impl From<ReserveError> for Problem {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Denied(error) => error.into(),
            ReserveError::Invalid(error) => error.into(),
            ReserveError::Limit(error) => error.into(),
            ReserveError::Store(error) => error.into(),
        }
    }
}

impl From<ListReservationsError> for Problem {
    fn from(error: ListReservationsError) -> Self {
        match error {
            ListReservationsError::Denied(error) => error.into(),
            ListReservationsError::Invalid(error) => error.into(),
            ListReservationsError::Store(error) => error.into(),
        }
    }
}

impl From<FinishError> for Problem {
    fn from(error: FinishError) -> Self {
        match error {
            FinishError::Denied(error) => error.into(),
            FinishError::Invalid(error) => error.into(),
            FinishError::NotFound => {
                Self::not_found("billing.reservation_not_found", "reservation")
            }
            FinishError::Settled => Self::conflict(
                "billing.reservation_settled",
                "The reservation was settled or released before, with other figures.",
            ),
            FinishError::Store(error) => error.into(),
        }
    }
}

/// A wish to hold quantity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WishBody {
    /// Key of the entitlement, such as `tasks_per_month` or `max_concurrent_workflows`.
    #[schema(value_type = ShortText)]
    key: String,
    /// From 1; 1 when not given.
    #[serde(default = "one", deserialize_with = "body::whole")]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    quantity: i64,
    /// How long the lease lives, 1 to 86400 seconds; 300 when not given.
    #[serde(default = "five_minutes", deserialize_with = "body::whole")]
    #[schema(minimum = 1, maximum = 86_400)]
    ttl_seconds: i64,
}

const fn one() -> i64 {
    1
}

const fn five_minutes() -> i64 {
    300
}

/// What was used after all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SettleBody {
    /// From 0; more or less than was held.
    #[serde(deserialize_with = "body::whole")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    quantity: i64,
}

/// Held quantity.
#[derive(Debug, Serialize, ToSchema)]
struct ReservationBody {
    id: Uuid,
    key: String,
    quantity: i64,
    /// `open`, `settled` or `released`. An open one counts until `expires_at`.
    status: &'static str,
    settled_quantity: Option<i64>,
    /// Stands in the answer that made it, when more is used with it than the limit allows, which is only told, or grants a grace.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    over: bool,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Reservation> for ReservationBody {
    fn from(reservation: Reservation) -> Self {
        Self {
            id: reservation.id.into(),
            key: reservation.key,
            quantity: reservation.quantity,
            status: reservation.outcome.as_str(),
            settled_quantity: match reservation.outcome {
                Outcome::Settled { quantity } => Some(quantity),
                Outcome::Open | Outcome::Released => None,
            },
            over: false,
            expires_at: reservation.expires_at,
            created_at: reservation.created_at,
        }
    }
}

/// Which reservations are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReservationQuery {
    /// Of this entitlement.
    #[param(value_type = Option<ShortText>)]
    key: Option<String>,
    /// `open`, `settled` or `released`.
    #[param(pattern = "^(open|settled|released)$")]
    status: Option<String>,
    /// Rows in the page, 1 to 100; 50 when not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-fA-F]{2})*$")]
    cursor: Option<String>,
}

/// Reservations, newest first, until 35 days after they are over: whoever lost an answer finds here what it was. Needs `resource.read`.
#[utoipa::path(
    tag = "billing",
    params(ReservationQuery),
    responses((status = 200, description = "A page of reservations", body = ListBody<ReservationBody>))
)]
#[get("/v1/reservations")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<ReservationQuery>,
) -> Result<Json<ListBody<ReservationBody>>, Problem> {
    let page = PageQuery {
        limit: query.limit,
        cursor: query.cursor,
    };
    let filter = Filter::parse(query.key, query.status.as_deref())?;
    let page = services
        .billing
        .reservations(&caller, filter, page.parse()?)
        .await?;
    Ok(Json(ListBody::of(page, ReservationBody::from)))
}

/// Holds quantity, within the plan's limit. Needs `resource.write`.
#[utoipa::path(
    tag = "billing",
    request_body = WishBody,
    responses(
        (status = 201, description = "It is held", body = ReservationBody),
        (status = 402, description = "`billing.limit_reached`"),
    )
)]
#[post("/v1/quota/reservations")]
async fn reserve(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<WishBody>,
) -> Result<HttpResponse, Problem> {
    let wish = Wish {
        key: body.key,
        quantity: body.quantity,
        ttl_seconds: body.ttl_seconds,
    };
    let reserved = services.billing.reserve(&caller, wish).await?;
    Ok(HttpResponse::Created().json(ReservationBody {
        over: reserved.is_over,
        ..reserved.reservation.into()
    }))
}

/// Says what was used after all, and ends the hold. Needs `resource.write`.
#[utoipa::path(
    tag = "billing",
    params(("id" = Uuid, Path, description = "The reservation")),
    request_body = SettleBody,
    responses(
        (status = 200, description = "It is settled", body = ReservationBody),
        (status = 404, description = "`billing.reservation_not_found`"),
        (status = 409, description = "`billing.reservation_settled`"),
    )
)]
#[post("/v1/quota/reservations/{id}/settle")]
async fn settle(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ReservationId>,
    Body(body): Body<SettleBody>,
) -> Result<Json<ReservationBody>, Problem> {
    Ok(Json(
        services
            .billing
            .settle(&caller, id, body.quantity)
            .await?
            .into(),
    ))
}

/// Gives everything back. Needs `resource.write`.
#[utoipa::path(
    tag = "billing",
    params(("id" = Uuid, Path, description = "The reservation")),
    responses(
        (status = 200, description = "It is released", body = ReservationBody),
        (status = 404, description = "`billing.reservation_not_found`"),
        (status = 409, description = "`billing.reservation_settled`"),
    )
)]
#[post("/v1/quota/reservations/{id}/release")]
async fn release(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ReservationId>,
) -> Result<Json<ReservationBody>, Problem> {
    Ok(Json(services.billing.release(&caller, id).await?.into()))
}
