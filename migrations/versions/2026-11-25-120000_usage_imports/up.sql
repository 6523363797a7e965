-- How far each import of usage from another system has come. Keys of events are looked up over 35 days only; this is what keeps an import
-- from being repeated after that. An import is a principal of its own, and sees its own row alone. Holds no tenant's data.
create table usage_imports (
    -- 128 bits of SHA-256 over source and table.
    principal_id uuid primary key,
    -- The source that its events carry.
    source text not null check (length(source) between 1 and 255),
    table_name text not null check (length(table_name) between 1 and 255),
    -- What its columns mean, as canonical text: an import ends as it began.
    mapping text not null,
    -- Rows that are settled, from the first one on, and a digest over them: what lies before the position must not change.
    rows_done bigint not null default 0 check (rows_done >= 0),
    digest text not null default '',
    -- Settled rows that belong to no tenant here.
    unassigned bigint not null default 0 check (unassigned >= 0),
    started_at timestamptz not null,
    moved_at timestamptz not null,
    finished_at timestamptz
);

-- What became of an import's events, by tenant and metric. Written with the events, in one transaction.
create table usage_import_totals (
    tenant_id uuid not null references tenants (id),
    -- No foreign key: its check would tell whether an import is there.
    import_id uuid not null,
    -- As the source spells it.
    metric text not null,
    outcome text not null check (outcome in ('accepted', 'duplicate', 'conflict', 'rejected')),
    events bigint not null check (events >= 0),
    quantity numeric not null,
    primary key (tenant_id, import_id, metric, outcome)
);
