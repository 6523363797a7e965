-- The settings of the transaction. Each is null when unset, empty or no UUID-shaped text was ever set, so policies fail closed.
-- Plain SQL, stable, without a SET clause: PostgreSQL inlines them.
create or replace function app.current_tenant_id() returns uuid language sql stable
    as $$ select nullif(current_setting('app.tenant_id', true), '')::uuid $$;
create or replace function app.current_user_id() returns uuid language sql stable
    as $$ select nullif(current_setting('app.user_id', true), '')::uuid $$;
create or replace function app.current_principal_id() returns uuid language sql stable
    as $$ select nullif(current_setting('app.principal_id', true), '')::uuid $$;

-- Every policy calls these, so whoever reads a table must be able to.
grant execute on function app.current_tenant_id(), app.current_user_id(), app.current_principal_id() to plinth_app, plinth_worker;
