//! What no port of billing writes, because in a deployment operators, migrations or another program write it.

use std::error::Error;

use billing::{Invoice, Override, invoice::Line};
use diesel::{
    Connection, PgConnection, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Jsonb, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid},
};
use kernel::{SubscriptionId, TenantId};
use time::OffsetDateTime;

use crate::{Memory, TestDb};

/// What a suite asks a [`Backend`](super::Backend) to write for it.
#[derive(Debug, Clone)]
pub enum BillingSeed {
    /// This catalogue is on sale, instead of what was.
    Catalogue(&'static str),
    /// A tenant has something besides its plan.
    Override(TenantId, Override),
    /// A finalised invoice of a subscription, with its lines.
    Invoice(TenantId, SubscriptionId, Invoice),
    /// A tenant's trial ends at an instant.
    TrialEnd(TenantId, OffsetDateTime),
}

impl BillingSeed {
    /// Writes it into a store in memory.
    pub(super) fn into_memory(self, memory: &Memory) {
        match self {
            Self::Catalogue(name) => memory.load_catalogue(name),
            Self::Override(tenant_id, given) => memory.grant_override(tenant_id, given),
            Self::Invoice(tenant_id, _, invoice) => memory.add_invoice(tenant_id, invoice),
            Self::TrialEnd(tenant_id, at) => memory.end_trial_at(tenant_id, at),
        }
    }

    /// Writes it into a database, as somebody who may do everything.
    pub(super) fn into_database(self, db: &TestDb) -> Result<(), Box<dyn Error>> {
        let conn = &mut PgConnection::establish(&db.superuser_url())?;
        match self {
            Self::Catalogue(name) => {
                let load = sql_query("select app.load_catalogue($1)");
                load.bind::<Text, _>(name).execute(conn)?;
            }
            Self::Override(tenant_id, given) => grant(conn, tenant_id, given)?,
            Self::Invoice(tenant_id, subscription_id, invoice) => {
                add_invoice(conn, tenant_id, subscription_id, &invoice)?;
                for (position, line) in (1..).zip(&invoice.lines) {
                    add_line(conn, tenant_id, &invoice, position, line)?;
                }
            }
            Self::TrialEnd(tenant_id, at) => {
                sql_query("update tenants set trial_ends_at = $2 where id = $1")
                    .bind::<SqlUuid, _>(tenant_id.as_uuid())
                    .bind::<Timestamptz, _>(at)
                    .execute(conn)?;
            }
        }
        Ok(())
    }
}

fn grant(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    given: Override,
) -> Result<(), Box<dyn Error>> {
    let Override {
        grant,
        expires_at,
        reason,
    } = given;
    let grace = grant.enforcement.grace();
    let percent = grace.and_then(|grace| grace.percent).map(i32::from);
    let seconds = grace
        .and_then(|grace| grace.lasts)
        .map(time::Duration::whole_seconds);
    sql_query(
        "insert into tenant_entitlement_overrides (tenant_id, key, kind, maximum, metric, value, expires_at, cycle, enforcement,
             grace_percent, grace_seconds, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind::<SqlUuid, _>(tenant_id.as_uuid())
    .bind::<Text, _>(grant.key)
    .bind::<Text, _>(grant.kind.as_str())
    .bind::<Nullable<BigInt>, _>(grant.maximum)
    .bind::<Nullable<Text>, _>(grant.metric)
    .bind::<Nullable<Jsonb>, _>(grant.value)
    .bind::<Nullable<Timestamptz>, _>(expires_at)
    .bind::<Text, _>(grant.cycle.as_str())
    .bind::<Text, _>(grant.enforcement.as_str())
    .bind::<Nullable<Integer>, _>(percent)
    .bind::<Nullable<BigInt>, _>(seconds)
    .bind::<Nullable<Text>, _>(reason)
    .execute(conn)?;
    Ok(())
}

fn add_invoice(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    subscription_id: SubscriptionId,
    invoice: &Invoice,
) -> Result<(), Box<dyn Error>> {
    let totals = &invoice.totals;
    sql_query(
        "insert into invoices (tenant_id, id, subscription_id, number, status, currency, period_start, period_end, subtotal,
             discount_total, tax_total, total, watermark)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind::<SqlUuid, _>(tenant_id.as_uuid())
    .bind::<SqlUuid, _>(invoice.id.as_uuid())
    .bind::<SqlUuid, _>(subscription_id.as_uuid())
    .bind::<Nullable<Text>, _>(&invoice.number)
    .bind::<Text, _>(invoice.status.as_str())
    .bind::<Text, _>(invoice.currency.as_str())
    .bind::<Timestamptz, _>(invoice.period.start)
    .bind::<Timestamptz, _>(invoice.period.end)
    .bind::<BigInt, _>(totals.subtotal)
    .bind::<BigInt, _>(totals.discount_total)
    .bind::<BigInt, _>(totals.tax_total)
    .bind::<BigInt, _>(totals.total)
    .bind::<Nullable<Text>, _>(&invoice.watermark)
    .execute(conn)?;
    Ok(())
}

fn add_line(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    invoice: &Invoice,
    position: i32,
    line: &Line,
) -> Result<(), Box<dyn Error>> {
    sql_query(
        "insert into invoice_lines (tenant_id, invoice_id, position, description, metric, plan_code, plan_version, starts_at, ends_at,
             quantity, unit_price, tiers, amount, watermark)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind::<SqlUuid, _>(tenant_id.as_uuid())
    .bind::<SqlUuid, _>(invoice.id.as_uuid())
    .bind::<Integer, _>(position)
    .bind::<Text, _>(&line.description)
    .bind::<Nullable<Text>, _>(&line.metric)
    .bind::<Text, _>(&line.plan.code)
    .bind::<Integer, _>(line.plan.version)
    .bind::<Timestamptz, _>(line.period.start)
    .bind::<Timestamptz, _>(line.period.end)
    .bind::<Numeric, _>(line.quantity.as_decimal())
    .bind::<Numeric, _>(&line.unit_price)
    .bind::<Jsonb, _>(serde_json::to_value(&line.tiers)?)
    .bind::<BigInt, _>(line.amount)
    .bind::<Nullable<Text>, _>(&line.watermark)
    .execute(conn)?;
    Ok(())
}
