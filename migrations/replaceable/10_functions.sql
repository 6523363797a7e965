-- What protects tables, and what makes their partitions.

-- `updated_at` from the wall clock: two updates in one transaction differ.
create or replace function app.touch_updated_at() returns trigger language plpgsql
    as $$ begin new.updated_at := clock_timestamp(); return new; end $$;

-- The one text of tenant isolation. On Citus a policy may hold no sub-select; elsewhere the sub-select makes it five times faster on a
-- sequential scan, because the setting is read once and not once per row.
create or replace function app.tenant_policy(key_column text) returns text language sql stable as $$
    select case when exists (select from pg_catalog.pg_extension where extname = 'citus')
        then format('%I = app.current_tenant_id()', key_column)
        else format('%I = (select app.current_tenant_id())', key_column)
    end
$$;

-- Gives a tenant's table, or one of its partitions, its protection. `key_column` is `tenant_id` everywhere but in `tenants`.
create or replace function app.protect_table(target regclass, key_column text default 'tenant_id')
    returns void language plpgsql as $$
declare
    expression text := app.tenant_policy(key_column);
begin
    execute format('alter table %s enable row level security, force row level security', target);
    execute format('drop policy if exists tenant_isolation on %s', target);
    execute format('create policy tenant_isolation on %s using (%s) with check (%s)', target, expression, expression);
end $$;

-- Rows that belong to a person rather than to a tenant.
create or replace function app.protect_own_rows(target regclass, key_column text, setting text)
    returns void language plpgsql as $$
declare
    expression text := format('%I = (select app.%I())', key_column, setting);
begin
    execute format('alter table %s enable row level security, force row level security', target);
    execute format('drop policy if exists own_rows on %s', target);
    execute format('create policy own_rows on %s using (%s) with check (%s)', target, expression, expression);
end $$;

-- Lets the worker see a table across tenants. Called for the tables that its jobs scan, and for no other.
create or replace function app.open_to_worker(target regclass) returns void language plpgsql as $$
begin
    execute format('drop policy if exists worker_access on %s', target);
    execute format('create policy worker_access on %s to plinth_worker using (true) with check (true)', target);
end $$;

-- Makes one partition. What lies in the default partition and belongs here moves in first, in the same transaction: PostgreSQL refuses a
-- partition whose rows lie elsewhere, and whoever makes partitions may have been away when the month began.
create or replace function app.make_partition(parent regclass, leaf text, starts timestamptz, ends timestamptz)
    returns void language plpgsql as $$
declare
    key name;
    rest regclass;
begin
    select a.attname, nullif(p.partdefid, 0)::regclass into strict key, rest
    from pg_catalog.pg_partitioned_table p
    join pg_catalog.pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    where p.partrelid = parent;
    execute format('create table public.%I (like %s including defaults including constraints including storage)', leaf, parent);
    if rest is not null then
        -- The parent first, as everybody else does; then nobody adds to what is being moved.
        execute format('lock table only %s in share update exclusive mode', parent);
        execute format('lock table only %s in access exclusive mode', rest);
        execute format('with moved as (delete from %s where %I >= $1 and %I < $2 returning *) insert into public.%I select * from moved',
            rest, key, key, leaf) using starts, ends;
    end if;
    execute format('alter table %s attach partition public.%I for values from (%L) to (%L)', parent, leaf, starts, ends);
end $$;

-- Makes the monthly partitions of a table from last month to `months_ahead` from now, protects them, and reports how many are new.
create or replace function app.ensure_monthly_partitions(parent regclass, months_ahead integer)
    returns integer language plpgsql as $$
declare
    first date := (date_trunc('month', now() at time zone 'UTC') - interval '1 month')::date;
    start date;
    leaf text;
    made integer := 0;
begin
    for step in 0 .. months_ahead + 1 loop
        start := (first + make_interval(months => step))::date;
        leaf := format('%s_%s', (select relname from pg_catalog.pg_class where oid = parent), to_char(start, 'YYYY_MM'));
        if to_regclass(format('public.%I', leaf)) is null then
            perform app.make_partition(parent, leaf,
                start::timestamp at time zone 'UTC', (start + interval '1 month')::timestamp at time zone 'UTC');
            perform app.protect_table(format('public.%I', leaf)::regclass);
            if exists (select from pg_catalog.pg_policy where polrelid = parent and polname = 'worker_access') then
                perform app.open_to_worker(format('public.%I', leaf)::regclass);
            end if;
            made := made + 1;
        end if;
    end loop;
    return made;
end $$;

-- Events with any time must find a partition, so old imports go to the default one.
create or replace function app.ensure_audit_partitions(months_ahead integer default 2)
    returns integer language plpgsql security definer set search_path = pg_catalog, public, pg_temp set lock_timeout = '3s' as $$
begin
    -- Workers take turns, or two of them would make the same partition.
    perform pg_advisory_xact_lock(hashtext('app.ensure_audit_partitions'));
    if to_regclass('public.audit_events_default') is null then
        create table public.audit_events_default partition of public.audit_events default;
        perform app.protect_table('public.audit_events_default');
    end if;
    return app.ensure_monthly_partitions('public.audit_events', months_ahead);
end $$;

-- The three helpers that application schemas expect: correct, and safe to call in policies.
create or replace function auth.user_tenant_ids() returns uuid[]
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select coalesce(array_agg(m.tenant_id), '{}') from public.memberships m
    where m.user_id = app.current_user_id() and m.status = 'active'
$$;

create or replace function auth.is_tenant_owner(tenant uuid) returns boolean
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select exists (
        select from public.memberships m join public.membership_roles r using (tenant_id, user_id)
        where m.tenant_id = tenant and m.user_id = app.current_user_id() and m.status = 'active' and r.role_key = 'owner')
$$;

create or replace function auth.user_has_permission(code text, tenant uuid) returns boolean
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select tenant is not null and exists (
        select from public.memberships m
        where m.tenant_id = tenant and m.user_id = app.current_user_id() and m.status = 'active'
          and app.codes_cover(app.member_permissions(m.tenant_id, m.user_id), code))
$$;

-- The three helpers stand in the policies of the application's own tables, and whoever reads such a table must be able to call them.
grant execute on function
    auth.user_tenant_ids(), auth.is_tenant_owner(uuid), auth.user_has_permission(text, uuid)
    to plinth_app, plinth_worker;
grant execute on function app.ensure_audit_partitions(integer) to plinth_worker;
