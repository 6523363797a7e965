//! Reading usage: rollups where a bucket lies inside the range, raw events for what is not rolled up and for clipped buckets.
//!
//! One statement is one snapshot: the watermark it sees is the one that the rollups it sees belong to, so no event is counted twice or
//! missed, whatever a roller does meanwhile.

use bigdecimal::BigDecimal;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types as sql};
use kernel::{ProjectId, StoreError, TenantId};
use time::{Duration, OffsetDateTime};
use usage::{
    Aggregation, Buckets, Meter,
    query::{After, UsageQuery, UsageRow},
    rollup::BUCKET,
};
use uuid::Uuid;

use crate::error::{store_error, unreadable};

/// What is wanted of the answer.
pub(super) struct Page<'a> {
    /// Only what this snapshot sees; everything when there is none. As PostgreSQL writes snapshots.
    pub(super) as_of: Option<&'a str>,
    /// Rows behind this one.
    pub(super) after: Option<&'a After>,
    /// Rows at most.
    pub(super) limit: u32,
}

/// What the raw events that count in a branch look like, up to the condition that tells them.
macro_rules! raw {
    ($when:literal) => {
        concat!(
            "
    union all
    select e.meter_id, e.occurred_at, coalesce(e.project_id, '00000000-0000-0000-0000-000000000000'),
        coalesce(e.user_id, ''), coalesce(e.model, ''), e.quantity, 1, e.quantity, e.quantity,
        e.quantity, e.occurred_at, e.received_at, e.dedup, null::text
    from usage_events e
    where e.tenant_id = $1 and e.meter_id = any ($2) and ($8::uuid is null or e.project_id = $8)
        -- Nothing is received long before it happens: older partitions need not be looked at.
        and e.received_at >= $6 - interval '1 hour' and e.occurred_at >= $6 and e.occurred_at < $7
        and ",
            $when
        )
    };
}

