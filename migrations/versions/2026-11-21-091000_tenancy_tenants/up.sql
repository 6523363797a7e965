create table tenants (
    id uuid primary key default gen_random_uuid(),
    slug text not null unique
        check (slug ~ '^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$' and slug !~ '--' and slug !~ '^xn-'),
    name text not null check (length(name) between 1 and 255),
    status text not null default 'trial'
        check (status in ('provisioning', 'demo', 'trial', 'active', 'past_due', 'frozen', 'suspended', 'archived', 'deleted')),
    status_reason text,
    status_changed_at timestamptz not null default now(),
    kind text not null default 'customer' check (kind in ('customer', 'demo')),
    -- A copy of the live subscription's plan, kept by a trigger; the subscription is the source.
    plan_code text not null default 'free',
    is_personal boolean not null default false,
    timezone text not null default 'UTC',
    trial_ends_at timestamptz,
    settings jsonb not null default '{}',
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check ((kind = 'demo') = (status = 'demo') or status in ('archived', 'deleted'))
);
create index tenants_status_idx on tenants (status, status_changed_at);
create index tenants_trial_idx on tenants (trial_ends_at) where status = 'trial';

-- Slugs that a tenant had, so that old links redirect and nobody takes them over for 90 days.
create table tenant_slug_history (
    tenant_id uuid not null references tenants (id),
    slug text not null,
    released_at timestamptz not null default now(),
    primary key (tenant_id, slug)
);
create index tenant_slug_history_slug_idx on tenant_slug_history (slug, released_at);

-- Names of a tenant elsewhere: a Clerk organisation, a Keycloak organisation, an ERP customer, a Stripe customer.
create table tenant_external_refs (
    tenant_id uuid not null references tenants (id),
    kind text not null check (kind in ('clerk', 'keycloak', 'erp', 'stripe')),
    external_id text not null check (length(external_id) between 1 and 255),
    created_at timestamptz not null default now(),
    primary key (tenant_id, kind, external_id)
);
-- One tenant per external name over the whole deployment, or a token's claim would be ambiguous.
create unique index tenant_external_refs_external_idx on tenant_external_refs (kind, external_id);

-- The catalogue of permission codes: global, the same for every tenant.
create table permissions (
    code text primary key check (code ~ '^[a-z_]+\.[a-z_]+$'),
    description text not null
);

-- Roles of the system: global. Keys are stable; rows come from the replaceable seed.
create table system_roles (
    key text primary key check (key ~ '^[a-z_]+$'),
    name text not null,
    scope text not null check (scope in ('global', 'tenant', 'project')),
    permissions text[] not null
);

-- Roles that a tenant made for itself. A custom role never takes the key of a system role.
create table custom_roles (
    tenant_id uuid not null references tenants (id),
    id uuid not null default gen_random_uuid(),
    key text not null check (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    name text not null check (length(name) between 1 and 255),
    scope text not null default 'tenant' check (scope in ('tenant', 'project')),
    permissions text[] not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    unique (tenant_id, key)
);

create table memberships (
    tenant_id uuid not null references tenants (id),
    user_id uuid not null references users (id),
    status text not null default 'active' check (status in ('active', 'suspended', 'removed')),
    invited_by uuid,
    joined_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, user_id)
);
create index memberships_user_idx on memberships (user_id);

-- Roles of a member, by key: of the system, or of the tenant itself.
create table membership_roles (
    tenant_id uuid not null,
    user_id uuid not null,
    role_key text not null,
    primary key (tenant_id, user_id, role_key),
    foreign key (tenant_id, user_id) references memberships (tenant_id, user_id) on delete cascade
);

-- Roles over the whole deployment, for operators. Rows are about people, not about tenants.
create table global_roles (
    user_id uuid not null references users (id),
    role_key text not null references system_roles (key),
    granted_at timestamptz not null default now(),
    primary key (user_id, role_key)
);

create table invitations (
    tenant_id uuid not null references tenants (id),
    id uuid not null default gen_random_uuid(),
    email text not null check (email = lower(email) and length(email) between 3 and 254),
    role_key text not null,
    status text not null default 'pending'
        check (status in ('pending', 'accepted', 'declined', 'revoked', 'expired')),
    invited_by uuid,
    -- The token is a keyed digest of id and sends: it is stored nowhere, and a resend makes the one before it worthless.
    sends integer not null default 1,
    expires_at timestamptz not null,
    accepted_by uuid,
    resolved_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id)
);
create unique index invitations_pending_key on invitations (tenant_id, email) where status = 'pending';
create index invitations_expiry_idx on invitations (expires_at) where status = 'pending';
