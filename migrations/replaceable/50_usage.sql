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

-- Notes which time each MiB of events is of, where that is not noted yet, so that what asks about a quarter of an hour reads that MiB and no
-- other; reports for how many. PostgreSQL does so itself (`autosummarize`), but looks once a minute, and forgets all that was to be noted since
-- beyond 256 MiB, which is 25,000 events a second. Gives way to whoever maintains a partition.
create or replace function app.summarise_usage_events() returns integer language plpgsql security definer
    set search_path = pg_catalog, public, pg_temp set lock_timeout = '100ms' as $$
declare
    noted integer := 0;
    leaf regclass;
begin
    for leaf in
        select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = 'public.usage_events_occurred_idx'::regclass
    loop
        begin
            noted := noted + brin_summarize_new_values(leaf);
        exception when lock_not_available then
            null;
        end;
    end loop;
    return noted;
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

-- Meters of several tenants by key, `sizes` of them for each: what events name. Those that every tenant has come once, at place 0, and count
-- for whoever has none of their own by that key. Whoever says `enters`, in a transaction of no tenant, makes it one of each in turn;
-- row-level security decides in any case.
create or replace function app.named_meters(enters boolean, tenants uuid[], sizes integer[], keys text[])
    returns table (place integer, id uuid, key text, name text, aggregation text, unit text, dimensions text[], value_field text,
        allows_negative boolean, version bigint, created_at timestamptz)
    language plpgsql volatile set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    entering constant boolean := enters and app.current_tenant_id() is null;
    before integer := 0;
begin
    for number in 1 .. cardinality(tenants) loop
        if entering then
            execute format('set local app.tenant_id = %L', tenants[number]);
        end if;
        return query
            select number, m.id, m.key, m.name, m.aggregation, m.unit, m.dimensions, m.value_field, m.allows_negative, m.version,
                m.created_at
            from meters m
            where m.tenant_id = tenants[number] and m.key = any (keys[before + 1 : before + sizes[number]]);
        before := before + sizes[number];
    end loop;
    if entering then
        set local app.tenant_id = '';
    end if;
    return query
        select 0, s.id, s.key, s.name, s.aggregation, s.unit, s.dimensions, null::text, false, 1::bigint, s.created_at
        from standard_meters s where s.key in (select unnest(keys));
end $$;

-- The same for the release before, to which place 0 means nothing: everybody has what everybody has at their own place.
create or replace function app.usage_meters(enters boolean, tenants uuid[], sizes integer[], keys text[])
    returns table (place integer, id uuid, key text, name text, aggregation text, unit text, dimensions text[], value_field text,
        allows_negative boolean, version bigint, created_at timestamptz)
    language sql volatile as $$
    with found as materialized (select * from app.named_meters(enters, tenants, sizes, keys))
    select f.* from found f where f.place > 0
    union all
    select n, s.id, s.key, s.name, s.aggregation, s.unit, s.dimensions, s.value_field, s.allows_negative, s.version, s.created_at
    from found s cross join generate_series(1, cardinality(tenants)) n
    where s.place = 0 and not exists (select from found f where f.place = n and f.key = s.key)
$$;

-- Which of these projects there are, as `app.named_meters` finds meters.
create or replace function app.usage_projects(enters boolean, tenants uuid[], sizes integer[], ids uuid[])
    returns table (place integer, id uuid)
    language plpgsql volatile set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    entering constant boolean := enters and app.current_tenant_id() is null;
    before integer := 0;
begin
    for number in 1 .. cardinality(tenants) loop
        if entering then
            execute format('set local app.tenant_id = %L', tenants[number]);
        end if;
        return query
            select number, p.id from projects p
            where p.tenant_id = tenants[number] and p.id = any (ids[before + 1 : before + sizes[number]]);
        before := before + sizes[number];
    end loop;
    if entering then
        set local app.tenant_id = '';
    end if;
end $$;

-- Which events of a tenant with these keys were received in this time, by place.
--
-- A sub-query for each key, because a join might read a whole partition.
create or replace function app.usage_events_before(tenant uuid, dedups uuid[], since timestamptz, until timestamptz)
    returns table (place integer, dedup uuid, payload_hash uuid)
    language sql stable as $$
    select g.place::integer, g.dedup, e.payload_hash
    from unnest(dedups) with ordinality as g (dedup, place) cross join lateral (
        select e.payload_hash from usage_events e
        where e.tenant_id = tenant and e.dedup = g.dedup and e.received_at > since and e.received_at < until
        limit 1
    ) e
