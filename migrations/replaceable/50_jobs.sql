-- The queue belongs to the worker; the API's role adds jobs, for its own tenant or for the deployment, and sees none.
alter table jobs enable row level security, force row level security;
drop policy if exists enqueue on jobs;
create policy enqueue on jobs for insert to plinth_app
    with check (tenant_id is null or tenant_id = (select app.current_tenant_id()));
select app.open_to_worker('public.jobs');
select app.open_to_worker('public.outbox');

alter table schedules enable row level security, force row level security;
select app.open_to_worker('public.schedules');

-- What the worker looks for across tenants. Each answers ids only: the work happens in a transaction of the tenant itself.
create or replace function app.expired_invitations(p_now timestamptz, p_limit integer)
    returns table (tenant_id uuid, invitation_id uuid)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select i.tenant_id, i.id from public.invitations i
    where i.status = 'pending' and i.expires_at <= p_now order by i.expires_at limit p_limit
$$;

create or replace function app.ended_trials(p_now timestamptz, p_limit integer) returns table (tenant_id uuid)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select t.id from public.tenants t
    where t.status = 'trial' and t.trial_ends_at <= p_now order by t.trial_ends_at limit p_limit
$$;

create or replace function app.long_frozen_tenants(p_since timestamptz, p_limit integer) returns table (tenant_id uuid)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select t.id from public.tenants t
    where t.status = 'frozen' and t.status_changed_at <= p_since order by t.status_changed_at limit p_limit
$$;

-- Idempotency keys belong to principals, and their answers are nobody else's business: the worker may forget them and read none.
create or replace function app.delete_idempotency_keys(p_before timestamptz, p_limit integer) returns bigint
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from public.idempotency_keys where id in (
            select k.id from public.idempotency_keys k where k.created_at < p_before
            order by k.created_at limit p_limit for update skip locked)
        returning 1)
    select count(*) from gone
$$;

-- So do sessions, to people; and reservations, to tenants.
create or replace function app.delete_sessions(p_before timestamptz, p_limit integer) returns bigint
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from public.sessions where id in (
            select s.id from public.sessions s where s.expires_at < p_before
            order by s.expires_at limit p_limit for update skip locked)
        returning 1)
    select count(*) from gone
$$;

create or replace function app.delete_reservations(p_before timestamptz, p_limit integer) returns bigint
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from public.quota_reservations where (tenant_id, id) in (
            select r.tenant_id, r.id from public.quota_reservations r
            where coalesce(r.finished_at, r.expires_at) < p_before
            order by coalesce(r.finished_at, r.expires_at) limit p_limit for update skip locked)
        returning 1)
    select count(*) from gone
$$;

-- These are the worker's alone.
grant execute on function
    app.expired_invitations(timestamptz, integer), app.ended_trials(timestamptz, integer),
    app.long_frozen_tenants(timestamptz, integer), app.delete_idempotency_keys(timestamptz, integer),
    app.delete_sessions(timestamptz, integer), app.delete_reservations(timestamptz, integer)
    to plinth_worker;
