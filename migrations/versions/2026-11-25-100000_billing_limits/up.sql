-- How an entitlement is counted and what happens at its limit: of plans, and of what one tenant has instead.
alter table plan_entitlements
    -- What a quota starts anew with. `billing_month` is the month that starts on the subscription's day; the others are the tenant's calendar.
    add column cycle text not null default 'billing_month'
        check (cycle in ('billing_month', 'calendar_month', 'calendar_day')),
    add column enforcement text not null default 'hard' check (enforcement in ('hard', 'soft', 'grace')),
    -- How far beyond the limit grace reaches; null has no bound.
    add column grace_percent integer check (grace_percent between 1 and 1000),
    -- How long grace lasts from when the limit was first crossed; null has no end.
    add column grace_seconds bigint check (grace_seconds between 1 and 31622400),
    add constraint plan_entitlements_grace_check
        check ((enforcement = 'grace') = (num_nonnulls(grace_percent, grace_seconds) > 0));
alter table tenant_entitlement_overrides
    add column cycle text not null default 'billing_month'
        check (cycle in ('billing_month', 'calendar_month', 'calendar_day')),
    add column enforcement text not null default 'hard' check (enforcement in ('hard', 'soft', 'grace')),
    add column grace_percent integer check (grace_percent between 1 and 1000),
    add column grace_seconds bigint check (grace_seconds between 1 and 31622400),
    add constraint tenant_entitlement_overrides_grace_check
        check ((enforcement = 'grace') = (num_nonnulls(grace_percent, grace_seconds) > 0));

-- Which thresholds of which limit were reached in a period. The key is what makes the fact in the outbox one fact, however many find out at
-- once: facts are deleted after some days, these rows outlive their period.
create table entitlement_thresholds (
    tenant_id uuid not null references tenants (id),
    key text not null check (length(key) between 1 and 255),
    period_start timestamptz not null,
    maximum bigint not null check (maximum > 0),
    threshold smallint not null check (threshold between 1 and 100),
    used bigint not null,
    reached_at timestamptz not null,
    primary key (tenant_id, key, period_start, maximum, threshold)
);

-- When a tenant first went past a limit that grants time.
create table entitlement_graces (
    tenant_id uuid not null references tenants (id),
    key text not null check (length(key) between 1 and 255),
    -- The period of the quota; null for what is counted without one.
    period_start timestamptz,
    started_at timestamptz not null,
    primary key (tenant_id, key)
);

-- How far usage was looked through for thresholds: events of older transactions were. Global; holds no tenant's data.
create table quota_watch (
    only_row boolean primary key default true check (only_row),
    txid bigint not null
);
insert into quota_watch (txid) values (pg_snapshot_xmin(pg_current_snapshot())::text::bigint);
