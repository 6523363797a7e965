create table projects (
    tenant_id uuid not null references tenants (id),
    id uuid not null default gen_random_uuid(),
    slug text not null check (slug ~ '^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$' and slug !~ '--'),
    name text not null check (length(name) between 1 and 255),
    -- The project that a tenant has without asking for one. It counts against no limit.
    is_default boolean not null default false,
    status text not null default 'active' check (status in ('active', 'archived')),
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, slug)
);
create unique index projects_default_key on projects (tenant_id) where is_default;

create table environments (
    tenant_id uuid not null,
    id uuid not null default gen_random_uuid(),
    project_id uuid not null,
    name text not null check (name ~ '^[a-z][a-z0-9-]{0,38}$'),
    kind text not null check (kind in ('dev', 'staging', 'prod')),
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, project_id, name),
    foreign key (tenant_id, project_id) references projects (tenant_id, id) on delete cascade
);
