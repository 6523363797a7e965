//! Invoices. An upcoming one is a pure function of plans, period and usage up to a watermark: the same inputs give the same bytes.
//!
//! Base prices fall due at the end of the period, each stretch under one plan by its share; a plan without one has no such line. Usage is rated by the plan that was in
//! force when it happened; the stretches under one plan are rated as one, so that going away and coming back opens no tier twice. Minimum,
//! maximum and flat amounts are prorated like base prices.

use std::collections::BTreeMap;

use bigdecimal::{BigDecimal, RoundingMode};
use kernel::{
    Currency, Denied, FieldError, InvoiceId, Page, PageRequest, Principal, Quantity, StoreError,
    TenantId, Zone, money::Overflow,
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    Current, Period, Plan, PlanChange, PlanRef, Price, Store, TierUse, Totals, permissions, price,
    proration, rating, subscription,
};

/// Digits behind the point of the share of a period that a line shows.
const SHARE_SCALE: i64 = 12;

/// Where an invoice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// May still change.
    Draft,
    /// Final, and to be paid.
    Open,
    /// Paid.
    Paid,
    /// Withdrawn.
    Void,
    /// Given up.
    Uncollectible,
}

impl Status {
    /// The status as stores and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Void => "void",
            Self::Uncollectible => "uncollectible",
        }
    }

    /// Reads the text of [`Status::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Draft,
            Self::Open,
            Self::Paid,
            Self::Void,
            Self::Uncollectible,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
    }
}

/// One line, which explains itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it is for, in words.
    pub description: String,
    /// The meter; `None` for a base price.
    pub metric: Option<String>,
    /// The plan whose price it is.
    pub plan: PlanRef,
    /// When it was used: from the first to the last instant under that plan.
    pub period: Period,
    /// Units used; for a base price the share of the period, to 12 digits.
    pub quantity: Quantity,
    /// Price of one unit in major units; the average where the model has no such price.
    #[serde(serialize_with = "price::plain")]
    pub unit_price: BigDecimal,
    /// The steps of the price that were used, in order.
    pub tiers: Vec<TierUse>,
    /// The amount in minor units, rounded once.
    pub amount: i64,
    /// Usage up to here is in it; `None` for a base price.
    pub watermark: Option<String>,
}

/// An invoice, upcoming or final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoice {
    /// Its id; nil while it is upcoming.
    pub id: InvoiceId,
    /// Its number, from when it is final.
    pub number: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Currency of every amount.
    pub currency: Currency,
    /// What it covers.
    pub period: Period,
    /// Its sums.
    #[serde(flatten)]
    pub totals: Totals,
    /// Usage up to here is in it.
    pub watermark: Option<String>,
    /// Its lines, in order.
    pub lines: Vec<Line>,
}

/// A period of a subscription, cut at its changes of plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// The whole anchored period.
    pub period: Period,
    /// Where days begin, for descriptions.
    pub zone: Zone,
    /// The stretches and their plans, in order. One currency; never empty.
    pub stretches: Vec<(Plan, Period)>,
    /// What each plan's metrics came to, over all its stretches.
    pub usage: BTreeMap<(PlanRef, String), Quantity>,
    /// How far usage had been read.
    pub watermark: String,
}

/// Why an invoice was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadInvoiceError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The cursor belongs to another list.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// There is no such invoice, or no subscription that could have an upcoming one.
    #[error("there is no such invoice")]
    NotFound,
    /// An amount has more minor units than an invoice can hold: somebody measured more than there is money.
    #[error(transparent)]
    TooLarge(#[from] Overflow),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the invoice that a bill comes to. Pure.
///
/// # Errors
/// [`Overflow`] when an amount does not fit into 64 bits of minor units.
pub fn draft(bill: &Bill) -> Result<Invoice, Overflow> {
    let mut lines: Vec<Line> = bill
        .stretches
        .iter()
        .filter(|(plan, _)| plan.price.amount != 0)
        .map(|cut| base_line(bill, cut))
        .collect();
    for tenure in tenures(&bill.stretches) {
        for price in &tenure.plan.prices {
            lines.extend(usage_line(bill, &tenure, price)?);
        }
    }
    let currency = bill
        .stretches
        .first()
        .map_or(Currency::USD, |(plan, _)| plan.price.currency);
    let amounts: Vec<i64> = lines.iter().map(|line| line.amount).collect();
    Ok(Invoice {
        id: InvoiceId::from(uuid::Uuid::nil()),
        number: None,
        status: Status::Draft,
        currency,
        period: bill.period,
        totals: Totals::of(&amounts, 0, &0.into(), currency)?,
        watermark: Some(bill.watermark.clone()),
        lines,
    })
}

/// All stretches under one plan.
struct Tenure<'a> {
    plan: &'a Plan,
    /// From the first instant to the last.
    extent: Period,
    /// Their lengths together, in microseconds.
    length: i64,
}

