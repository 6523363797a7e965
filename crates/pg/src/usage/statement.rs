//! The statement that answers a question about usage.
//!
//! Its text depends on which branches it needs and on how many dimensions are asked for, and on nothing else that a client says: names and
//! values are parameters. Dimensions are taken out of their JSON only where a question names some.

/// What the text depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Whether a meter keeps the latest value.
    pub(super) has_latest: bool,
    /// Whether a meter counts different values.
    pub(super) has_unique: bool,
    /// Whether only some projects, users or models are wanted.
    pub(super) is_filtered: bool,
    /// Dimensions whose values are restricted.
    pub(super) filters: usize,
    /// Dimensions that usage is told apart by.
    pub(super) groups: usize,
}

const MARK: &str = "
with mark as materialized (
    -- A question about less than is rolled up is answered from raw events alone.
    select case when $8::text is null or txid <= pg_snapshot_xmin($8::pg_snapshot)::text::bigint then txid else 0 end as txid
    from usage_watermark
), wanted as (
    select * from unnest($2, $3::text[], $4::text[]) as w (meter_id, metric, aggregation)
), clipped as materialized (
    -- Buckets at the ends of the range that have events on both sides of its end.
    select r.meter_id, r.bucket, r.project_id, r.user_id, r.model, r.dims, r.value_hash
    from usage_rollups r
    where r.tenant_id = $1 and r.meter_id = any ($2) and ($7::uuid is null or r.project_id = $7)
        and r.bucket = any (array[$9, $10]) and (r.first_at < $5 or r.last_at >= $6)
        and r.last_at >= $5 and r.first_at < $6 and (select txid from mark) > 0";

const ROLLED: &str = "
), parts as (
    select r.meter_id, greatest(r.bucket, $5) as at, r.project_id, r.user_id, r.model, r.dims, r.value_hash,
        r.sum, r.count, r.min, r.max, r.last_value, r.last_at, r.last_received_at, r.last_dedup
    from usage_rollups r
    where r.tenant_id = $1 and r.meter_id = any ($2) and ($7::uuid is null or r.project_id = $7)
        and r.bucket >= $9 and r.bucket < $6 and r.first_at >= $5 and r.last_at < $6
        and (select txid from mark) > 0";

/// What the raw events that count look like, up to the condition that tells them.
const RAW: &str = "
    union all
    select e.meter_id, e.occurred_at, coalesce(e.project_id, '00000000-0000-0000-0000-000000000000'),
        coalesce(e.user_id, ''), coalesce(e.model, ''), coalesce(e.dims, ''),
        coalesce(e.value_hash, '00000000-0000-0000-0000-000000000000'),
        e.quantity, 1, e.quantity, e.quantity, e.quantity, e.occurred_at, e.received_at, e.dedup
    from usage_events e
    where e.tenant_id = $1 and e.meter_id = any ($2) and ($7::uuid is null or e.project_id = $7)
        -- Nothing is received long before it happens: older partitions need not be looked at.
        and e.received_at >= $5 - interval '1 hour' and e.occurred_at >= $5 and e.occurred_at < $6";

/// Events that are not rolled up. The upper bound, which excludes nothing, tells the planner that the range is narrow.
const TAIL: &str = "
        and e.txid >= (select txid from mark) and e.txid <= 9223372036854775807
        and ($8::text is null or pg_visible_in_snapshot(e.txid::text::xid8, $8::pg_snapshot))";

/// Events of clipped buckets. `+ 0` keeps the planner from the index on txid, along which nearly everything would match.
const CLIPPED: &str = "
        and (select exists (select from clipped)) and e.txid + 0 < (select txid from mark)
        and (e.occurred_at < $9 + interval '15 minutes' or e.occurred_at >= $10)
        and (e.meter_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00:00+00'),
            coalesce(e.project_id, '00000000-0000-0000-0000-000000000000'), coalesce(e.user_id, ''), coalesce(e.model, ''),
            coalesce(e.dims, ''), coalesce(e.value_hash, '00000000-0000-0000-0000-000000000000')
        ) in (select c.meter_id, c.bucket, c.project_id, c.user_id, c.model, c.dims, c.value_hash from clipped c)";

const EMPTY: &str = "
    union all
    select w.meter_id, $5, '00000000-0000-0000-0000-000000000000', '', '', '', '00000000-0000-0000-0000-000000000000',
        0, 0, null, null, null, null, null, null
    from wanted w where $11
), groups as (
    select p.meter_id,
        case when $12::timestamptz[] is null then date_bin('15 minutes', p.at, timestamptz '2000-01-01 00:00:00+00')
            else ($12)[width_bucket(p.at, $12)] end as bucket,
        case when $13 then p.project_id else '00000000-0000-0000-0000-000000000000' end as project_id,
        case when $14 then p.user_id else '' end collate \"C\" as user_id,
        case when $15 then p.model else '' end collate \"C\" as model, ";

const TOTALS: &str = " as dims,
        p.value_hash, p.sum, p.count, p.min, p.max, p.last_value, p.last_at, p.last_received_at, p.last_dedup
    from parts p
), totals as (
    select g.meter_id, g.bucket, g.project_id, g.user_id, g.model, g.dims,
        sum(g.sum) as sum, sum(g.count) as count, min(g.min) as min, max(g.max) as max";

/// The value of the latest event: sorts, so it is left out where no meter wants it.
const LATEST: &str = ",
        (array_agg(g.last_value order by g.last_at desc, g.last_received_at desc, g.last_dedup desc)
            filter (where g.last_at is not null))[1] as latest";
const NO_LATEST: &str = ", null::numeric as latest";

const COUNTED: &str = ",
        count(distinct nullif(g.value_hash, '00000000-0000-0000-0000-000000000000'))::numeric as counted";
const NOT_COUNTED: &str = ", null::numeric as counted";

const ANSWER: &str = "
    from groups g group by 1, 2, 3, 4, 5, 6
), answers as (
    select w.meter_id, w.metric collate \"C\" as metric, t.bucket, t.project_id, t.user_id, t.model, t.dims,
        coalesce(case w.aggregation when 'sum' then t.sum when 'count' then t.count when 'max' then t.max
            when 'min' then t.min when 'latest' then t.latest else t.counted end, 0) as quantity
    from totals t join wanted w using (meter_id)
)
select meter_id, bucket, project_id, user_id, model, dims, quantity from answers
where $16::text is null
    or (metric, bucket, project_id, user_id, model, dims)
        > ($16, $17, $18::uuid, $19::text, $20::text, $21::text[])