$$;

-- Writes events of several tenants, `sizes` of them for each, unless one with its key was received in the last 35 days. Reports those that
-- were there before, by place, with the payload they were written with. Events of a tenant come by key, each key once, and tenants by id:
-- so two batches with the same keys wait for each other in one direction only.
--
-- The key of a partition keeps out what is in the current one; older ones have to be asked, when they hold anything of the tenant. Whoever
-- `bets` that nothing is in the current one either does not look there first, and pays for it when the bet is lost: all is undone, and done
-- again with looking. So it is when another transaction comes first; what that one wrote is seen in the next attempt, since this one waited
-- for its commit, and a statement that is read committed sees what is.
--
-- Index scans only: a partition is new, and its statistics say empty, once a month; and whether a tenant has anything in one is told by the
-- first entry, where a bitmap would hold all of them. That leaves nothing to plan that depends on the values, so it is planned once.
create or replace function app.append_usage_events(enters boolean, bets boolean, tenants uuid[], sizes integer[], received timestamptz,
        dedups uuid[], payload_hashes uuid[], meter_ids uuid[], occurred timestamptz[], quantities numeric[], project_ids uuid[], ids text[],
        sources text[], user_ids text[], models text[], metadatas text[], dims text[], value_hashes uuid[])
    returns table (place integer, payload_hash uuid)
    language plpgsql volatile
    set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    entering constant boolean := enters and app.current_tenant_id() is null;
    writer constant bigint := pg_current_xact_id()::text::bigint;
    oldest constant timestamptz := received - interval '840 hours';
    oldest_month constant timestamptz := date_trunc('month', oldest, 'UTC');
    month constant timestamptz := date_trunc('month', received, 'UTC');
    next_month constant timestamptz := date_trunc('month', month + interval '768 hours', 'UTC');
    until timestamptz := case when bets then month else next_month end;
    before integer;
    last integer;
    found uuid[];
    places integer[];
    hashes uuid[];
begin
    loop
        before := 0;
        places := '{}';
        hashes := '{}';
        begin
            for number in 1 .. cardinality(tenants) loop
                if entering then
                    execute format('set local app.tenant_id = %L', tenants[number]);
                end if;
                last := before + sizes[number];
                found := null;
                if until > month or exists (
                    select from usage_events e
                    where e.tenant_id = tenants[number] and e.received_at >= oldest_month and e.received_at < month
                ) then
                    select array_agg(e.dedup), places || array_agg(before + e.place), hashes || array_agg(e.payload_hash)
                    into found, places, hashes
                    from app.usage_events_before(tenants[number], dedups[before + 1 : last], oldest, until) e;
                end if;
                insert into usage_events (tenant_id, received_at, txid, dedup, payload_hash, meter_id, occurred_at, quantity, project_id,
                    event_id, source, user_id, model, metadata, dims, value_hash)
                select tenants[number], received, writer, dedups[i], payload_hashes[i], meter_ids[i], occurred[i], quantities[i], project_ids[i],
                    ids[i], sources[i], user_ids[i], models[i], metadatas[i]::jsonb, dims[i], value_hashes[i]
                from generate_series(before + 1, last) i
                where dedups[i] not in (select unnest(found));
                before := last;
            end loop;
            exit;
        exception when unique_violation then
            if current_setting('transaction_isolation') <> 'read committed' then
                raise exception 'events are written in transactions that are read committed' using errcode = 'serialization_failure';
            end if;
            until := next_month;
        end;
    end loop;
    if entering then
        set local app.tenant_id = '';
    end if;
    return query select * from unnest(places, hashes);
end $$;

-- What is committed by now: the snapshot of whoever asks, and in it their own transaction as one that is under way. PostgreSQL leaves that one
-- out, and so takes it for done as soon as a later one is.
create or replace function app.usage_snapshot() returns pg_snapshot language plpgsql stable as $$
declare
    seen constant pg_snapshot := pg_current_snapshot();
    own constant xid8 := pg_current_xact_id_if_assigned();
begin
    if own is null or not pg_visible_in_snapshot(own, seen) then
        return seen;
    end if;
    return format('%s:%s:%s', pg_snapshot_xmin(seen), pg_snapshot_xmax(seen), (
        select string_agg(x::text, ',' order by x) from (select pg_snapshot_xip(seen) union all select own) as under_way (x)
    ))::pg_snapshot;
