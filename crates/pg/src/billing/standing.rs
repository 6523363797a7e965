//! Where a tenant stands with one entitlement, in one round trip.

use billing::{Anchor, Crossing, Standing, resource};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use kernel::{StoreError, TenantId};
use time::OffsetDateTime;

use super::{plans::GrantRow, subscriptions::zone};
use crate::{error::store_error, prepared::Prepared};

/// One statement, so one snapshot. What is counted by a rule of its own is counted by the same words as in `counts`.
const STANDING: &str = "
with subscribed as (
    select s.anchor_at, s.timezone,
        s.status <> 'incomplete' and (s.cancel_at is null or s.cancel_at > $3) as is_live,
        case when s.pending_at <= $3 then s.pending_plan_code else s.plan_code end as code,
        case when s.pending_at <= $3 then s.pending_plan_version else s.plan_version end as version
    from subscriptions s where s.tenant_id = $1 and s.status <> 'canceled'
)
select t.timezone, s.anchor_at, s.timezone as anchor_zone, case when s.is_live then s.code end as plan,
    g.key, g.kind, g.maximum, g.metric, g.value, g.cycle, g.enforcement, g.grace_percent, g.grace_seconds,
    case $2
        when 'max_members' then
            (select count(*) from memberships m where m.tenant_id = $1 and m.status = 'active')
            + (select count(*) from invitations i where i.tenant_id = $1 and i.status = 'pending' and i.expires_at > $3)
        when 'max_projects' then
            (select count(*) from projects p where p.tenant_id = $1 and p.status <> 'archived' and not p.is_default)
        else (select count(*) from resources r where r.tenant_id = $1 and r.kind = $4)
    end as things,
    (select coalesce(sum(q.quantity), 0)::bigint from quota_reservations q
     where q.tenant_id = $1 and q.key = $2 and q.status = 'open' and q.expires_at > $3) as held,
    c.period_start as crossed_period, c.started_at as crossed_at,
    pg_current_snapshot()::text as watermark
from tenants t
left join subscribed s on true
left join lateral (
    select 1 as place, o.key, o.kind, o.maximum, o.metric, o.value, o.cycle, o.enforcement, o.grace_percent, o.grace_seconds
    from tenant_entitlement_overrides o
    where o.tenant_id = $1 and o.key = $2 and (o.expires_at is null or o.expires_at > $3)
    union all
    select 2, p.key, p.kind, p.maximum, p.metric, p.value, p.cycle, p.enforcement, p.grace_percent, p.grace_seconds
    from plan_entitlements p
    where s.is_live and p.plan_code = s.code and p.plan_version = s.version and p.key = $2
    order by place limit 1
) g on true
left join entitlement_graces c on c.tenant_id = $1 and c.key = $2
where t.id = $1";

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
}

pub(super) fn standing(
    conn: &mut PgConnection,
    tenant_id: TenantId,
    key: &str,
    at: OffsetDateTime,
) -> Result<Standing, StoreError> {
    let row: Row = Prepared(
        sql_query(STANDING)
            .bind::<SqlUuid, _>(tenant_id.as_uuid())
            .bind::<Text, _>(key)
            .bind::<Timestamptz, _>(at)
            .bind::<Nullable<Text>, _>(resource::kind_of_limit(key)),
    )
    .get_result(conn)
    .map_err(store_error)?;
    let anchor = match (row.anchor_at, &row.anchor_zone) {
        (Some(at), Some(name)) => Some(Anchor {
            at,
            zone: zone(name)?,
        }),
        _ => None,
    };
    Ok(Standing {
        grant: row.grant.map(GrantRow::read).transpose()?,
        zone: zone(&row.timezone)?,
        plan: row.plan,
        anchor,
        things: row.things,
        held: row.held,
        crossing: row.crossed_at.map(|at| Crossing {
            period_start: row.crossed_period,
            at,
        }),
        watermark: row.watermark,
    })
}
