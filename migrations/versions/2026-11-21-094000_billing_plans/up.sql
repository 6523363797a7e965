-- Plans: global, for every tenant the same; rows come from the replaceable seed. A published version never changes.
create table plans (
    code text primary key check (code ~ '^[a-z][a-z0-9_]{0,62}$'),
    -- The version that is sold; null when the plan is not on sale.
    current_version integer,
    -- Its place in the list.
    position integer not null default 0
);

create table plan_versions (
    plan_code text not null references plans (code),
    version integer not null check (version > 0),
    -- Which catalogue brought it.
    catalogue text not null,
    name text not null check (length(name) between 1 and 255),
    -- The base price of one interval, in minor units.
    amount bigint not null check (amount >= 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    interval text not null check (interval in ('month', 'year')),
    published_at timestamptz not null default now(),
    primary key (plan_code, version)
);
alter table plans add foreign key (code, current_version) references plan_versions (plan_code, version);

-- Other names that an order may use. A plan's own code wins over an alias.
create table plan_aliases (
    alias text primary key check (alias ~ '^[a-z][a-z0-9_]{0,62}$'),
    plan_code text not null references plans (code)
);
create index plan_aliases_plan_idx on plan_aliases (plan_code);

-- What usage costs under a version of a plan. Unit prices are in major units, exact; bounds are in minor units.
create table prices (
    plan_code text not null,
    plan_version integer not null,
    metric text not null check (length(metric) between 1 and 64),
    model text not null check (model in ('flat', 'per_unit', 'graduated', 'volume', 'package', 'percentage')),
    -- Of one unit, of one package, of the whole when flat; percent when a percentage; null when tiers say it.
    unit_amount numeric check (unit_amount >= 0),
    package_size numeric check (package_size > 0),
    -- [{up_to, unit_amount, flat_amount}], each a decimal string; the last without `up_to`.
    tiers jsonb check (jsonb_typeof(tiers) = 'array'),
    free_units numeric not null default 0 check (free_units >= 0),
    minimum_amount bigint check (minimum_amount >= 0),
    maximum_amount bigint check (maximum_amount >= minimum_amount),
    position integer not null default 0,
    primary key (plan_code, plan_version, metric),
    foreign key (plan_code, plan_version) references plan_versions (plan_code, version),
    check ((tiers is not null) = (model in ('graduated', 'volume'))),
    check ((unit_amount is null) = (model in ('graduated', 'volume'))),
    check ((package_size is not null) = (model = 'package'))
);

create table plan_entitlements (
    plan_code text not null,
    plan_version integer not null,
    key text not null check (length(key) between 1 and 255),
    kind text not null check (kind in ('limit', 'quota', 'boolean', 'static')),
    -- Null is unlimited.
    maximum bigint check (maximum >= 0),
    -- The meter that a quota counts.
    metric text,
    value jsonb,
    primary key (plan_code, plan_version, key),
    foreign key (plan_code, plan_version) references plan_versions (plan_code, version)
);

-- What one tenant has besides, or instead.
create table tenant_entitlement_overrides (
    tenant_id uuid not null references tenants (id),
    key text not null check (length(key) between 1 and 255),
    kind text not null check (kind in ('limit', 'quota', 'boolean', 'static')),
    maximum bigint check (maximum >= 0),
    metric text,
    value jsonb,
    reason text check (length(reason) <= 1000),
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (tenant_id, key)
);