const PARTS: &str = concat!(
    "
with mark as materialized (
    -- A question about less than is rolled up is answered from raw events alone.
    select case when $9::text is null or txid <= pg_snapshot_xmin($9::pg_snapshot)::text::bigint then txid else 0 end as txid
    from usage_watermark
), wanted as (
    select * from unnest($2 || $3, $4::text[], $5::text[], $22::text[]) as w (meter_id, metric, aggregation, value_field)
), clipped as materialized (
    -- Buckets at the ends of the range that have events on both sides of its end.
    select r.meter_id, r.bucket, r.project_id, r.user_id, r.model
    from usage_rollups r
    where r.tenant_id = $1 and r.meter_id = any ($2) and ($8::uuid is null or r.project_id = $8)
        and r.bucket = any (array[$10, $11]) and (r.first_at < $6 or r.last_at >= $7)
        and r.last_at >= $6 and r.first_at < $7 and (select txid from mark) > 0
), parts as (
    select r.meter_id, greatest(r.bucket, $6) as at, r.project_id, r.user_id, r.model, r.sum, r.count, r.min, r.max,
        r.last_value, r.last_at, r.last_received_at, r.last_dedup, null::text as value
    from usage_rollups r
    where r.tenant_id = $1 and r.meter_id = any ($2) and ($8::uuid is null or r.project_id = $8)
        and r.bucket >= $10 and r.bucket < $7 and r.first_at >= $6 and r.last_at < $7
        and (select txid from mark) > 0",
    // The upper bound, which excludes nothing, tells the planner that the range is narrow.
    raw!(
        "e.txid >= (select txid from mark) and e.txid <= 9223372036854775807
        and ($9::text is null or pg_visible_in_snapshot(e.txid::text::xid8, $9::pg_snapshot))"
    ),
    // `+ 0` keeps the planner from the index on txid, along which nearly everything would match.
    raw!(
        "(select exists (select from clipped)) and e.txid + 0 < (select txid from mark)
        and (e.occurred_at < $10 + interval '15 minutes' or e.occurred_at >= $11)
        and (e.meter_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00:00+00'),
            coalesce(e.project_id, '00000000-0000-0000-0000-000000000000'), coalesce(e.user_id, ''), coalesce(e.model, '')
        ) in (select c.meter_id, c.bucket, c.project_id, c.user_id, c.model from clipped c)"
    ),
    "
    union all
    select w.meter_id, $6, '00000000-0000-0000-0000-000000000000', '', '', 0, 0, null, null,
        null, null, null, null, null
    from wanted w where $12"
);

/// Different values are counted from raw events: they cannot be added up.
const UNIQUE: &str = "
    union all
    select e.meter_id, e.occurred_at, coalesce(e.project_id, '00000000-0000-0000-0000-000000000000'),
        coalesce(e.user_id, ''), coalesce(e.model, ''), 0, 1, null, null, null, null, null, null,
        case w.value_field when 'user_id' then coalesce(e.user_id, e.metadata ->> 'user_id')
            when 'model' then coalesce(e.model, e.metadata ->> 'model')
            when 'project_id' then coalesce(e.project_id::text, e.metadata ->> 'project_id')
            else e.metadata ->> w.value_field end
    from usage_events e join wanted w using (meter_id)
    where e.tenant_id = $1 and e.meter_id = any ($3) and ($8::uuid is null or e.project_id = $8)
        and e.received_at >= $6 - interval '1 hour' and e.occurred_at >= $6 and e.occurred_at < $7
        and ($9::text is null or pg_visible_in_snapshot(e.txid::text::xid8, $9::pg_snapshot))";

const GROUPS: &str = "
), groups as (
    select p.meter_id,
        case when $13::timestamptz[] is null then date_bin('15 minutes', p.at, timestamptz '2000-01-01 00:00:00+00')
            else ($13)[width_bucket(p.at, $13)] end as bucket,
        case when $14 then p.project_id else '00000000-0000-0000-0000-000000000000' end as project_id,
        case when $15 then p.user_id else '' end collate \"C\" as user_id,
        case when $16 then p.model else '' end collate \"C\" as model,
        p.sum, p.count, p.min, p.max, p.last_value, p.last_at, p.last_received_at, p.last_dedup, p.value
    from parts p
), totals as (
    select g.meter_id, g.bucket, g.project_id, g.user_id, g.model,
        sum(g.sum) as sum, sum(g.count) as count, min(g.min) as min, max(g.max) as max";

/// The value of the latest event: sorts, so it is left out where no meter wants it.
const LATEST: &str = ",
        (array_agg(g.last_value order by g.last_at desc, g.last_received_at desc, g.last_dedup desc)
            filter (where g.last_at is not null))[1] as latest";
const NO_LATEST: &str = ", null::numeric as latest";

const COUNTED: &str = ", count(distinct g.value)::numeric as counted";
const NOT_COUNTED: &str = ", null::numeric as counted";

const ANSWER: &str = "
    from groups g group by 1, 2, 3, 4, 5
), answers as (
    select w.meter_id, w.metric collate \"C\" as metric, t.bucket, t.project_id, t.user_id, t.model,
        coalesce(case w.aggregation when 'sum' then t.sum when 'count' then t.count when 'max' then t.max
            when 'min' then t.min when 'latest' then t.latest else t.counted end, 0) as quantity
    from totals t join wanted w using (meter_id)
)
select meter_id, bucket, project_id, user_id, model, quantity from answers
where $17::text is null
    or (metric, bucket, project_id, user_id, model) > ($17, $18, $19::uuid, $20::text, $21::text)
order by metric, bucket, project_id, user_id, model
limit $23";

