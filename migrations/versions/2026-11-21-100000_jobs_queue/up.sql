-- Jobs are global rows: some work for a tenant, some for the deployment. The API's role may add to them and see none.
create table jobs (
    id uuid primary key,
    -- No foreign key: a job may outlive its tenant, and then finds nothing to do.
    tenant_id uuid,
    kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    queue text not null default 'default' check (queue ~ '^[a-z][a-z0-9_]{0,62}$'),
    -- Smaller goes first. Few values, because each is looked through on its own: see the claim.
    priority smallint not null default 1 check (priority between 0 and 3),
    state text not null default 'ready' check (state in ('ready', 'running', 'done', 'dead', 'cancelled')),
    run_at timestamptz not null default now(),
    attempt smallint not null default 0,
    max_attempts smallint not null default 20 check (max_attempts > 0),
    lease_until timestamptz,
    -- Grows each time the job is taken: what an earlier holder says no longer counts.
    lease_no bigint not null default 0,
    payload jsonb not null default '{}',
    dedupe_key text check (length(dedupe_key) between 1 and 255),
    last_error text,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    check ((state = 'running') = (lease_until is not null)),
    check ((state in ('done', 'dead', 'cancelled')) = (finished_at is not null))
);
create index jobs_ready_idx on jobs (queue, priority, run_at, id) where state = 'ready';
create index jobs_lease_idx on jobs (lease_until) where state = 'running';
create index jobs_finished_idx on jobs (finished_at) where finished_at is not null;
create unique index jobs_dedupe_key on jobs (tenant_id, kind, dedupe_key) nulls not distinct
    where dedupe_key is not null and state in ('ready', 'running');

-- When jobs are due. Rows are written once by the program; operators change them in place.
create table schedules (
    name text primary key check (length(name) between 1 and 63),
    kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    -- `queued` adds a job each time; `inline` runs in the one worker that holds the lease.
    runs text not null default 'queued' check (runs in ('queued', 'inline')),
    cron text,
    every_ms bigint check (every_ms between 100 and 31622400000),
    zone text not null default 'UTC',
    enabled boolean not null default true,
    next_at timestamptz not null,
    last_run_at timestamptz,
    last_error text,
    lease_until timestamptz,
    lease_no bigint not null default 0,
    check (num_nonnulls(cron, every_ms) = 1),
    check (runs = 'queued' or every_ms is not null)
);

-- Facts that others act on, written in the transaction that makes them true. No foreign key: the last facts are about a tenant that is gone.
create table outbox (
    tenant_id uuid not null,
    -- Grows with time, so that it is also the order.
    id uuid not null,
    topic text not null check (topic ~ '^[a-z_]+(\.[a-z_0-9]+)+$' and length(topic) <= 128),
    key text check (length(key) between 1 and 255),
    payload jsonb not null default '{}',
    occurred_at timestamptz not null,
    relayed_at timestamptz,
    primary key (tenant_id, id),
    unique (tenant_id, topic, key)
);
create index outbox_unrelayed_idx on outbox (id) where relayed_at is null;
create index outbox_relayed_idx on outbox (relayed_at) where relayed_at is not null;
