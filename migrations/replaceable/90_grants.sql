-- Who may touch what. Policies decide which rows; grants decide which verbs.
revoke all on schema public from public;
grant usage on schema public, app, auth to plinth_app, plinth_worker;
grant select, insert, update, delete on all tables in schema public to plinth_app, plinth_worker;

-- The trail is append-only for everybody; retention drops partitions.
do $$
declare
    target regclass;
begin
    for target in select c.oid::regclass from pg_catalog.pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relname ~ '^audit_events' and c.relkind in ('r', 'p')
    loop
        execute format('revoke update, delete, truncate on %s from plinth_app, plinth_worker', target);
    end loop;
end $$;

-- Partitions are reached through their parent only.
do $$
declare
    leaf regclass;
begin
    for leaf in select c.oid::regclass from pg_catalog.pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relispartition and c.relkind = 'r'
    loop
        execute format('revoke all on %s from plinth_app, plinth_worker', leaf);
    end loop;
end $$;

-- Catalogues are read, and written by migrations only.
revoke insert, update, delete on permissions, system_roles from plinth_app, plinth_worker;
revoke insert, update, delete on global_roles from plinth_app, plinth_worker;

-- The queue: the API's role adds jobs and sees none; schedules are the worker's.
revoke select, update, delete on jobs from plinth_app;
revoke all on schedules from plinth_app;

-- Diesel's own table is nobody's business.
revoke all on public.__diesel_schema_migrations from plinth_app, plinth_worker;
grant select on public.__diesel_schema_migrations to plinth_app, plinth_worker;

-- Functions: PUBLIC may execute none of ours. The scripts of the domains grant theirs one by one.
revoke execute on all functions in schema app, auth from public;
grant execute on function
    app.current_tenant_id(), app.current_user_id(), app.current_principal_id(), app.touch_updated_at(),
    auth.user_tenant_ids(), auth.is_tenant_owner(uuid), auth.user_has_permission(text, uuid),
    app.memberships_of(uuid), app.codes_cover(text[], text), app.member_permissions(uuid, uuid), app.slug_is_free(text, uuid),
    app.tenant_of_invitation(uuid), app.tenant_for_external_ref(text, text), app.global_permissions_of(uuid)
    to plinth_app, plinth_worker;
grant execute on function app.admin_tenants(uuid, integer) to plinth_app;
grant execute on function app.ensure_audit_partitions(integer) to plinth_worker;