pub(super) fn rows(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    query: &UsageQuery,
    page: &Page<'_>,
) -> Result<Vec<UsageRow>, StoreError> {
    let (unique, plain): (Vec<&Meter>, Vec<&Meter>) = query
        .meters
        .iter()
        .partition(|meter| meter.aggregation == Aggregation::Unique);
    let has_latest = plain
        .iter()
        .any(|meter| meter.aggregation == Aggregation::Latest);
    let meters = || plain.iter().chain(&unique);
    let ids = |meters: &[&Meter]| -> Vec<Uuid> { meters.iter().map(|m| m.id.as_uuid()).collect() };
    let after = page.after.map(Behind::of).transpose()?;
    let starts = match &query.buckets {
        Buckets::Quarters => None,
        Buckets::At(starts) => Some(starts.as_slice()),
    };
    let text = statement(has_latest, !unique.is_empty());
    let answers: Vec<Answer> = sql_query(text)
        .bind::<sql::Uuid, _>(tenant_id.as_uuid())
        .bind::<sql::Array<sql::Uuid>, _>(ids(&plain))
        .bind::<sql::Array<sql::Uuid>, _>(ids(&unique))
        .bind::<sql::Array<sql::Text>, _>(meters().map(|m| m.key.as_str()).collect::<Vec<_>>())
        .bind::<sql::Array<sql::Text>, _>(
            meters().map(|m| m.aggregation.as_str()).collect::<Vec<_>>(),
        )
        .bind::<sql::Timestamptz, _>(query.from)
        .bind::<sql::Timestamptz, _>(query.to)
        .bind::<sql::Nullable<sql::Uuid>, _>(query.project_id.map(ProjectId::as_uuid))
        .bind::<sql::Nullable<sql::Text>, _>(page.as_of)
        .bind::<sql::Timestamptz, _>(quarter_of(query.from))
        .bind::<sql::Timestamptz, _>(quarter_of(query.to))
        .bind::<sql::Bool, _>(query.with_empty)
        .bind::<sql::Nullable<sql::Array<sql::Timestamptz>>, _>(starts)
        .bind::<sql::Bool, _>(query.group_by.project)
        .bind::<sql::Bool, _>(query.group_by.user)
        .bind::<sql::Bool, _>(query.group_by.model)
        .bind::<sql::Nullable<sql::Text>, _>(after.as_ref().map(|after| after.metric))
        .bind::<sql::Nullable<sql::Timestamptz>, _>(after.as_ref().map(|after| after.bucket))
        .bind::<sql::Nullable<sql::Uuid>, _>(after.as_ref().map(|after| after.project_id))
        .bind::<sql::Nullable<sql::Text>, _>(after.as_ref().map(|after| after.user_id))
        .bind::<sql::Nullable<sql::Text>, _>(after.as_ref().map(|after| after.model))
        .bind::<sql::Array<sql::Nullable<sql::Text>>, _>(
            meters()
                .map(|m| m.value_field.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind::<sql::BigInt, _>(i64::from(page.limit))
        .load(conn)
        .map_err(store_error)?;
    answers
        .into_iter()
        .map(|answer| answer.into_row(&query.meters))
        .collect()
}

/// The statement's text depends on which branches it needs, and on nothing that a client says.
fn statement(has_latest: bool, has_unique: bool) -> String {
    [
        PARTS,
        if has_unique { UNIQUE } else { "" },
        GROUPS,
        if has_latest { LATEST } else { NO_LATEST },
        if has_unique { COUNTED } else { NOT_COUNTED },
        ANSWER,
    ]
    .concat()
}

/// The start of the quarter of an hour around an instant.
fn quarter_of(at: OffsetDateTime) -> OffsetDateTime {
    let width = BUCKET.whole_nanoseconds();
    let into = at.unix_timestamp_nanos().rem_euclid(width);
    at.saturating_sub(Duration::nanoseconds(i64::try_from(into).unwrap_or(0)))
}

/// The sort key of a cursor.
struct Behind<'a> {
    metric: &'a str,
    bucket: OffsetDateTime,
    project_id: Uuid,
    user_id: &'a str,
    model: &'a str,
}

impl<'a> Behind<'a> {
    fn of((metric, micros, project_id, user_id, model): &'a After) -> Result<Self, StoreError> {
        let bucket = OffsetDateTime::from_unix_timestamp_nanos(i128::from(*micros) * 1000)
            .map_err(|_| unreadable("cursor", micros))?;
        Ok(Self {
            metric,
            bucket,
            project_id: *project_id,
            user_id,
            model,
        })
    }
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = sql::Uuid)]
    meter_id: Uuid,
    #[diesel(sql_type = sql::Timestamptz)]
    bucket: OffsetDateTime,
    #[diesel(sql_type = sql::Uuid)]
    project_id: Uuid,
    #[diesel(sql_type = sql::Text)]
    user_id: String,
    #[diesel(sql_type = sql::Text)]
    model: String,
    #[diesel(sql_type = sql::Numeric)]
    quantity: BigDecimal,
}

impl Answer {
    fn into_row(self, meters: &[Meter]) -> Result<UsageRow, StoreError> {
        let meter = meters
            .iter()
            .find(|meter| meter.id.as_uuid() == self.meter_id)
            .ok_or_else(|| unreadable("meter", self.meter_id))?;
        Ok(UsageRow {
            metric: meter.key.clone(),
            aggregation: meter.aggregation,
            unit: meter.unit.clone(),
            bucket: self.bucket,
            quantity: self.quantity.into(),
            project_id: Some(self.project_id)
                .filter(|id| !id.is_nil())
                .map(ProjectId::from),
            user_id: Some(self.user_id).filter(|user| !user.is_empty()),
            model: Some(self.model).filter(|model| !model.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_quarter_starts_before_what_is_in_it() {
        let quarter = datetime!(2026-11-01 10:15 UTC);
        assert_eq!(quarter_of(quarter), quarter);
        assert_eq!(
            quarter_of(datetime!(2026-11-01 10:29:59.999999 UTC)),
            quarter
        );
        assert_eq!(
            quarter_of(datetime!(1969-12-31 23:59 UTC)),
            datetime!(1969-12-31 23:45 UTC)
        );
    }
}
