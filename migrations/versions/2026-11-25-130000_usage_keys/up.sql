-- Keys of events keep together what comes together: the rules of `usage::key`, in SQL, for the events that are there.
--
-- An event under an old key would count again when it is replayed, so nobody writes one from here on. Who writes is waited for; who waits
-- behind the lock, and the release before, may not write any more (the grants behind this script give the right back to the next one, by
-- another function). Until that runs, events are answered with 500 and sent again, and readers of usage wait: of all that is upgraded this
-- alone is felt.
lock table usage_events in access exclusive mode;
revoke insert on usage_events from plinth_app;
drop function if exists app.append_usage_events(boolean, uuid[], integer[], timestamptz, uuid[], uuid[], uuid[], timestamptz[], numeric[],
    uuid[], text[], text[], text[], text[], text[], text[], uuid[]);

-- The index of each partition is made again at the end, which is many times faster than changing every entry of it.
do $$ declare leaf name; begin
    for leaf in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'usage_events'::regclass loop
        execute format('drop index if exists %I', leaf || '_key');
    end loop;
end $$;

-- In expressions, not in functions, which would be begun for each row: a minute for a few million events.
update usage_events set dedup = (
    -- 48 bits in hex: the time of a UUIDv7, ULID or TypeID, or else what a thousand numbers in a row have in common. And 80 bits of SHA-256
    -- over source and id, each with its length in front.
    select (case
        when tail ~* '^([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{12}7[0-9a-f]{19})$'
            then substr(lower(replace(tail, '-', '')), 1, 12)
        when octet_length(tail) = 26 and tail ~* '^[0-7][0-9a-hjkmnp-tv-z]{9}'
            then lpad(to_hex((
                select sum((strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(lower(tail), place, 1)) - 1)::bigint << (5 * (10 - place)))
                from generate_series(1, 10) place
            )::bigint), 12, '0')
        else substr(encode(sha256(origin || int8send(stem) || substr(name, 1, stem::integer)), 'hex'), 1, 12)
    end || substr(encode(sha256(origin || int8send(octet_length(name)::bigint) || name), 'hex'), 13, 20))::uuid
    from (
        select int8send(octet_length(source)::bigint) || convert_to(source, 'UTF8') as origin, convert_to(event_id, 'UTF8') as name,
            greatest(octet_length(event_id) - 3, 0)::bigint as stem, substring(event_id from '[^_]*$') as tail
        offset 0
    ) event
);

do $$ declare leaf name; begin
    for leaf in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'usage_events'::regclass loop
        execute format('create unique index %I on %I (tenant_id, dedup)', leaf || '_key', leaf);
    end loop;
end $$;

-- Of events that happened and came at the same instants the one with the highest key is the latest.
update usage_rollups r set last_dedup = e.dedup, last_value = e.quantity
from (
    select distinct on (1, 2, 3, 4, 5, 6, 7, 8)
        e.tenant_id, e.meter_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00:00+00') as bucket,
        coalesce(e.project_id, '00000000-0000-0000-0000-000000000000') as project_id,
        coalesce(e.user_id, '') as user_id, coalesce(e.model, '') as model, coalesce(e.dims, '') as dims,
        coalesce(e.value_hash, '00000000-0000-0000-0000-000000000000') as value_hash,
        e.quantity, e.occurred_at, e.received_at, e.dedup
    from usage_events e join meters m on m.tenant_id = e.tenant_id and m.id = e.meter_id and m.aggregation = 'latest'
    where e.txid < (select w.txid from usage_watermark w)
    order by 1, 2, 3, 4, 5, 6, 7, 8, e.occurred_at desc, e.received_at desc, e.dedup desc
) e
where (r.tenant_id, r.meter_id, r.bucket, r.project_id, r.user_id, r.model, r.dims, r.value_hash, r.last_at, r.last_received_at)
    = (e.tenant_id, e.meter_id, e.bucket, e.project_id, e.user_id, e.model, e.dims, e.value_hash, e.occurred_at, e.received_at);
