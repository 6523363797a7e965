-- The tenant that another system knows by our slug: an import asks before it can enter the tenant. Tombstones are nobody.
create or replace function app.tenant_of_slug(p_slug text) returns uuid
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select t.id from public.tenants t where t.slug = p_slug and t.status <> 'deleted'
$$;

grant execute on function app.tenant_of_slug(text) to plinth_app;
