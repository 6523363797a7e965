//! Invoices that were finalised, for reading.

use bigdecimal::BigDecimal;
use billing::{
    Invoice, Period, PlanRef, Totals,
    invoice::{Line, Status},
};
use diesel::{
    ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};
use kernel::{Currency, InvoiceId, PageRequest, Quantity, StoreError, TenantId};
use pg_schema::schema::{invoice_lines, invoices};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{store_error, unreadable};

#[derive(Queryable, Selectable)]
#[diesel(table_name = invoices)]
struct Row {
    id: Uuid,
    number: Option<String>,
    status: String,
    currency: String,
    period_start: OffsetDateTime,
    period_end: OffsetDateTime,
    subtotal: i64,
    discount_total: i64,
    tax_total: i64,
    total: i64,
    watermark: Option<String>,
}

impl Row {
    fn read(self) -> Result<Invoice, StoreError> {
        Ok(Invoice {
            id: self.id.into(),
            number: self.number,
            status: Status::parse(&self.status)
                .ok_or_else(|| unreadable("invoices.status", &self.status))?,
            currency: Currency::parse(&self.currency)
                .map_err(|_| unreadable("invoices.currency", &self.currency))?,
            period: Period {
                start: self.period_start,
                end: self.period_end,
            },
            totals: Totals {
                subtotal: self.subtotal,
                discount_total: self.discount_total,
                tax_total: self.tax_total,
                total: self.total,
            },
            watermark: self.watermark,
            lines: Vec::new(),
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = invoice_lines)]
struct LineRow {
    description: String,
    metric: Option<String>,
    plan_code: String,
    plan_version: i32,
    starts_at: OffsetDateTime,
    ends_at: OffsetDateTime,
    quantity: BigDecimal,
    unit_price: BigDecimal,
    tiers: Value,
    amount: i64,
    watermark: Option<String>,
}

impl LineRow {
    fn read(self) -> Result<Line, StoreError> {
        let tiers = serde_json::from_value(self.tiers)
            .map_err(|error| unreadable("invoice_lines.tiers", error))?;
        Ok(Line {
            description: self.description,
            metric: self.metric,
            plan: PlanRef {
                code: self.plan_code,
                version: self.plan_version,
            },
            period: Period {
                start: self.starts_at,
                end: self.ends_at,
            },
            quantity: Quantity::from(self.quantity),
            unit_price: self.unit_price,
            tiers,
            amount: self.amount,
            watermark: self.watermark,
        })
    }
}

pub(super) fn list(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    page: &PageRequest,
    after: Option<InvoiceId>,
) -> Result<Vec<Invoice>, StoreError> {
    let mut query = invoices::table
        .filter(invoices::tenant_id.eq(tenant_id.as_uuid()))
        .order(invoices::id.desc())
        .limit(i64::from(page.limit) + 1)
        .select(Row::as_select())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(invoices::id.lt(after.as_uuid()));
    }
    let rows: Vec<Row> = query.load(conn).map_err(store_error)?;
    rows.into_iter().map(Row::read).collect()
}

pub(super) fn find(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: InvoiceId,
) -> Result<Option<Invoice>, StoreError> {
    let row: Option<Row> = invoices::table
        .find((tenant_id.as_uuid(), id.as_uuid()))
        .select(Row::as_select())
        .first(conn)
        .optional()
        .map_err(store_error)?;
    row.map(Row::read).transpose()
}

pub(super) fn lines(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    id: InvoiceId,
) -> Result<Vec<Line>, StoreError> {
    let rows: Vec<LineRow> = invoice_lines::table
        .filter(invoice_lines::tenant_id.eq(tenant_id.as_uuid()))
        .filter(invoice_lines::invoice_id.eq(id.as_uuid()))
        .order(invoice_lines::position)
        .select(LineRow::as_select())
        .load(conn)
        .map_err(store_error)?;
    rows.into_iter().map(LineRow::read).collect()
}
