-- Usage: partitions, the clock of ingest, what the worker sees, and the meters that every tenant has.

-- Makes partitions from last month to `months_ahead` from now, each with the key that lets an event in once, and reports how many are new.
create or replace function app.ensure_usage_partitions(months_ahead integer default 2)
    returns integer language plpgsql security definer set search_path = pg_catalog, public, pg_temp set lock_timeout = '3s' as $$
declare
    made integer;
    leaf name;
begin
    -- Workers take turns, or two of them would make the same partition.
    perform pg_advisory_xact_lock(hashtext('app.ensure_usage_partitions'));
    made := app.ensure_monthly_partitions('public.usage_events', months_ahead);
    for leaf in
        select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'public.usage_events'::regclass
    loop
        if to_regclass(format('public.%I', leaf || '_key')) is null then
            execute format('create unique index %I on public.%I (tenant_id, dedup)', leaf || '_key', leaf);
        end if;
    end loop;
    return made;
end $$;

-- The instant at which a batch of events is received: the partition it goes to depends on it.
--
-- A key is unique within a partition, so two copies of an event that are written at once on both sides of a month's end would not see each
-- other. Therefore a writer holds its month, shared, until it commits, and whoever writes into a young month first waits until nobody
-- holds the month before. The clock is read under the lock, so nobody can join a month that is over. No transaction lives for a day, so a
-- month is young for a day.
create or replace function app.usage_received_at() returns timestamptz language plpgsql volatile as $$
declare
    class constant integer := 1970500965;
    received timestamptz := clock_timestamp();
    month integer;
begin
    loop
        month := app.usage_month(received);
        perform pg_advisory_xact_lock_shared(class, month);
        received := clock_timestamp();
        exit when app.usage_month(received) = month;
    end loop;
    if app.usage_month(received - interval '1 day') <> month then
        begin
            perform pg_advisory_xact_lock(class, month - 1);
            -- Undoing the block gives the lock back at once, whatever happens.
            raise exception sqlstate 'PL001';
        exception when sqlstate 'PL001' then
            null;
        end;
    end if;
    return received;
end $$;

-- Months since year 0, in UTC: one partition each.
create or replace function app.usage_month(at timestamptz) returns integer language sql immutable as $$
    select (extract(year from at at time zone 'UTC') * 12 + extract(month from at at time zone 'UTC'))::integer
$$;

-- Time zones of tenants, for the worker, which rolls up all of them at once.
create or replace function app.usage_zones(tenants uuid[]) returns table (tenant_id uuid, timezone text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select t.id, t.timezone from public.tenants t where t.id = any (tenants)
$$;

-- After a database was restored from a dump its transaction ids start again from the bottom, below the watermark. Run once, as the owner,
-- before the services start: what was not rolled up is given a new id, and the watermark follows.
create or replace function app.rebase_usage_watermark() returns void language plpgsql as $$
begin
    update public.usage_events set txid = pg_current_xact_id()::text::bigint
        where txid >= (select w.txid from public.usage_watermark w);
    update public.usage_watermark set txid = pg_current_xact_id()::text::bigint, moved_at = now();
end $$;

grant execute on function app.usage_month(timestamptz), app.usage_received_at() to plinth_app;
grant execute on function app.usage_zones(uuid[]), app.ensure_usage_partitions(integer) to plinth_worker;

select app.open_to_worker(t) from unnest(array[
    'public.meters', 'public.usage_events', 'public.usage_rollups', 'public.usage_days', 'public.usage_daily'
]::regclass[]) as t;

insert into usage_watermark (txid) values (0) on conflict do nothing;

insert into standard_meters (id, key, name, aggregation, unit, dimensions, created_at)
select ('00000000-0000-7000-8000-' || lpad(m.number::text, 12, '0'))::uuid, m.key, m.name, 'sum', m.unit,
    '{project,user,model}', timestamptz '2026-01-01 00:00:00+00'
from (values
    (1, 'llm_tokens_input', 'LLM tokens, input', 'token'),
    (2, 'llm_tokens_output', 'LLM tokens, output', 'token'),
    (3, 'tool_call', 'Tool calls', 'call'),
    (4, 'agent_run', 'Agent runs', 'run'),
    (5, 'workflow_run', 'Workflow runs', 'run'),
    (6, 'document_upload', 'Document uploads', 'document'),
    (7, 'chat', 'Chats', 'chat'),
    (8, 'artifact_generation', 'Artifacts generated', 'artifact'),
    (9, 'search', 'Searches', 'search'),
    (10, 'agent_minute', 'Agent minutes', 'minute'),
    (11, 'task_completed', 'Tasks completed', 'task'),
    (12, 'workflow_started', 'Workflows started', 'workflow'),
    (13, 'api_calls', 'API calls', 'call'),
    (14, 'tokens', 'Tokens', 'token'),
    (15, 'jobs', 'Jobs', 'job'),
    (16, 'dashboards_rendered', 'Dashboards rendered', 'dashboard')
) as m (number, key, name, unit)
on conflict (id) do update set name = excluded.name, unit = excluded.unit, dimensions = excluded.dimensions;

select app.ensure_usage_partitions();
