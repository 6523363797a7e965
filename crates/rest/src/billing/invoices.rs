//! Invoices: the upcoming one, and those that are final.

use ::billing::{
    Invoice, TierUse,
    invoice::{Line, ReadInvoiceError},
};
use actix_web::{
    get,
    web::{Data, Json},
};
use bigdecimal::BigDecimal;
use kernel::{InvoiceId, Quantity};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::{
    Caller, Problem, Services,
    body::{Params, PathId},
    page::{ListBody, PageQuery},
};

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    // `upcoming` stands before `{id}`, or it would be taken for one.
    config
        .service(upcoming)
        .service(list)
        .service(read)
        .service(lines);
}

impl From<ReadInvoiceError> for Problem {
    fn from(error: ReadInvoiceError) -> Self {
        match error {
            ReadInvoiceError::Denied(error) => error.into(),
            ReadInvoiceError::Invalid(error) => error.into(),
            ReadInvoiceError::NotFound => Self::not_found("billing.invoice_not_found", "invoice"),
            ReadInvoiceError::TooLarge(_) => Self::conflict(
                "billing.amount_too_large",
                "The usage of this period comes to more than an invoice can hold. See GET /v1/usage.",
            ),
            ReadInvoiceError::Store(error) => error.into(),
        }
    }
}

/// A step of a price that was used. Decimals are in major units.
#[derive(Debug, Serialize, ToSchema)]
struct TierUseBody {
    /// Where the step starts, exclusive.
    from: String,
    /// Where it ends, inclusive; null has no end.
    to: Option<String>,
    /// Units, or packages, rated in it.
    quantity: String,
    unit_amount: String,
    flat_amount: String,
    /// `quantity` × `unit_amount` + `flat_amount`, exact.
    amount: String,
}

/// A line, which explains itself.
#[derive(Debug, Serialize, ToSchema)]
struct LineBody {
    description: String,
    /// The meter; null for a base price.
    metric: Option<String>,
    /// Code of the plan whose price it is.
    plan: String,
    #[serde(with = "time::serde::rfc3339")]
    period_start: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    period_end: OffsetDateTime,
    /// Units used; of a base price, the share of the period.
    quantity: String,
    /// Price of a unit in major units; the average where the price has steps or packages.
    unit_price: String,
    tiers: Vec<TierUseBody>,
    /// Minor units.
    amount: i64,
    currency: String,
    /// Usage up to here is in it; null for a base price.
    watermark: Option<String>,
}

/// An invoice. Amounts are minor units.
#[derive(Debug, Serialize, ToSchema)]
struct InvoiceBody {
    /// Null while it is upcoming.
    id: Option<Uuid>,
    /// From when it is final.
    number: Option<String>,
    /// `draft`, `open`, `paid`, `void` or `uncollectible`.
    status: &'static str,
    currency: String,
    #[serde(with = "time::serde::rfc3339")]
    period_start: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    period_end: OffsetDateTime,
    subtotal: i64,
    discount_total: i64,
    tax_total: i64,
    total: i64,
    /// Usage up to here is in it.
    watermark: Option<String>,
    /// Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Vec<LineBody>>,
}

fn decimal(value: BigDecimal) -> String {
    Quantity::from(value).to_string()
}

impl From<TierUse> for TierUseBody {
    fn from(tier: TierUse) -> Self {
        Self {
            from: decimal(tier.from),
            to: tier.to.map(decimal),
            quantity: decimal(tier.quantity),
            unit_amount: decimal(tier.unit_amount),
            flat_amount: decimal(tier.flat_amount),
            amount: decimal(tier.amount),
        }
    }
}

impl LineBody {
    fn of(line: Line, currency: &str) -> Self {
        Self {
            description: line.description,
            metric: line.metric,
            plan: line.plan.code,
            period_start: line.period.start,
            period_end: line.period.end,
            quantity: line.quantity.to_string(),
            unit_price: decimal(line.unit_price),
            tiers: line.tiers.into_iter().map(TierUseBody::from).collect(),
            amount: line.amount,
            currency: currency.to_owned(),
            watermark: line.watermark,
        }
    }
}

fn lines_of(invoice: &mut Invoice) -> Vec<LineBody> {
    let currency = invoice.currency.to_string();
    std::mem::take(&mut invoice.lines)
        .into_iter()
        .map(|line| LineBody::of(line, &currency))
        .collect()
}

impl InvoiceBody {
    fn without_lines(invoice: Invoice) -> Self {
        Self {
            id: Some(Uuid::from(invoice.id)).filter(|id| !id.is_nil()),
            number: invoice.number,
            status: invoice.status.as_str(),
            currency: invoice.currency.to_string(),
            period_start: invoice.period.start,
            period_end: invoice.period.end,
            subtotal: invoice.totals.subtotal,
            discount_total: invoice.totals.discount_total,
            tax_total: invoice.totals.tax_total,
            total: invoice.totals.total,
            watermark: invoice.watermark,
            lines: None,
        }
    }

    fn with_lines(mut invoice: Invoice) -> Self {
        let shown = lines_of(&mut invoice);
        Self {
            lines: Some(shown),
            ..Self::without_lines(invoice)
        }
    }
}

/// What this period will come to, if nothing more is used and nothing changes. Needs `billing.read`.
#[utoipa::path(
    tag = "billing",
    responses(
        (status = 200, description = "The upcoming invoice", body = InvoiceBody),
        (status = 404, description = "`billing.invoice_not_found`"),
        (status = 409, description = "`billing.amount_too_large`"),
    )
)]
#[get("/v1/invoices/upcoming")]
async fn upcoming(services: Data<Services>, caller: Caller) -> Result<Json<InvoiceBody>, Problem> {
    Ok(Json(InvoiceBody::with_lines(
        services.billing.upcoming(&caller).await?,
    )))
}

/// The tenant's invoices, newest first. Needs `billing.read`.
#[utoipa::path(
    tag = "billing",
    params(PageQuery),
    responses((status = 200, description = "A page of invoices", body = ListBody<InvoiceBody>))
)]
#[get("/v1/invoices")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<PageQuery>,
) -> Result<Json<ListBody<InvoiceBody>>, Problem> {
    let page = services.billing.invoices(&caller, query.parse()?).await?;
    Ok(Json(ListBody::of(page, InvoiceBody::without_lines)))
}

/// One invoice. Needs `billing.read`.
#[utoipa::path(
    tag = "billing",
    params(("id" = Uuid, Path, description = "The invoice")),
    responses(
        (status = 200, description = "The invoice", body = InvoiceBody),
        (status = 404, description = "`billing.invoice_not_found`"),
    )
)]
#[get("/v1/invoices/{id}")]
async fn read(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<InvoiceId>,
) -> Result<Json<InvoiceBody>, Problem> {
    Ok(Json(InvoiceBody::with_lines(
        services.billing.invoice(&caller, id).await?,
    )))
}

/// The lines of an invoice. Needs `billing.read`.
#[utoipa::path(
    tag = "billing",
    params(("id" = Uuid, Path, description = "The invoice")),
    responses(
        (status = 200, description = "Every line, in order", body = ListBody<LineBody>),
        (status = 404, description = "`billing.invoice_not_found`"),
    )
)]
#[get("/v1/invoices/{id}/lines")]
async fn lines(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<InvoiceId>,
) -> Result<Json<ListBody<LineBody>>, Problem> {
    let mut invoice = services.billing.invoice(&caller, id).await?;
    Ok(Json(ListBody::whole(lines_of(&mut invoice))))
}
