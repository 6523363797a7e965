-- Who may touch which table. Policies decide which rows; grants decide which verbs. A table that an application adds has all four.
grant usage on schema public, app, auth to plinth_app, plinth_worker;
grant select, insert, update, delete on all tables in schema public to plinth_app, plinth_worker;

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

-- Diesel's own table is read, to tell whether the schema is the one that this binary knows.
revoke insert, update, delete on public.__diesel_schema_migrations from plinth_app, plinth_worker;

-- The trail is append-only for everybody; retention drops partitions.
revoke update, delete on audit_events from plinth_app, plinth_worker;

-- Catalogues are read, and written by migrations only. So are the roles of operators.
revoke insert, update, delete on permissions, system_roles, global_roles from plinth_app, plinth_worker;
-- What a tenant is called elsewhere, and what it has besides its plan, is the deployment's to say: overrides are written by a function that
-- asks for an operator.
revoke insert, update, delete on tenant_external_refs, tenant_entitlement_overrides from plinth_app, plinth_worker;

-- People are archived, never deleted.
revoke delete on users from plinth_app, plinth_worker;
-- The worker's jobs sign nobody in.
revoke all on user_credentials, sessions, user_identities from plinth_worker;
-- A key's text, tenant and creator are written once.
revoke update on api_keys from plinth_app, plinth_worker;
grant update (hash_kind, hash, pepper_version, revoked_at, revoked_reason, overlap_until) on api_keys to plinth_app;

-- Plans are written by the functions of the catalogue, which the owner calls. Invoices are never deleted.
revoke insert, update, delete on plans, plan_versions, plan_aliases, prices, plan_entitlements from plinth_app, plinth_worker;
revoke delete on subscriptions, subscription_changes, invoices, invoice_lines from plinth_app, plinth_worker;
-- A threshold is told once: its row is never changed.
revoke update on entitlement_thresholds from plinth_app, plinth_worker;
revoke all on quota_watch from plinth_app;
revoke insert, delete on quota_watch from plinth_worker;

-- Usage is written once: an event is never changed, and what derives from events is written by the worker alone.
revoke insert, update, delete on standard_meters from plinth_app, plinth_worker;
revoke update, delete on meter_versions from plinth_app;
revoke all on meter_versions from plinth_worker;
revoke update, delete on usage_events from plinth_app, plinth_worker;
revoke insert on usage_events from plinth_worker;
revoke insert, update, delete on usage_watermark, usage_rollups, usage_days, usage_daily from plinth_app;
revoke insert, delete on usage_watermark from plinth_worker;
-- What an import has done stays done.
revoke delete on usage_imports, usage_import_totals from plinth_app;
revoke all on usage_imports, usage_import_totals from plinth_worker;
revoke insert, update, delete on usage_dropped_partitions from plinth_app, plinth_worker;

-- The queue: the API's role adds jobs and sees none; schedules are the worker's.
revoke select, update, delete on jobs from plinth_app;
revoke all on schedules from plinth_app;
