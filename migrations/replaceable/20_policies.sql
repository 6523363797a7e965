-- Row-level security, given by the catalogue: a table with a `tenant_id` is a tenant's, whoever added it.
do $$
declare
    target regclass;
begin
    for target in
        select c.oid::regclass
        from pg_catalog.pg_class c
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnotnull
    loop
        perform app.protect_table(target);
    end loop;
end $$;

-- The tenant's own row: its id is the tenant's id.
select app.protect_table('public.tenants', 'id');

-- A person sees themselves, and the people they share the tenant of the request with, until those leave. They change nobody but themselves.
alter table users enable row level security, force row level security;
drop policy if exists own_rows on users;
create policy own_rows on users
    using (id = (select app.current_user_id()))
    with check (id = (select app.current_user_id()));
drop policy if exists same_tenant on users;
create policy same_tenant on users for select
    using (id in (select m.user_id from memberships m
                  where m.tenant_id = (select app.current_tenant_id()) and m.status <> 'removed'));

-- Rows of one person, or of one principal.
select app.protect_own_rows('public.global_roles', 'user_id', 'current_user_id');
select app.protect_own_rows('public.idempotency_keys', 'principal_id', 'current_principal_id');
select app.protect_own_rows('public.usage_imports', 'principal_id', 'current_principal_id');