order by metric, bucket, project_id, user_id, model, dims
limit $22";

/// The text of a statement.
pub(super) fn text(shape: Shape) -> String {
    let (rolled, raw) = (condition(shape, "r"), condition(shape, "e"));
    [
        MARK,
        &rolled,
        ROLLED,
        &rolled,
        RAW,
        &raw,
        TAIL,
        RAW,
        &raw,
        CLIPPED,
        EMPTY,
        &grouped(shape.groups),
        TOTALS,
        if shape.has_latest { LATEST } else { NO_LATEST },
        if shape.has_unique {
            COUNTED
        } else {
            NOT_COUNTED
        },
        ANSWER,
    ]
    .concat()
}

/// What a row must be to count, beside its tenant, meter and time. What names nothing comes as null.
fn condition(shape: Shape, row: &str) -> String {
    let mut text = String::new();
    if shape.is_filtered {
        text += &format!(
            "
        and ($23::uuid[] is null or coalesce({row}.project_id, '00000000-0000-0000-0000-000000000000') = any ($23))
        and ($24::text[] is null or coalesce({row}.user_id, '') = any ($24))
        and ($25::text[] is null or coalesce({row}.model, '') = any ($25))"
        );
    }
    if shape.filters > 0 {
        // Each name, followed by the value that the row has, must be among the alternatives.
        let pairs: Vec<String> = (1..=shape.filters)
            .map(|n| format!("($26)[{n}] || '=' || {}", value(row, 26, n)))
            .collect();
        text += &format!("\n        and array[{}] <@ $27::text[]", pairs.join(", "));
    }
    text
}

/// The values that usage is told apart by, in the order of their names.
fn grouped(count: usize) -> String {
    if count == 0 {
        return "'{}'::text[]".to_owned();
    }
    let values: Vec<String> = (1..=count).map(|n| value("p", 28, n)).collect();
    format!("array[{}] collate \"C\"", values.join(", "))
}

/// The value of the `n`th dimension that a parameter names; '' when the row does not have it.
fn value(row: &str, parameter: u32, n: usize) -> String {
    format!("coalesce(nullif({row}.dims, '')::jsonb ->> (${parameter}::text[])[{n}], '')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_only_for_dimensions_that_are_named() {
        assert!(!text(Shape::default()).contains("jsonb"));
        let grouped = Shape {
            groups: 2,
            ..Shape::default()
        };
        assert_eq!(text(grouped).matches("jsonb").count(), 2);
        // In each branch that reads rows: clipped and whole buckets, the tail, and the events of clipped buckets.
        let filtered = Shape {
            filters: 3,
            ..Shape::default()
        };
        assert_eq!(text(filtered).matches("jsonb").count(), 12);
    }
}
