-- Look-ups that come before a tenant is known. Each is narrow, pinned, and not for everybody. `pg_temp` stands last in every pinned path:
-- left out, it would be searched first, and a caller's temporary table could stand in for ours.

-- Whether a set of codes with wildcards covers one code. The same algebra as `kernel::permission`.
create or replace function app.codes_cover(held text[], wanted text) returns boolean language sql immutable as $$
    select exists (
        select from unnest(held) as h(code)
        where h.code = '*' or h.code = wanted
           or (split_part(h.code, '.', 1) in ('*', split_part(wanted, '.', 1))
               and (split_part(h.code, '.', 2) in ('*', split_part(wanted, '.', 2))
                    or (h.code = '*.write' and split_part(wanted, '.', 2) in ('create', 'delete')))))
$$;

-- Codes that a member holds through roles of the system and of the tenant.
create or replace function app.member_permissions(p_tenant uuid, p_user uuid) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
    return (
        select coalesce(array_agg(distinct code), '{}')
        from public.membership_roles r
        left join public.system_roles s on s.key = r.role_key
        left join public.custom_roles c on c.tenant_id = r.tenant_id and c.key = r.role_key
        cross join lateral unnest(coalesce(s.permissions, c.permissions)) as code
        where r.tenant_id = p_tenant and r.user_id = p_user
    );
end $$;

-- Every tenant that the person of this transaction is an active member of, and what they may do there. Nobody asks for anybody else.
create or replace function app.memberships_of(p_user uuid)
    returns table (tenant_id uuid, id uuid, slug text, name text, status text, status_reason text, kind text, plan_code text,
                   is_personal boolean, timezone text, version bigint, created_at timestamptz, roles text[], permissions text[])
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select t.id, t.id, t.slug, t.name, t.status, t.status_reason, t.kind, t.plan_code, t.is_personal, t.timezone, t.version, t.created_at,
        array(select r.role_key from public.membership_roles r
              where r.tenant_id = m.tenant_id and r.user_id = m.user_id order by r.role_key),
        app.member_permissions(m.tenant_id, m.user_id)
    from public.memberships m join public.tenants t on t.id = m.tenant_id
    where m.user_id = p_user and p_user = app.current_user_id() and m.status = 'active' and t.status <> 'deleted'
    order by m.joined_at, t.id
$$;

-- Whether a slug is free: used by nobody, and given up by nobody else in the last 90 days.
create or replace function app.slug_is_free(p_slug text, p_tenant uuid) returns boolean
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select not exists (select from public.tenants t where t.slug = p_slug and t.id <> p_tenant)
       and not exists (select from public.tenant_slug_history h
                       where h.slug = p_slug and h.tenant_id <> p_tenant and h.released_at > now() - interval '90 days')
$$;

-- The tenant that an invitation invites to: its token is checked before the tenant is known.
create or replace function app.tenant_of_invitation(p_id uuid) returns uuid
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select i.tenant_id from public.invitations i where i.id = p_id
$$;

drop function if exists app.tenant_for_external_ref(text, text);

-- Roles over the whole deployment.
create or replace function app.global_permissions_of(p_user uuid) returns text[]
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select coalesce(array_agg(distinct code), '{}')
    from public.global_roles g join public.system_roles s on s.key = g.role_key and s.scope = 'global'
    cross join lateral unnest(s.permissions) as code
    where g.user_id = p_user
$$;

-- For operators: tenants over the whole deployment, by name and state only, a page at a time. The API asks for the same permission before it
-- calls; this is the second lock, on whom the transaction is for: a person with that permission over the whole deployment, or the operators'
-- key, which is the one principal without a person and without a tenant.
create or replace function app.admin_tenants(p_after uuid, p_limit integer)
    returns table (id uuid, slug text, name text, status text, status_reason text, plan_code text, kind text, is_personal boolean,
                   timezone text, version bigint, created_at timestamptz)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select t.id, t.slug, t.name, t.status, t.status_reason, t.plan_code, t.kind, t.is_personal, t.timezone, t.version, t.created_at
    from public.tenants t
    where (select app.codes_cover(app.global_permissions_of(app.current_user_id()), 'tenant.admin')
               or (app.current_principal_id() is not null and coalesce(app.current_user_id(), app.current_tenant_id()) is null))
      and (p_after is null or t.id > p_after)
    order by t.id limit least(p_limit, 101)
$$;

-- A tenant keeps at least one active owner; checked when the transaction ends, so that a transfer may pass through none.
create or replace function app.check_last_owner() returns trigger
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    tenant uuid := coalesce(old.tenant_id, new.tenant_id);
begin
    if exists (select from public.tenants t where t.id = tenant and t.status not in ('archived', 'deleted', 'provisioning', 'demo'))
       and not exists (
        select from public.memberships m join public.membership_roles r using (tenant_id, user_id)
        where m.tenant_id = tenant and m.status = 'active' and r.role_key = 'owner') then
        raise exception 'the tenant would be left without an owner'
            using errcode = '23514', constraint = 'tenant_has_an_owner';
    end if;
    return null;
end $$;

-- `codes_cover`, `member_permissions` and `global_permissions_of` are for functions that run as the owner, and for no log-in.
grant execute on function app.memberships_of(uuid), app.admin_tenants(uuid, integer), app.slug_is_free(text, uuid),
    app.tenant_of_invitation(uuid) to plinth_app;
