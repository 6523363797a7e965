-- Retention of raw usage: when a month of events may go, and its going.

-- Why events that were received in a range must stay; null when nothing speaks for them any more. Everything that is asked about them later
-- is answered by rollups and closed days, so those must be complete, and right.
create or replace function app.unsettled_usage(since timestamptz, until timestamptz) returns text language sql stable as $$
    select case
        when exists (
            select from public.usage_events
            where received_at >= since and received_at < until and txid >= (select txid from public.usage_watermark)
        ) then 'events wait for the rollup'
        when exists (
            select from (
                select distinct tenant_id, date_bin('15 minutes', occurred_at, timestamptz '2000-01-01 00:00:00+00') as quarter
                from public.usage_events where received_at >= since and received_at < until
            ) q
            where not coalesce((
                select bool_and(d.state = 'closed' and d.drift = 0) from public.usage_days d
                where d.tenant_id = q.tenant_id and d.starts_at <= q.quarter and d.ends_at > q.quarter
                    -- No zone is further from UTC than a day.
                    and d.day >= (q.quarter at time zone 'UTC')::date - 1 and d.day <= (q.quarter at time zone 'UTC')::date + 1
            ), false)
        ) then 'a day with events of it is not closed without drift'
    end
$$;

-- Drops a month of events, and writes down that it is gone. `exported` is how many events an export of it holds; null when there is none.
-- Answers how many there were; null when there is no such partition. What speaks against it is an error, and then it stays.
create or replace function app.drop_usage_partition(leaf text, exported bigint default null)
    returns bigint language plpgsql security definer set search_path = pg_catalog, public, pg_temp set lock_timeout = '3s' as $$
declare
    target regclass := to_regclass(format('public.%I', leaf));
    since timestamptz;
    until timestamptz;
    reason text;
    held record;
begin
    -- Workers take turns, with each other and with those that make partitions.
    perform pg_advisory_xact_lock(hashtext('app.ensure_usage_partitions'));
    if not exists (select from pg_catalog.pg_inherits where inhrelid = target and inhparent = 'public.usage_events'::regclass) then
        return null;
    end if;
    since := to_date(right(leaf, 7), 'YYYY_MM')::timestamp at time zone 'UTC';
    until := (to_date(right(leaf, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC';
    -- An id counts once for 35 days after it was received: that needs the month, twice over.
    if until > now() - interval '70 days' then
        raise exception '% stays: it is younger than 70 days', leaf;
    end if;
    -- Nobody adds to what is being looked at.
    execute format('lock table only public.%I in share mode', leaf);
    reason := app.unsettled_usage(since, until);
    if reason is not null then
        raise exception '% stays: %', leaf, reason;
    end if;
    execute format('select count(*) as events, min(occurred_at) as first_at, max(occurred_at) as last_at from only public.%I', leaf) into held;
    if exported <> held.events then
        raise exception '% stays: it holds % events, and its export %', leaf, held.events, exported;
    end if;
    insert into public.usage_dropped_partitions (name, starts_at, ends_at, events, first_at, last_at, exported)
        values (leaf, since, until, held.events, held.first_at, held.last_at, exported is not null);
    -- Whoever writes events stands behind this until it has the table, so it gives up soon, and is tried again another time.
    perform set_config('lock_timeout', '300ms', true);
    execute format('drop table public.%I', leaf);
    return held.events;
end $$;

grant execute on function app.unsettled_usage(timestamptz, timestamptz), app.drop_usage_partition(text, bigint) to plinth_worker;
