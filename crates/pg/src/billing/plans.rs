//! Plans, their prices and what they grant.

use bigdecimal::BigDecimal;
use billing::{Cycle, Enforcement, Grant, Interval, Kind, Plan, PlanRef, Price, PriceModel, Tier};
use diesel::{
    ExpressionMethods, PgConnection, QueryDsl, Queryable, QueryableByName, RunQueryDsl, Selectable,
    SelectableHelper, sql_query, sql_types::Text,
};
use kernel::{Currency, Money, Quantity, StoreError};
use pg_schema::schema::{plan_entitlements, plan_versions, prices};
use serde_json::Value;
use time::Duration;

use crate::error::{store_error, unreadable};

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = plan_versions)]
struct VersionRow {
    plan_code: String,
    version: i32,
    name: String,
    amount: i64,
    currency: String,
    interval: String,
}

/// What a plan or an override grants.
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = plan_entitlements)]
pub(super) struct GrantRow {
    key: String,
    kind: String,
    maximum: Option<i64>,
    metric: Option<String>,
    value: Option<Value>,
    cycle: String,
    enforcement: String,
    grace_percent: Option<i32>,
    grace_seconds: Option<i64>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = prices)]
struct PriceRow {
    metric: String,
    model: String,
    unit_amount: Option<BigDecimal>,
    package_size: Option<BigDecimal>,
    tiers: Option<Value>,
    free_units: BigDecimal,
    minimum_amount: Option<i64>,
    maximum_amount: Option<i64>,
}

impl GrantRow {
    pub(super) fn read(self) -> Result<Grant, StoreError> {
        Ok(Grant {
            kind: kind(&self.kind)?,
            cycle: cycle(&self.cycle)?,
            enforcement: enforcement(&self.enforcement, self.grace_percent, self.grace_seconds)?,
            key: self.key,
            maximum: self.maximum,
            metric: self.metric,
            value: self.value,
        })
    }
}

fn kind(text: &str) -> Result<Kind, StoreError> {
    Kind::parse(text).ok_or_else(|| unreadable("kind of entitlement", text))
}

fn cycle(text: &str) -> Result<Cycle, StoreError> {
    Cycle::parse(text).ok_or_else(|| unreadable("cycle of an entitlement", text))
}

fn enforcement(
    text: &str,
    grace_percent: Option<i32>,
    grace_seconds: Option<i64>,
) -> Result<Enforcement, StoreError> {
    let percent = grace_percent.map(|percent| u16::try_from(percent).unwrap_or(u16::MAX));
    Enforcement::parse(text, percent, grace_seconds.map(Duration::seconds))
        .ok_or_else(|| unreadable("enforcement of an entitlement", text))
}

impl PriceRow {
    fn read(self, currency: Currency) -> Result<Price, StoreError> {
        let model = self.model()?;
        Ok(Price {
            metric: self.metric,
            currency,
            model,
            free_units: Quantity::from(self.free_units),
            minimum: self.minimum_amount,
            maximum: self.maximum_amount,
        })
    }

    fn model(&self) -> Result<PriceModel, StoreError> {
        let broken = || unreadable("price", format!("{} {}", self.model, self.metric));
        let amount = || self.unit_amount.clone().ok_or_else(broken);
        let tiers = || -> Result<Vec<Tier>, StoreError> {
            serde_json::from_value(self.tiers.clone().unwrap_or_default()).map_err(|_| broken())
        };
        Ok(match self.model.as_str() {
            "flat" => PriceModel::Flat { amount: amount()? },
            "per_unit" => PriceModel::PerUnit {
                unit_amount: amount()?,
            },
            "percentage" => PriceModel::Percentage { percent: amount()? },
            "graduated" => PriceModel::Graduated { tiers: tiers()? },
            "volume" => PriceModel::Volume { tiers: tiers()? },
            "package" => PriceModel::Package {
                size: self.package_size.clone().ok_or_else(broken)?,
                amount: amount()?,
            },
            _ => return Err(broken()),
        })
    }
}

pub(super) fn on_sale(conn: &mut PgConnection) -> Result<Vec<Plan>, StoreError> {
    let rows: Vec<VersionRow> = sql_query(
        "select v.* from plans p
         join plan_versions v on v.plan_code = p.code and v.version = p.current_version
         order by p.position, p.code",
    )
    .load(conn)
    .map_err(store_error)?;
    rows.into_iter().map(|row| complete(conn, row)).collect()
}

pub(super) fn on_sale_as(conn: &mut PgConnection, code: &str) -> Result<Option<Plan>, StoreError> {
    let rows: Vec<VersionRow> = sql_query(
        "select v.* from plans p
         join plan_versions v on v.plan_code = p.code and v.version = p.current_version
         where p.code = $1 or p.code = (select a.plan_code from plan_aliases a where a.alias = $1)
         order by p.code <> $1 limit 1",
    )
    .bind::<Text, _>(code)
    .load(conn)
    .map_err(store_error)?;
    rows.into_iter()
        .next()
        .map(|row| complete(conn, row))
        .transpose()
}

pub(super) fn version(conn: &mut PgConnection, plan: &PlanRef) -> Result<Plan, StoreError> {
    let row = plan_versions::table
        .find((&plan.code, plan.version))
        .select(VersionRow::as_select())
        .first(conn)
        .map_err(store_error)?;
    complete(conn, row)
}

fn complete(conn: &mut PgConnection, row: VersionRow) -> Result<Plan, StoreError> {
    let currency = Currency::parse(&row.currency)
        .map_err(|_| unreadable("plan_versions.currency", &row.currency))?;
    let interval = Interval::parse(&row.interval)
        .ok_or_else(|| unreadable("plan_versions.interval", &row.interval))?;
    let plan = PlanRef {
        code: row.plan_code,
        version: row.version,
    };
    Ok(Plan {
        name: row.name,
        price: Money::new(row.amount, currency),
        interval,
        grants: grants(conn, &plan, None)?,
        prices: prices_of(conn, &plan, currency)?,
        code: plan.code,
        version: plan.version,
    })
}

/// What a version of a plan grants: all of it, or what it says about one key.
pub(super) fn grants(
    conn: &mut PgConnection,
    plan: &PlanRef,
    key: Option<&str>,
) -> Result<Vec<Grant>, StoreError> {
    let mut query = plan_entitlements::table
        .filter(plan_entitlements::plan_code.eq(&plan.code))
        .filter(plan_entitlements::plan_version.eq(plan.version))
        .select(GrantRow::as_select())
        .order(plan_entitlements::key)
        .into_boxed();
    if let Some(key) = key {
        query = query.filter(plan_entitlements::key.eq(key));
    }
    let rows: Vec<GrantRow> = query.load(conn).map_err(store_error)?;
    rows.into_iter().map(GrantRow::read).collect()
}

fn prices_of(
    conn: &mut PgConnection,
    plan: &PlanRef,
    currency: Currency,
) -> Result<Vec<Price>, StoreError> {
    let rows: Vec<PriceRow> = prices::table
        .filter(prices::plan_code.eq(&plan.code))
        .filter(prices::plan_version.eq(plan.version))
        .order((prices::position, prices::metric))
        .select(PriceRow::as_select())
        .load(conn)
        .map_err(store_error)?;
    rows.into_iter().map(|row| row.read(currency)).collect()
}
