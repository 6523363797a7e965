-- Keys of events keep together what comes together: the rules of `usage::key`, in SQL, for the events that are there.
--
-- An event under an old key would count again when it is replayed, so nobody writes one from here on. Who writes is waited for; who waits
-- behind the lock, and the release before, may not write any more (the grants behind this script give the right back to the next one, by
-- another function). Until that runs, events are answered with 500 and sent again: of all that is upgraded this alone makes senders wait.
lock table usage_events in exclusive mode;
revoke insert on usage_events from plinth_app;
drop function if exists app.append_usage_events(boolean, uuid[], integer[], timestamptz, uuid[], uuid[], uuid[], timestamptz[], numeric[],
    uuid[], text[], text[], text[], text[], text[], text[], uuid[]);

-- SHA-256 over source and id, each with its length in front, in hex.
create or replace function pg_temp.digest_of(source text, id bytea) returns text language sql immutable as $$
    select encode(sha256(int8send(octet_length(source)::bigint) || convert_to(source, 'UTF8') || int8send(octet_length(id)::bigint) || id),
        'hex')
$$;
-- 48 bits in hex: the time of a UUIDv7, ULID or TypeID, or else what a thousand numbers in a row have in common.
create or replace function pg_temp.family_of(source text, id text) returns text language sql immutable as $$
    select case
        when tail ~* '^([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{12}7[0-9a-f]{19})$'
            then substr(lower(replace(tail, '-', '')), 1, 12)
        when tail ~* '^[0-7][0-9a-hjkmnp-tv-z]{9}' and octet_length(tail) = 26
            then lpad(to_hex((
                select sum((strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(lower(tail), place, 1)) - 1)::bigint << (5 * (10 - place)))
                from generate_series(1, 10) place
            )::bigint), 12, '0')
        else substr(pg_temp.digest_of(source, substr(convert_to(id, 'UTF8'), 1, greatest(octet_length(id) - 3, 0))), 1, 12)
    end
    from substring(id from '[^_]*$') as tail
$$;

create or replace function pg_temp.key_of(source text, id text) returns uuid language sql immutable as $$
    select (pg_temp.family_of(source, id) || substr(pg_temp.digest_of(source, convert_to(id, 'UTF8')), 13, 20))::uuid
$$;

update usage_events set dedup = pg_temp.key_of(source, event_id);

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
