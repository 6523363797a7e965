//! Where a tenant stands with one entitlement, in one round trip; with what a quota counted, when what it counted a moment ago is known.

use std::sync::Arc;

use bigdecimal::BigDecimal;
use billing::{Anchor, Counted, Crossing, Grant, Kind, Period, Standing, resource};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Bool, Nullable, Numeric, Text, Timestamptz, Uuid as SqlUuid},
};
use kernel::{Quantity, StoreError, TenantId};
use time::OffsetDateTime;

use super::{
    counts,
    plans::GrantRow,
    subscriptions::zone,
    tally::{Count, Tally},
};
use crate::{error::store_error, prepared::Prepared, usage::metered_total};

/// Which server an answer is from, in which of its lives, and which database. A server that comes back by itself after a crash gives the
/// numbers of transactions out again that were lost; its statistics begin anew then, and their time is what tells.
macro_rules! origin {
    () => {
        "concat_ws(' ', current_database(), pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time())"
    };
}

macro_rules! standing {
    ($from:literal) => {
        concat!(
            "select timezone, anchor_at, anchor_zone, plan, key, kind, maximum, metric, value, cycle, enforcement, grace_percent, \
             grace_seconds, things, held, crossed_period, crossed_at, watermark, counted, ",
            origin!(),
            " as origin from ",
            $from
        )
    };
}

const IN_SCOPE: &str = standing!("app.standing($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
const ALONE: &str = standing!(
    "(select app.enter($1) as tenant) e cross join lateral app.standing(e.tenant, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) s"
);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    timezone: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    anchor_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Text>)]
    anchor_zone: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    plan: Option<String>,
    #[diesel(embed)]
    grant: Option<GrantRow>,
    #[diesel(sql_type = BigInt)]
    things: i64,
    #[diesel(sql_type = BigInt)]
    held: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    crossed_period: Option<OffsetDateTime>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    crossed_at: Option<OffsetDateTime>,
    #[diesel(sql_type = Text)]
    watermark: String,
    #[diesel(sql_type = Nullable<Numeric>)]
    counted: Option<BigDecimal>,
    #[diesel(sql_type = Text)]
    origin: String,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) tenant_id: TenantId,
    pub(super) key: &'a str,
    pub(super) at: OffsetDateTime,
}

/// In the scope of the tenant.
pub(super) fn standing(
    conn: &mut PgConnection,
    question: Question<'_>,
) -> Result<Standing, StoreError> {
    let standing = ask(conn, question, question.tally().as_deref(), IN_SCOPE)?;
    let unread = standing.grant.as_ref().filter(|grant| {
        grant.kind == Kind::Quota && grant.metric.is_none() && standing.counted.is_none()
    });
    let Some(quota) = unread else {
        return Ok(standing);
    };
    // What is held and what was settled come out of one snapshot: by two, what is settled in between counts twice, and the last of a quota
    // is refused.
    let tally = Tally {
        metric: None,
        period: standing.period_at(quota, question.at),
        count: None,
    };
    let again = ask(conn, question, Some(&tally), IN_SCOPE)?;
    tally.keep(question.tenant_id, question.key);
    Ok(again)
}

/// In a transaction of no tenant, that is over with the answer. `None` when the answer would not have what the quota counted.
pub(super) fn standing_alone(
    conn: &mut PgConnection,
    question: Question<'_>,
) -> Result<Option<Standing>, StoreError> {
    let tally = question.tally();
    if tally.as_ref().is_some_and(|tally| !tally.goes_on()) {
        return Ok(None);
    }
    ask(conn, question, tally.as_deref(), ALONE).map(Some)
}

/// Reads all of what a quota counts, and remembers it.
pub(super) fn count(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    quota: &Grant,
    period: Period,
    watermark: &str,
) -> Result<Quantity, StoreError> {
    let (quantity, count) = match &quota.metric {
        None => {
            let settled = counts::settled(conn, tenant_id, &quota.key, period)?;
            (BigDecimal::from(settled), None)
        }
        Some(metric) => {
            let range = (period.start, period.end);
            let total = metered_total(conn, tenant_id, metric, range, watermark)?;
            let count = match total.meter {
                Some(meter) => {
                    let quantity = total.quantity.clone();
                    Some(Count::whole(origin(conn)?, meter, quantity, watermark))
                }
                None => None,
            };
            (total.quantity, count)
        }
    };
    let tally = Tally {
        metric: quota.metric.clone(),
        period,
        count,
    };
    tally.keep(tenant_id, &quota.key);
    Ok(Quantity::from(quantity))
}

