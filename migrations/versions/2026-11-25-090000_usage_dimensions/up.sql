-- Usage is told apart by what its meter declares, different values are counted from rollups, and meters have versions.

alter table usage_events
    -- The meter's own dimensions, as far as the event has them: a JSON object of texts, keys sorted, without spaces. Null when it has none.
    add column dims text,
    -- 128 bits of SHA-256 over the value that a `unique` meter counts. Null for other meters.
    add column value_hash uuid;

-- What does not apply is not null, so that the key is a key: no dimension is '', no value is the nil UUID. A row is made for each value of a
-- `unique` meter, which is what lets such values be counted without the events. A worker of the release before finds no key to its liking and
-- rolls up nothing; reads do not wait for it.
alter table usage_rollups
    add column dims text not null default '',
    add column value_hash uuid not null default '00000000-0000-0000-0000-000000000000';
alter table usage_rollups
    drop constraint usage_rollups_pkey,
    add primary key (tenant_id, meter_id, bucket, project_id, user_id, model, dims, value_hash);

alter table meters
    -- Goes up with each change; the ETag.
    add column version bigint not null default 1 check (version >= 1),
    drop constraint meters_value_field_check,
    -- A name, or a path of at most 8.
    add constraint meters_value_field_check check (length(value_field) between 1 and 521);

-- What a meter was and is, each version once. Key, aggregation and unit are the same in all of them.
create table meter_versions (
    tenant_id uuid not null,
    meter_id uuid not null,
    version bigint not null check (version >= 1),
    name text not null check (length(name) between 1 and 255),
    dimensions text[] not null,
    value_field text check (length(value_field) between 1 and 521),
    allows_negative boolean not null,
    created_at timestamptz not null,
    primary key (tenant_id, meter_id, version),
    foreign key (tenant_id, meter_id) references meters (tenant_id, id)
);
insert into meter_versions (tenant_id, meter_id, version, name, dimensions, value_field, allows_negative, created_at)
select tenant_id, id, version, name, dimensions, value_field, allows_negative, created_at from meters;

-- What events before this one would have been given, had they come after it. The texts are those that the rules of `usage` make.
create or replace function pg_temp.hash_of(value text) returns uuid language sql immutable as $$
    select encode(substr(sha256(int8send(octet_length(value)::bigint) || convert_to(value, 'UTF8')), 1, 16), 'hex')::uuid
$$;
create or replace function pg_temp.dims_of(dimensions text[], metadata jsonb) returns text language sql stable as $$
    select '{' || string_agg(to_json(f.name)::text || ':' || to_json(f.value)::text, ',' order by f.name collate "C") || '}'
    from (select n as name, metadata ->> n as value, jsonb_typeof(metadata -> n) as kind from unnest(dimensions) as n) f
    where f.name not in ('project', 'project_id', 'user', 'user_id', 'model') and f.kind in ('string', 'number', 'boolean')
        and octet_length(f.value) between 1 and 128 and f.value !~ '[\u0001-\u001f\u007f-\u009f]'
$$;

update usage_events e
set value_hash = pg_temp.hash_of(case m.value_field
    when 'user_id' then coalesce(e.user_id, e.metadata ->> 'user_id')
    when 'model' then coalesce(e.model, e.metadata ->> 'model')
    when 'project_id' then coalesce(e.project_id::text, e.metadata ->> 'project_id')
    else e.metadata ->> m.value_field end)
from meters m
where m.tenant_id = e.tenant_id and m.id = e.meter_id and m.aggregation = 'unique';

update usage_events e
set dims = pg_temp.dims_of(m.dimensions, e.metadata)
from meters m
where m.tenant_id = e.tenant_id and m.id = e.meter_id and pg_temp.dims_of(m.dimensions, e.metadata) is not null;

-- Buckets of such meters are made again from their events. A bucket whose events are no longer all there stays as it is.
create temporary table changed on commit drop as
select tenant_id, meter_id, date_bin('15 minutes', occurred_at, timestamptz '2000-01-01 00:00:00+00') as bucket, count(*) as count
from usage_events where txid < (select w.txid from usage_watermark w)
group by 1, 2, 3 having bool_or(dims is not null or value_hash is not null);

delete from changed c where c.count <> (
    select sum(r.count) from usage_rollups r
    where r.tenant_id = c.tenant_id and r.meter_id = c.meter_id and r.bucket = c.bucket);

delete from usage_rollups r using changed c
where r.tenant_id = c.tenant_id and r.meter_id = c.meter_id and r.bucket = c.bucket;

insert into usage_rollups (tenant_id, meter_id, bucket, project_id, user_id, model, dims, value_hash, sum, count, min, max,
    first_at, last_at, last_value, last_received_at, last_dedup)
select e.tenant_id, e.meter_id, c.bucket, coalesce(e.project_id, '00000000-0000-0000-0000-000000000000'),
    coalesce(e.user_id, ''), coalesce(e.model, ''), coalesce(e.dims, ''),
    coalesce(e.value_hash, '00000000-0000-0000-0000-000000000000'),
    sum(e.quantity), count(*), min(e.quantity), max(e.quantity), min(e.occurred_at), max(e.occurred_at),
    (array_agg(e.quantity order by e.occurred_at desc, e.received_at desc, e.dedup desc) filter (where m.aggregation = 'latest'))[1],
    (array_agg(e.received_at order by e.occurred_at desc, e.received_at desc, e.dedup desc) filter (where m.aggregation = 'latest'))[1],
    (array_agg(e.dedup order by e.occurred_at desc, e.received_at desc, e.dedup desc) filter (where m.aggregation = 'latest'))[1]
from usage_events e
join meters m on m.tenant_id = e.tenant_id and m.id = e.meter_id
join changed c on c.tenant_id = e.tenant_id and c.meter_id = e.meter_id
    and c.bucket = date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00:00+00')
where e.txid < (select w.txid from usage_watermark w)
group by 1, 2, 3, 4, 5, 6, 7, 8;
