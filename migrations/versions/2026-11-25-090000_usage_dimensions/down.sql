create temporary table merged on commit drop as
select tenant_id, meter_id, bucket, project_id, user_id, model, sum(sum) as sum, sum(count) as count, min(min) as min, max(max) as max,
    min(first_at) as first_at, max(last_at) as last_at,
    (array_agg(last_value order by last_at desc, last_received_at desc, last_dedup desc) filter (where last_dedup is not null))[1] as last_value,
    (array_agg(last_received_at order by last_at desc, last_received_at desc, last_dedup desc)
        filter (where last_dedup is not null))[1] as last_received_at,
    (array_agg(last_dedup order by last_at desc, last_received_at desc, last_dedup desc) filter (where last_dedup is not null))[1] as last_dedup
from usage_rollups group by tenant_id, meter_id, bucket, project_id, user_id, model;
delete from usage_rollups;
alter table usage_rollups drop constraint usage_rollups_pkey, drop column dims, drop column value_hash;
alter table usage_rollups add primary key (tenant_id, meter_id, bucket, project_id, user_id, model);
insert into usage_rollups (tenant_id, meter_id, bucket, project_id, user_id, model, sum, count, min, max, first_at, last_at,
    last_value, last_received_at, last_dedup)
select * from merged;

alter table usage_events drop column dims, drop column value_hash;

drop table meter_versions;
-- A path was no name: such a meter goes back to its quantity, and one that counts values to none that is there.
update meters set value_field = case aggregation when 'unique' then left(ltrim(value_field, '$.'), 64) end where value_field like '$%';
alter table meters
    drop constraint meters_value_field_check,
    add constraint meters_value_field_check check (length(value_field) between 1 and 64),
    drop column version;
