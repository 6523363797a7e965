lock table usage_events in exclusive mode;

-- The old keys: 128 bits of SHA-256 over source and id, each with its length in front.
create or replace function pg_temp.key_of(source text, id text) returns uuid language sql immutable as $$
    select substr(encode(sha256(
        int8send(octet_length(source)::bigint) || convert_to(source, 'UTF8') || int8send(octet_length(id)::bigint) || convert_to(id, 'UTF8')
    ), 'hex'), 1, 32)::uuid
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
