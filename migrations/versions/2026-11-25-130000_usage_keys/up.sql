-- Keys of events keep together what comes together: the rules of `usage::key`, in SQL, for the events that are there. An event that the release
-- before writes from here on has a key of the old kind, and a replay of it counts again: nobody sends events while this runs.

-- Whether none was there before is a question of its own now.
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

update usage_rollups r set last_dedup = pg_temp.key_of(e.source, e.event_id)
from usage_events e
where e.tenant_id = r.tenant_id and e.dedup = r.last_dedup and e.received_at = r.last_received_at;

update usage_events set dedup = pg_temp.key_of(source, event_id);
