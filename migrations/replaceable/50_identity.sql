-- Signing in: look-ups that come before anybody is known, and the bell that rings when somebody's permissions change.

select app.protect_own_rows('public.user_identities', 'user_id', 'current_user_id');
select app.protect_own_rows('public.user_credentials', 'user_id', 'current_user_id');
select app.protect_own_rows('public.sessions', 'user_id', 'current_user_id');

-- Whoever has an address, with their password hash if they have one.
create or replace function app.credential_for_email(p_email text)
    returns table (id uuid, email text, email_verified boolean, name text, status text, last_tenant_id uuid,
                   created_at timestamptz, password_hash text)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select u.id, u.email, u.email_verified, u.name, u.status, u.last_tenant_id, u.created_at, c.password_hash
    from public.users u left join public.user_credentials c on c.user_id = u.id
    where u.email = p_email
$$;

drop function if exists app.user_for_identity(text, text);

-- A session, for as long as its owner may sign in.
create or replace function app.session_for_token(p_session uuid)
    returns table (id uuid, user_id uuid, family_digest bytea, turn_digest bytea, created_at timestamptz,
                   expires_at timestamptz, revoked_at timestamptz, last_tenant_id uuid)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select s.id, s.user_id, s.family_digest, s.turn_digest, s.created_at, s.expires_at, s.revoked_at, u.last_tenant_id
    from public.sessions s join public.users u on u.id = s.user_id
    where s.id = p_session and u.status = 'active'
$$;

-- Keys by their public names, with where their tenants stand and what their creators may do there now: all that signing in needs.
create or replace function app.api_keys_for(p_key_ids text[])
    returns table (tenant_id uuid, id uuid, name text, key_id text, mode text, scopes text[], hash_kind text, hash bytea,
                   pepper_version smallint, project_id uuid, environment_id uuid, created_by uuid,
                   expires_at timestamptz, revoked_at timestamptz, revoked_reason text, overlap_until timestamptz,
                   rotated_from uuid, last_used_at timestamptz, created_at timestamptz,
                   tenant_status text, creator_is_active boolean, creator_permissions text[])
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
        select k.tenant_id, k.id, k.name, k.key_id, k.mode, k.scopes, k.hash_kind, k.hash, k.pepper_version,
            k.project_id, k.environment_id, k.created_by, k.expires_at, k.revoked_at, k.revoked_reason, k.overlap_until,
            k.rotated_from, k.last_used_at, k.created_at, t.status,
            coalesce(u.status = 'active' and m.status = 'active', false),
            case when m.status = 'active' then app.member_permissions(k.tenant_id, k.created_by) else '{}' end
        from public.api_keys k
        join public.tenants t on t.id = k.tenant_id
        left join public.users u on u.id = k.created_by
        left join public.memberships m on m.tenant_id = k.tenant_id and m.user_id = k.created_by
        where k.key_id = any (p_key_ids);
end $$;

-- One of them, for the release before.
create or replace function app.api_key_for(p_key_id text)
    returns table (tenant_id uuid, id uuid, name text, key_id text, mode text, scopes text[], hash_kind text, hash bytea,
                   pepper_version smallint, project_id uuid, environment_id uuid, created_by uuid,
                   expires_at timestamptz, revoked_at timestamptz, revoked_reason text, overlap_until timestamptz,
                   rotated_from uuid, last_used_at timestamptz, created_at timestamptz,
                   tenant_status text, creator_is_active boolean, creator_permissions text[])
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select * from app.api_keys_for(array[p_key_id])
$$;

-- Writes when keys were used, never backwards. In a transaction of a tenant it reaches the keys of that tenant and no others.
create or replace function app.touch_api_keys(p_tenants uuid[], p_ids uuid[], p_times timestamptz[]) returns void
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp as $$
    update public.api_keys k set last_used_at = used.at
    from unnest(p_tenants, p_ids, p_times) as used(tenant_id, id, at)
    where k.tenant_id = used.tenant_id and k.id = used.id and (k.last_used_at is null or k.last_used_at < used.at)
      and k.tenant_id = coalesce(app.current_tenant_id(), k.tenant_id)
$$;

