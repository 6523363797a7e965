-- The old keys: 128 bits of SHA-256 over source and id, each with its length in front.
create or replace function pg_temp.key_of(source text, id text) returns uuid language sql immutable as $$
    select substr(encode(sha256(
        int8send(octet_length(source)::bigint) || convert_to(source, 'UTF8') || int8send(octet_length(id)::bigint) || convert_to(id, 'UTF8')
    ), 'hex'), 1, 32)::uuid
$$;

update usage_rollups r set last_dedup = pg_temp.key_of(e.source, e.event_id)
from usage_events e
where e.tenant_id = r.tenant_id and e.dedup = r.last_dedup and e.received_at = r.last_received_at;

update usage_events set dedup = pg_temp.key_of(source, event_id);
