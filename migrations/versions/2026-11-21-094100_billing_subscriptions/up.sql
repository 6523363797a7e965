create table subscriptions (
    tenant_id uuid not null references tenants (id),
    id uuid not null default gen_random_uuid(),
    status text not null default 'active'
        check (status in ('trialing', 'active', 'past_due', 'paused', 'canceled', 'incomplete')),
    plan_code text not null,
    plan_version integer not null,
    -- An order for later. It is in force from its instant on, whether or not anybody has moved it up yet.
    pending_plan_code text,
    pending_plan_version integer,
    pending_at timestamptz,
    -- Periods are counted from here, in this zone, for as long as the subscription lives.
    anchor_at timestamptz not null,
    timezone text not null,
    interval text not null check (interval in ('month', 'year')),
    cancel_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (plan_code, plan_version) references plan_versions (plan_code, version),
    foreign key (pending_plan_code, pending_plan_version) references plan_versions (plan_code, version),
    check (num_nulls(pending_plan_code, pending_plan_version, pending_at) in (0, 3))
);
-- One live subscription a tenant.
create unique index subscriptions_live_key on subscriptions (tenant_id) where status <> 'canceled';
create index subscriptions_plan_idx on subscriptions (plan_code, plan_version);
create index subscriptions_pending_plan_idx on subscriptions (pending_plan_code, pending_plan_version);
create index subscriptions_pending_idx on subscriptions (pending_at) where pending_at is not null;

-- Which plan a subscription had from when on: what an invoice prorates by.
create table subscription_changes (
    tenant_id uuid not null,
    subscription_id uuid not null,
    effective_at timestamptz not null,
    plan_code text not null,
    plan_version integer not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, subscription_id, effective_at),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    foreign key (plan_code, plan_version) references plan_versions (plan_code, version)
);
create index subscription_changes_plan_idx on subscription_changes (plan_code, plan_version);

-- Counted things of the host product. Names sort by byte, whatever the database's locale: cursors depend on it.
create table resources (
    tenant_id uuid not null references tenants (id),
    kind text collate "C" not null check (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    external_id text collate "C" not null check (length(external_id) between 1 and 255),
    created_at timestamptz not null default now(),
    primary key (tenant_id, kind, external_id)
);

create table quota_reservations (
    tenant_id uuid not null references tenants (id),
    id uuid not null default gen_random_uuid(),
    key text not null check (length(key) between 1 and 255),
    quantity bigint not null check (quantity > 0),
    status text not null default 'open' check (status in ('open', 'settled', 'released')),
    settled_quantity bigint check (settled_quantity >= 0),
    expires_at timestamptz not null,
    finished_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    check ((settled_quantity is not null) = (status = 'settled')),
    check ((finished_at is null) = (status = 'open'))
);
create index quota_reservations_open_idx on quota_reservations (tenant_id, key, expires_at) where status = 'open';
create index quota_reservations_settled_idx on quota_reservations (tenant_id, key, finished_at) where status = 'settled';

create table invoices (
    tenant_id uuid not null references tenants (id),
    id uuid not null default gen_random_uuid(),
    subscription_id uuid not null,
    number text,
    status text not null check (status in ('draft', 'open', 'paid', 'void', 'uncollectible')),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    period_start timestamptz not null,
    period_end timestamptz not null,
    subtotal bigint not null,
    discount_total bigint not null default 0,
    tax_total bigint not null default 0,
    total bigint not null,
    watermark text,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, number),
    foreign key (tenant_id, subscription_id) references subscriptions (tenant_id, id),
    check (period_start < period_end),
    check (total = subtotal - discount_total + tax_total)
);
create index invoices_subscription_idx on invoices (tenant_id, subscription_id);

create table invoice_lines (
    tenant_id uuid not null,
    invoice_id uuid not null,
    position integer not null check (position > 0),
    description text not null,
    metric text,
    plan_code text not null,
    plan_version integer not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    quantity numeric not null,
    unit_price numeric not null,
    -- The steps of the price that were used: [{from, to, quantity, unit_amount, flat_amount, amount}], each a decimal string.
    tiers jsonb not null default '[]',
    amount bigint not null,
    watermark text,
    primary key (tenant_id, invoice_id, position),
    foreign key (tenant_id, invoice_id) references invoices (tenant_id, id),
    foreign key (plan_code, plan_version) references plan_versions (plan_code, version)
);
create index invoice_lines_plan_idx on invoice_lines (plan_code, plan_version);
