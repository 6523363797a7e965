-- The trail outlives the tenant: no foreign key, and nobody may change or delete a row.
create table audit_events (
    tenant_id uuid not null,
    id uuid not null,
    created_at timestamptz not null,
    received_at timestamptz not null default clock_timestamp(),
    action text not null check (length(action) between 1 and 128),
    crud text not null check (crud in ('c', 'r', 'u', 'd')),
    actor_type text not null,
    actor_id text not null,
    actor_name text not null,
    target_type text not null,
    target_id text not null,
    target_name text not null,
    description text,
    project_id uuid,
    product text,
    component text,
    version text,
    external_id text,
    fields jsonb not null default '{}',
    diff jsonb,
    is_failure boolean not null default false,
    is_anonymous boolean not null default false,
    source_ip inet,
    user_agent text,
    request_id text,
    source text not null default 'api' check (source in ('api', 'db', 'idp', 'system')),
    primary key (tenant_id, created_at, id)
) partition by range (created_at);
create index audit_events_action_idx on audit_events (tenant_id, action, created_at);
create index audit_events_actor_idx on audit_events (tenant_id, actor_id, created_at);
create index audit_events_target_idx on audit_events (tenant_id, target_id, created_at);