end $$;

-- What a meter counted from `starts` to `ends` of events that `until` sees and `since` does not: the sum of what they say, or how many they are.
-- Null where that cannot be told, or not cheaply: when the transaction is not one of the tenant, when the meter of the metric is not this one,
-- when the snapshots are not in order, and for more than 10,000 events.
--
-- What `since` does not see is what was under way then, transaction by transaction, and everything behind. It is found along transaction ids,
-- however many events the tenant has: sorting is off, so that is the one way to the order that is asked for. Events of other tenants lie
-- along that way, and are passed over one by one: whoever asks should not ask about a snapshot of long ago.
create or replace function app.usage_since(tenant uuid, metric text, meter uuid, meter_version bigint, sums boolean, starts timestamptz,
        ends timestamptz, since pg_snapshot, until pg_snapshot) returns numeric
    language plpgsql stable
    set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
    first constant bigint := pg_snapshot_xmax(since)::text::bigint;
    last constant bigint := pg_snapshot_xmax(until)::text::bigint - 1;
    looked_at bigint;
    counted numeric;
begin
    if tenant is distinct from app.current_tenant_id() or first > last + 1 or exists (
        select from pg_snapshot_xip(until) x where pg_visible_in_snapshot(x, since)
    ) or exists (
        select from meters m where m.tenant_id = tenant and m.key = metric and (m.id <> meter or m.version <> meter_version)
    ) then
        return null;
    end if;
    select count(*), coalesce(case when sums then sum(e.quantity) filter (where e.counts) else count(*) filter (where e.counts) end, 0)
    into looked_at, counted
    from (
        select x::text::bigint as first, x::text::bigint as last from pg_snapshot_xip(since) x
        union all
        select first, last
    ) r cross join lateral (
        select e.quantity, e.meter_id = meter and e.occurred_at >= starts and e.occurred_at < ends
            and pg_visible_in_snapshot(e.txid::text::xid8, until) as counts
        from usage_events e
        where e.tenant_id = tenant and e.txid >= r.first and e.txid <= r.last
            -- Nothing is received long before it happens, and nothing in the future: other partitions need not be looked at.
            and e.received_at >= starts - interval '1 hour' and e.received_at < now() + interval '1 day'
        order by e.txid limit 10001
    ) e;
    return case when looked_at <= 10000 then counted end;
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

-- After a database was restored from a dump its transaction ids start again from the bottom, below the watermark, or below events that wait for
-- it. Gives what is ahead ids of this life: one below all others to what is rolled up, a new one to what is not, which the watermark takes too
-- when it was ahead itself. Every migration does it, since nothing may be written or rolled up before; where nothing is ahead, it does nothing.
create or replace function app.rebase_usage_watermark() returns void language plpgsql as $$
declare
    mark bigint;
    present constant bigint := pg_current_xact_id()::text::bigint;
begin
    select w.txid into mark from public.usage_watermark w for update;
    if mark <= present and not exists (
        select from public.usage_events e where e.txid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    ) then
        return;
    end if;
    update public.usage_events set txid = case when txid < mark then 0 else present end where txid >= present;
    update public.usage_watermark set txid = present, moved_at = now() where txid > present;
end $$;

grant execute on function app.usage_month(timestamptz), app.usage_received_at(), app.usage_snapshot(),
    app.named_meters(boolean, uuid[], integer[], text[]), app.usage_meters(boolean, uuid[], integer[], text[]),
    app.usage_projects(boolean, uuid[], integer[], uuid[]),
    app.usage_events_before(uuid, uuid[], timestamptz, timestamptz),
    app.usage_since(uuid, text, uuid, bigint, boolean, timestamptz, timestamptz, pg_snapshot, pg_snapshot),
    app.append_usage_events(boolean, boolean, uuid[], integer[], timestamptz, uuid[], uuid[], uuid[], timestamptz[], numeric[], uuid[],
        text[], text[], text[], text[], text[], text[], uuid[]) to plinth_app;
grant execute on function app.usage_zones(uuid[]), app.ensure_usage_partitions(integer), app.summarise_usage_events(), app.usage_snapshot(),
    app.usage_since(uuid, text, uuid, bigint, boolean, timestamptz, timestamptz, pg_snapshot, pg_snapshot) to plinth_worker;

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