/// Each plan once, in the order of first appearance.
fn tenures(stretches: &[(Plan, Period)]) -> Vec<Tenure<'_>> {
    let mut tenures: Vec<Tenure<'_>> = Vec::new();
    for (plan, part) in stretches {
        match tenures
            .iter_mut()
            .find(|seen| seen.plan.reference() == plan.reference())
        {
            Some(seen) => {
                seen.extent.end = part.end;
                seen.length += part.length();
            }
            None => tenures.push(Tenure {
                plan,
                extent: *part,
                length: part.length(),
            }),
        }
    }
    tenures
}

fn base_line(bill: &Bill, (plan, part): &(Plan, Period)) -> Line {
    let share = BigDecimal::from(part.length()) / BigDecimal::from(bill.period.length().max(1));
    let day = |instant| bill.zone.day_of(instant);
    let (first, last) = (day(part.start), day(part.end));
    Line {
        description: if first == last {
            format!("{}, {first}", plan.name)
        } else {
            format!("{}, {first} to {last}", plan.name)
        },
        metric: None,
        plan: plan.reference(),
        period: *part,
        quantity: share
            .with_scale_round(SHARE_SCALE, RoundingMode::HalfUp)
            .into(),
        unit_price: plan.price.to_decimal(),
        tiers: Vec::new(),
        amount: proration::share(plan.price, *part, bill.period).amount,
        watermark: None,
    }
}

fn usage_line(bill: &Bill, tenure: &Tenure<'_>, price: &Price) -> Result<Option<Line>, Overflow> {
    let plan = tenure.plan;
    let price = &price.prorated(tenure.length, bill.period.length());
    let key = (plan.reference(), price.metric.clone());
    let quantity = bill.usage.get(&key).cloned().unwrap_or_else(Quantity::zero);
    let charge = rating::rate(price, &quantity)?;
    if quantity == Quantity::zero() && charge.amount.amount == 0 {
        return Ok(None);
    }
    Ok(Some(Line {
        description: format!(
            "{} on {}, {}",
            price.metric,
            plan.name,
            price.model.in_words()
        ),
        metric: Some(price.metric.clone()),
        plan: plan.reference(),
        period: tenure.extent,
        quantity,
        unit_price: charge.unit_price,
        tiers: charge.tiers,
        amount: charge.amount.amount,
        watermark: Some(bill.watermark.clone()),
    }))
}

/// What this period will come to, if nothing more is used and nothing changes. Needs `billing.read`.
///
/// # Errors
/// See [`ReadInvoiceError`].
pub fn upcoming(
    store: &mut dyn Store,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Invoice, ReadInvoiceError> {
    let tenant_id = by.may(&permissions::BILLING_READ)?;
    let current =
        subscription::current(store, tenant_id, now)?.ok_or(ReadInvoiceError::NotFound)?;
    let bill = bill(store, tenant_id, &current, now)?;
    Ok(draft(&bill)?)
}

fn bill(
    store: &mut dyn Store,
    tenant_id: TenantId,
    current: &Current,
    now: OffsetDateTime,
) -> Result<Bill, StoreError> {
    let (subscription, period) = (&current.subscription, current.period);
    let mut changes: Vec<PlanChange> = store.plan_changes(subscription)?;
    changes.extend(
        subscription
            .pending
            .clone()
            .filter(|due| due.effective_at <= now),
    );
    let mut bill = Bill {
        period,
        zone: subscription.zone.clone(),
        stretches: Vec::new(),
        usage: BTreeMap::new(),
        watermark: store.watermark()?,
    };
    for stretch in proration::stretches(&changes, period) {
        let plan = store.plan(&stretch.plan)?;
        for price in &plan.prices {
            let quantity =
                store.metered(tenant_id, &price.metric, stretch.part, &bill.watermark)?;
            let key = (stretch.plan.clone(), price.metric.clone());
            let so_far = bill.usage.entry(key).or_insert_with(Quantity::zero);
            *so_far = (so_far.as_decimal() + quantity.as_decimal()).into();
        }
        bill.stretches.push((plan, stretch.part));
    }
    Ok(bill)
}

/// A page of invoices, newest first, without their lines. Needs `billing.read`.
///
/// # Errors
/// See [`ReadInvoiceError`].
pub fn list(
    store: &mut dyn Store,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<Invoice>, ReadInvoiceError> {
    let tenant_id = by.may(&permissions::BILLING_READ)?;
    let rows = store.invoices(tenant_id, page, page.key()?)?;
    Ok(Page::from_rows(rows, page.limit, |invoice| invoice.id))
}

/// One invoice with its lines. Needs `billing.read`.
///
/// # Errors
/// See [`ReadInvoiceError`].
pub fn read(
    store: &mut dyn Store,
    id: InvoiceId,
    by: &Principal,
) -> Result<Invoice, ReadInvoiceError> {
    let tenant_id = by.may(&permissions::BILLING_READ)?;
    let mut invoice = store
        .invoice(tenant_id, id)?
        .ok_or(ReadInvoiceError::NotFound)?;
    invoice.lines = store.invoice_lines(tenant_id, id)?;
    Ok(invoice)
}
