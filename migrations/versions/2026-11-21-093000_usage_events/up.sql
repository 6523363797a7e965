-- What is measured, for every tenant from the start. Global; rows come from the replaceable seed, with ids that never change.
create table standard_meters (
    id uuid primary key,
    key text not null unique check (key ~ '^[a-z][a-z0-9_.]{0,63}$'),
    name text not null,
    aggregation text not null check (aggregation in ('sum', 'count', 'max', 'min', 'latest', 'unique')),
    unit text not null,
    dimensions text[] not null,
    created_at timestamptz not null
);

-- What a tenant measures besides.
create table meters (
    tenant_id uuid not null references tenants (id),
    id uuid not null default gen_random_uuid(),
    key text not null check (key ~ '^[a-z][a-z0-9_.]{0,63}$'),
    name text not null check (length(name) between 1 and 255),
    aggregation text not null check (aggregation in ('sum', 'count', 'max', 'min', 'latest', 'unique')),
    unit text not null check (length(unit) between 1 and 64),
    dimensions text[] not null default '{}',
    -- The field of an event that holds the value, when it is not `quantity`.
    value_field text check (length(value_field) between 1 and 64),
    allows_negative boolean not null default false,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, key),
    check (aggregation <> 'unique' or value_field is not null)
);

-- Facts, as they came. Partitioned by the time they were received, so that the partitions of the last 35 days are few and known, whatever
-- time the facts themselves carry. No foreign keys: the check of one would lock the tenant's row once per event, and rows are written
-- under row-level security only. Each partition has a unique index on (tenant_id, dedup), which `app.ensure_usage_partitions` makes:
-- PostgreSQL has no such key over a whole partitioned table.
create table usage_events (
    tenant_id uuid not null,
    meter_id uuid not null,
    -- 128 bits of SHA-256 over source and id: what makes an event one event.
    dedup uuid not null,
    -- 128 bits of SHA-256 over everything else that the client said: tells a replay from another fact under the same id.
    payload_hash uuid not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    -- The writing transaction. The rollup reads along it.
    txid bigint not null default (pg_current_xact_id()::text::bigint),
    project_id uuid,
    quantity numeric not null,
    event_id text not null,
    source text not null,
    user_id text,
    model text,
    metadata jsonb
) partition by range (received_at);
-- The rollup's way through the table, and the reader's to what is not rolled up yet. Grows at its right edge only, and the rows of one
-- transaction share an entry.
create index usage_events_txid_idx on usage_events (txid);
-- Finds the events of a day or of a clipped bucket. Events come in about the order they happen in, so a few bytes per range of pages will
-- do, and the multi-range form keeps one late event from widening its whole range.
create index usage_events_occurred_idx on usage_events
    using brin (occurred_at timestamptz_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on);

-- How far the rollup has come: every row of an older transaction is in `usage_rollups`, no other is. Global; holds no tenant's data.
create table usage_watermark (
    only_row boolean primary key default true check (only_row),
    txid bigint not null,
    moved_at timestamptz not null default now()
);

-- Quarters of an hour, which the days of every time zone are made of. Dimensions are never null, so that the key is a key: no project is the
-- nil UUID, no user and no model are ''.
create table usage_rollups (
    tenant_id uuid not null,
    meter_id uuid not null,
    bucket timestamptz not null,
    project_id uuid not null,
    user_id text not null,
    model text not null,
    sum numeric not null,
    count bigint not null,
    min numeric not null,
    max numeric not null,
    -- When the first and the last event of the bucket happened: a range that has both inside needs no look at the events themselves.
    first_at timestamptz not null,
    last_at timestamptz not null,
    -- For meters that keep the latest value: the last event of the bucket by (occurred_at, received_at, dedup), an order that does not
    -- depend on when the rollup came by.
    last_value numeric,
    last_received_at timestamptz,
    last_dedup uuid,
    primary key (tenant_id, meter_id, bucket, project_id, user_id, model)
) with (fillfactor = 70);

-- Days with usage, in the tenant's time zone, and whether their books are closed.
create table usage_days (
    tenant_id uuid not null references tenants (id),
    day date not null,
    timezone text not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    state text not null default 'open' check (state in ('open', 'closed', 'reopened')),
    -- How often the day was closed: 1 when no event came late.
    closes integer not null default 0,
    closed_at timestamptz,
    -- What raw events and rollups differ by: quantities and numbers of events, added up without signs. Nothing but 0 is right.
    drift numeric,
    created_at timestamptz not null default now(),
    primary key (tenant_id, day),
    check (starts_at < ends_at),
    check ((state = 'open') = (closes = 0))
);
create index usage_days_due_idx on usage_days (ends_at) where state <> 'closed';

-- The totals of closed days.
create table usage_daily (
    tenant_id uuid not null,
    meter_id uuid not null,
    day date not null,
    -- What the meter's aggregation makes of the day.
    quantity numeric not null,
    sum numeric not null,
    count bigint not null,
    min numeric not null,
    max numeric not null,
    primary key (tenant_id, meter_id, day),
    foreign key (tenant_id, day) references usage_days (tenant_id, day)
);
create index usage_daily_day_idx on usage_daily (tenant_id, day);