fn origin(conn: &mut PgConnection) -> Result<String, StoreError> {
    #[derive(QueryableByName)]
    struct Origin {
        #[diesel(sql_type = Text)]
        origin: String,
    }
    let row: Origin = sql_query(concat!("select ", origin!(), " as origin"))
        .get_result(conn)
        .map_err(store_error)?;
    Ok(row.origin)
}

impl Question<'_> {
    fn tally(&self) -> Option<Arc<Tally>> {
        let tally = Tally::of(self.tenant_id, self.key);
        tally.filter(|tally| tally.period.contains(self.at))
    }
}

fn ask(
    conn: &mut PgConnection,
    question: Question<'_>,
    tally: Option<&Tally>,
    statement: &'static str,
) -> Result<Standing, StoreError> {
    let Question { tenant_id, key, at } = question;
    let tally = tally.filter(|tally| tally.goes_on());
    let count = tally.and_then(|tally| tally.count.as_ref());
    let row: Row = Prepared(
        sql_query(statement)
            .bind::<SqlUuid, _>(tenant_id.as_uuid())
            .bind::<Text, _>(key)
            .bind::<Nullable<Text>, _>(resource::kind_of_limit(key))
            .bind::<Timestamptz, _>(at)
            .bind::<Nullable<Timestamptz>, _>(tally.map(|tally| tally.period.start))
            .bind::<Nullable<Timestamptz>, _>(tally.map(|tally| tally.period.end))
            .bind::<Nullable<Text>, _>(tally.and_then(|tally| tally.metric.as_deref()))
            .bind::<Nullable<SqlUuid>, _>(count.map(|count| count.meter.id))
            .bind::<Nullable<BigInt>, _>(count.map(|count| count.meter.version))
            .bind::<Nullable<Bool>, _>(count.map(|count| count.meter.sums))
            .bind::<Nullable<Text>, _>(count.map(|count| &*count.until)),
    )
    .get_result(conn)
    .map_err(store_error)?;
    let counted = tally.and_then(|tally| row.go_on(tally, question));
    row.read(counted, at)
}

impl Row {
    /// What the quota counted, when it is counted as `tally` says. It is kept for the next time, or forgotten where it did not go on.
    fn go_on(
        &self,
        tally: &Tally,
        Question { tenant_id, key, .. }: Question<'_>,
    ) -> Option<Counted> {
        let quantity = match (&self.counted, &tally.count) {
            (Some(counted), None) => counted.clone(),
            (Some(more), Some(count)) if self.origin == count.origin => {
                let count = count.and(more, &self.watermark);
                let quantity = count.quantity.clone();
                let tally = Tally {
                    count: Some(count),
                    ..tally.clone()
                };
                tally.keep(tenant_id, key);
                quantity
            }
            _ => {
                Tally::forget(tenant_id, key);
                return None;
            }
        };
        Some(Counted {
            metric: tally.metric.clone(),
            period: tally.period,
            quantity: Quantity::from(quantity),
        })
    }

    /// What was counted by another rule, or in another period, than is in force does not count.
    fn read(self, counted: Option<Counted>, at: OffsetDateTime) -> Result<Standing, StoreError> {
        let anchor = match (self.anchor_at, &self.anchor_zone) {
            (Some(at), Some(name)) => Some(Anchor {
                at,
                zone: zone(name)?,
            }),
            _ => None,
        };
        let mut standing = Standing {
            grant: self.grant.map(GrantRow::read).transpose()?,
            zone: zone(&self.timezone)?,
            plan: self.plan,
            anchor,
            things: self.things,
            held: self.held,
            crossing: self.crossed_at.map(|at| Crossing {
                period_start: self.crossed_period,
                at,
            }),
            counted: None,
            watermark: self.watermark,
        };
        standing.counted = counted.filter(|counted| {
            let quota = standing
                .grant
                .as_ref()
                .filter(|grant| grant.kind == Kind::Quota);
            quota.is_some_and(|grant| {
                (&grant.metric, standing.period_at(grant, at)) == (&counted.metric, counted.period)
            })
        });
        Ok(standing)
    }
}