-- A user, by our own id or by an identity provider's name, and their place in one tenant: the one that the request names, else the
-- claimed, the last used, the personal, the oldest. One row, or none when nobody is known; its cost does not grow with their tenants.
create or replace function app.access_of_user(
        p_user uuid, p_issuer text, p_subject text, p_session uuid, p_tenant uuid,
        p_org_kind text, p_org_id text, p_org_slug text, p_now timestamptz)
    returns table (id uuid, email text, email_verified boolean, name text, status text, last_tenant_id uuid,
                   created_at timestamptz, session_is_live boolean, global_permissions text[], claimed_tenant_id uuid,
                   tenant_id uuid, tenant_status text, roles text[], permissions text[])
    language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
        with person as (
            select u.* from public.users u
            where u.id = coalesce(p_user, (select i.user_id from public.user_identities i
                                           where i.issuer = p_issuer and i.subject = p_subject))
        ), claim as (
            -- By external name, else by slug; either way only among the person's own tenants.
            select c.tenant_id from (
                select r.tenant_id, 1 as rank from public.tenant_external_refs r
                where r.kind = p_org_kind and r.external_id in (p_org_id, p_org_slug)
                union all
                select t.id, 2 from public.tenants t where t.slug = p_org_slug
            ) c
            join public.memberships m on m.tenant_id = c.tenant_id and m.user_id = (select p.id from person p) and m.status = 'active'
            order by c.rank limit 1
        ), choice as (
            select coalesce(
                p_tenant,
                (select c.tenant_id from claim c),
                (select m.tenant_id from public.memberships m join person p on m.user_id = p.id and m.tenant_id = p.last_tenant_id
                 join public.tenants t on t.id = m.tenant_id
                 where m.status = 'active' and t.status not in ('archived', 'deleted')),
                (select m.tenant_id from public.memberships m join person p on m.user_id = p.id
                 join public.tenants t on t.id = m.tenant_id
                 where m.status = 'active' and t.status <> 'deleted'
                 order by t.status = 'archived', not t.is_personal, m.joined_at, m.tenant_id limit 1)) as tenant_id
        )
        select p.id, p.email, p.email_verified, p.name, p.status, p.last_tenant_id, p.created_at,
            p_session is null or exists (
                select from public.sessions s
                where s.id = p_session and s.user_id = p.id and s.revoked_at is null and s.expires_at > p_now),
            app.global_permissions_of(p.id),
            (select c.tenant_id from claim c),
            m.tenant_id, t.status,
            array(select r.role_key from public.membership_roles r
                  where r.tenant_id = m.tenant_id and r.user_id = m.user_id order by r.role_key),
            app.member_permissions(m.tenant_id, m.user_id)
        from person p
        cross join choice c
        left join (public.memberships m join public.tenants t on t.id = m.tenant_id and t.status <> 'deleted')
            on m.tenant_id = c.tenant_id and m.user_id = p.id and m.status = 'active';
end $$;

grant execute on function
    app.credential_for_email(text), app.session_for_token(uuid), app.api_keys_for(text[]), app.api_key_for(text),
    app.touch_api_keys(uuid[], uuid[], timestamptz[]),
    app.access_of_user(uuid, text, text, uuid, uuid, text, text, text, timestamptz)
    to plinth_app;

-- The bell. Whoever caches what somebody may do listens to `plinth_access`; the payload is the tenant or the user that changed.
create or replace function app.ring_tenant() returns trigger
    language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('plinth_access', coalesce(new.tenant_id, old.tenant_id)::text);
    return null;
end $$;

create or replace function app.ring_id() returns trigger
    language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('plinth_access', new.id::text);
    return null;
end $$;

create or replace function app.ring_user() returns trigger
    language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('plinth_access', coalesce(new.user_id, old.user_id)::text);
    return null;
end $$;

-- For everybody at once: no id is in it.
create or replace function app.ring_everybody() returns trigger
    language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('plinth_access', '');
    return null;
end $$;

-- Not on last_used_at: writing that is no change of what a key may do.
create or replace trigger api_keys_ring
    after update of name, scopes, hash, project_id, environment_id, created_by, expires_at, revoked_at, revoked_reason, overlap_until
    or delete on api_keys
    for each row execute function app.ring_tenant();
create or replace trigger memberships_ring after insert or update of status or delete on memberships
    for each row execute function app.ring_tenant();
create or replace trigger memberships_ring_user after insert or update of status or delete on memberships
    for each row execute function app.ring_user();
create or replace trigger membership_roles_ring after insert or update or delete on membership_roles
    for each row execute function app.ring_tenant();
create or replace trigger custom_roles_ring after insert or update of key, permissions or delete on custom_roles
    for each row execute function app.ring_tenant();
create or replace trigger system_roles_ring after update or delete on system_roles
    for each statement execute function app.ring_everybody();
create or replace trigger tenants_ring after update of status on tenants
    for each row when (old.status is distinct from new.status) execute function app.ring_id();
create or replace trigger users_ring after update of status on users
    for each row when (old.status is distinct from new.status) execute function app.ring_id();
create or replace trigger sessions_ring after update of revoked_at on sessions
    for each row execute function app.ring_user();
create or replace trigger global_roles_ring after insert or update or delete on global_roles
    for each row execute function app.ring_user();
