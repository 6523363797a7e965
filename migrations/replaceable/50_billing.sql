-- Billing: the tenant's copy of its plan, plans that were ordered for later, and the catalogues.

-- `tenants.plan_code` follows the live subscription.
create or replace function app.copy_plan_code() returns trigger language plpgsql as $$
begin
    update tenants set plan_code = new.plan_code
        where id = new.tenant_id and plan_code is distinct from new.plan_code;
    return null;
end $$;
create or replace trigger subscriptions_copy_plan after insert or update of plan_code, status on subscriptions
    for each row when (new.status <> 'canceled') execute function app.copy_plan_code();
create or replace trigger subscriptions_touch before update on subscriptions
    for each row execute function app.touch_updated_at();

-- Moves up the plans that were ordered for later and are due, and reports how many. They are in force without it; what it brings up to date
-- is the history that invoices read and the copies of the plan's code. At most `batch` at a time; two workers share the work, and a tenant
-- whose row somebody holds, such as for another order, is left for the next time.
create or replace function app.apply_due_plan_changes(due_at timestamptz, batch integer default 500)
    returns integer language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    moved integer;
begin
    with due as (
        select s.tenant_id, s.id, s.pending_plan_code, s.pending_plan_version, s.pending_at
        from public.subscriptions s join public.tenants t on t.id = s.tenant_id
        where s.pending_at <= due_at order by s.pending_at limit batch
        for no key update of t skip locked for update of s skip locked
    ), history as (
        insert into public.subscription_changes (tenant_id, subscription_id, effective_at, plan_code, plan_version)
        select tenant_id, id, pending_at, pending_plan_code, pending_plan_version from due
        on conflict (tenant_id, subscription_id, effective_at)
            do update set plan_code = excluded.plan_code, plan_version = excluded.plan_version
    )
    update public.subscriptions s
    set plan_code = due.pending_plan_code, plan_version = due.pending_plan_version,
        pending_plan_code = null, pending_plan_version = null, pending_at = null
    from due where s.tenant_id = due.tenant_id and s.id = due.id;
    get diagnostics moved = row_count;
    return moved;
end $$;
revoke execute on function app.apply_due_plan_changes(timestamptz, integer) from public;
grant execute on function app.apply_due_plan_changes(timestamptz, integer) to plinth_worker;

-- What came in since `since`, of meters that some quota counts, up to the oldest transaction that still runs, or before the transaction whose
-- events would be more than `at_most`; one larger than that is looked at whole. One row with the mark that it ends at and no tenant, and then a
-- row for each tenant and meter. After a restore the mark may lie ahead of the numbers of transactions; then nothing that came in since is
-- known, and the next look starts from here.
drop function if exists app.touched_quotas(bigint);
create or replace function app.touched_quotas(since bigint, at_most integer default 2147483647)
    returns table (upto bigint, tenant_id uuid, metric text, first_at timestamptz, last_at timestamptz)
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    with oldest as (
        select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as running
    ), horizon as (
        select coalesce((
            select greatest(e.txid, since + 1) from public.usage_events e
            where e.txid >= since and e.txid < o.running order by e.txid offset at_most limit 1
        ), o.running) as upto from oldest o
    ), touched as (
        select e.tenant_id, e.meter_id, min(e.occurred_at) as first_at, max(e.occurred_at) as last_at
        from public.usage_events e, horizon h
        where e.txid >= since and e.txid < h.upto
        group by e.tenant_id, e.meter_id
    ), named as (
        select t.tenant_id, coalesce(m.key, s.key) as metric, t.first_at, t.last_at
        from touched t
        left join public.standard_meters s on s.id = t.meter_id
        left join public.meters m on m.tenant_id = t.tenant_id and m.id = t.meter_id
    )
    select h.upto, null, null, null, null from horizon h
    union all
    select h.upto, n.tenant_id, n.metric, n.first_at, n.last_at
    from named n, horizon h
    where exists (select from public.plan_entitlements p where p.kind = 'quota' and p.metric = n.metric)
       or exists (select from public.tenant_entitlement_overrides o
                  where o.tenant_id = n.tenant_id and o.kind = 'quota' and o.metric = n.metric)
$$;
revoke execute on function app.touched_quotas(bigint, integer) from public;
grant execute on function app.touched_quotas(bigint, integer) to plinth_worker;

-- Whether the transaction may give tenants what their plan does not. The API asks for the same permission before it calls; this is the second
-- lock, on whom the transaction is for: a person who has the permission over the whole deployment, or no person at all, as with the
-- operators' key. What a tenant's member may do in their tenant is no answer here, and neither is what their keys may.
create or replace function app.may_override() returns boolean
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select app.current_user_id() is null
        or app.codes_cover(app.global_permissions_of(app.current_user_id()), 'entitlement.override')
$$;

-- Writes an override of the tenant of the transaction in place of the one of its key.
create or replace function app.put_override(
    p_key text, p_kind text, p_maximum bigint, p_metric text, p_value jsonb, p_cycle text, p_enforcement text, p_grace_percent integer,
    p_grace_seconds bigint, p_reason text, p_expires_at timestamptz)
    returns void language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if not app.may_override() then
        raise exception 'only operators give overrides' using errcode = '42501';
    end if;
    insert into public.tenant_entitlement_overrides
        (tenant_id, key, kind, maximum, metric, value, cycle, enforcement, grace_percent, grace_seconds, reason, expires_at)
    values (app.current_tenant_id(), p_key, p_kind, p_maximum, p_metric, p_value, p_cycle, p_enforcement, p_grace_percent, p_grace_seconds,
        p_reason, p_expires_at)
    on conflict (tenant_id, key) do update set kind = excluded.kind, maximum = excluded.maximum, metric = excluded.metric,
        value = excluded.value, cycle = excluded.cycle, enforcement = excluded.enforcement, grace_percent = excluded.grace_percent,
        grace_seconds = excluded.grace_seconds, reason = excluded.reason, expires_at = excluded.expires_at, created_at = now();
end $$;

-- Removes the override of a key from the tenant of the transaction.
create or replace function app.delete_override(p_key text)
    returns void language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if not app.may_override() then
        raise exception 'only operators take overrides away' using errcode = '42501';
    end if;
    delete from public.tenant_entitlement_overrides where tenant_id = app.current_tenant_id() and key = p_key;
end $$;
revoke execute on function app.may_override(),
    app.put_override(text, text, bigint, text, jsonb, text, text, integer, bigint, text, timestamptz), app.delete_override(text) from public;
grant execute on function app.put_override(text, text, bigint, text, jsonb, text, text, integer, bigint, text, timestamptz),
    app.delete_override(text) to plinth_app;

-- Where a tenant stands with one entitlement, out of the snapshot of whoever asks, which `watermark` names. Of a quota that is known to be
-- counted from `starts` to `ends`: what reservations settled in it, or, of a metric, what its meter counted since the snapshot `since`.
--
-- Statement by statement, so that only what is needed is looked at, and with as few as possible: most of what one costs is to begin. Things
-- that are counted by a rule of their own are counted by the same words as where they are taken.
create or replace function app.standing(tenant uuid, wanted text, resource_kind text, at timestamptz, starts timestamptz, ends timestamptz,
        counted_metric text, meter uuid, meter_version bigint, sums boolean, since text)
    returns table (timezone text, anchor_at timestamptz, anchor_zone text, plan text, key text, kind text, maximum bigint, metric text,
        value jsonb, cycle text, enforcement text, grace_percent integer, grace_seconds bigint, things bigint, held bigint,
        crossed_period timestamptz, crossed_at timestamptz, watermark text, counted numeric)
    language plpgsql stable as $$
#variable_conflict use_column
declare
    version_in_force integer;
    snapshot constant pg_snapshot := app.usage_snapshot();
begin
    select t.timezone, s.anchor_at, s.timezone,
        case when s.status = 'incomplete' or s.cancel_at <= at then null
            when s.pending_at <= at then s.pending_plan_code else s.plan_code end,
        case when s.pending_at <= at then s.pending_plan_version else s.plan_version end,
        c.period_start, c.started_at
    into timezone, anchor_at, anchor_zone, plan, version_in_force, crossed_period, crossed_at
    from tenants t
    left join subscriptions s on s.tenant_id = tenant and s.status <> 'canceled'
    left join entitlement_graces c on c.tenant_id = tenant and c.key = wanted
    where t.id = tenant;
    if not found then
        return;
    end if;
    select o.key, o.kind, o.maximum, o.metric, o.value, o.cycle, o.enforcement, o.grace_percent, o.grace_seconds
    into key, kind, maximum, metric, value, cycle, enforcement, grace_percent, grace_seconds
    from tenant_entitlement_overrides o
    where o.tenant_id = tenant and o.key = wanted and (o.expires_at is null or o.expires_at > at);
    if not found then
        select p.key, p.kind, p.maximum, p.metric, p.value, p.cycle, p.enforcement, p.grace_percent, p.grace_seconds
        into key, kind, maximum, metric, value, cycle, enforcement, grace_percent, grace_seconds
        from plan_entitlements p where p.plan_code = plan and p.plan_version = version_in_force and p.key = wanted;
    end if;
    if wanted = 'max_members' then
        select (select count(*) from memberships m where m.tenant_id = tenant and m.status = 'active')
            + (select count(*) from invitations i where i.tenant_id = tenant and i.status = 'pending' and i.expires_at > at)
        into things;
    elsif wanted = 'max_projects' then
        select count(*) into things from projects p where p.tenant_id = tenant and p.status <> 'archived' and not p.is_default;
    elsif resource_kind is null then
        things := 0;
    else
        select count(*) into things from resources r where r.tenant_id = tenant and r.kind = resource_kind;
    end if;
    select coalesce(sum(q.quantity), 0) into held from quota_reservations q
    where q.tenant_id = tenant and q.key = wanted and q.status = 'open' and q.expires_at > at;
    if counted_metric is not null then
        counted := app.usage_since(tenant, counted_metric, meter, meter_version, sums, starts, ends, since::pg_snapshot,
            snapshot);
    elsif starts is not null then
        select coalesce(sum(q.settled_quantity), 0) into counted from quota_reservations q
        where q.tenant_id = tenant and q.key = wanted and q.status = 'settled' and q.finished_at >= starts and q.finished_at < ends;
    end if;
    watermark := snapshot::text;
    return next;
end $$;

-- Makes the rest of a transaction that is one of no tenant one of this tenant, and answers it: for a statement that is a transaction by
-- itself.
create or replace function app.enter(tenant uuid) returns uuid language plpgsql volatile as $$
begin
    if app.current_tenant_id() is null then
        execute format('set local app.tenant_id = %L', tenant);
    end if;
    return tenant;
end $$;
grant execute on function app.enter(uuid) to plinth_app;
grant execute on function app.standing(uuid, text, text, timestamptz, timestamptz, timestamptz, text, uuid, bigint, boolean, text)
    to plinth_app, plinth_worker;

-- The numbers of a catalogue: aliases, plans in the order of the list, usage prices of the metered ones. Null limits are unlimited.
create or replace function app.catalogue(wanted text) returns jsonb language sql immutable as $$
    select case wanted
    when 'default' then '{
        "aliases": {"hobby": "starter", "business": "pro"},
        "plans": [
            {"code": "free", "name": "Free", "amount": 0, "metered": false,
             "limits": {"max_projects": 1, "max_members": 3, "max_dashboards": 5, "max_agents": 10,
                        "tasks_per_month": 1000, "max_concurrent_workflows": 2}},
            {"code": "starter", "name": "Starter", "amount": 2900, "metered": true,
             "limits": {"max_projects": 5, "max_members": 10, "max_dashboards": 20, "max_agents": 50,
                        "tasks_per_month": 10000, "max_concurrent_workflows": 10}},
            {"code": "pro", "name": "Pro", "amount": 9900, "metered": true,
             "limits": {"max_projects": 20, "max_members": 50, "max_dashboards": 100, "max_agents": 100,
                        "tasks_per_month": 100000, "max_concurrent_workflows": 50}},
            {"code": "enterprise", "name": "Enterprise", "amount": 29900, "metered": true,
             "limits": {"max_projects": null, "max_members": null, "max_dashboards": null, "max_agents": null,
                        "tasks_per_month": null, "max_concurrent_workflows": null}}
        ],
        "prices": [
            {"metric": "llm_tokens_input", "model": "package", "unit_amount": "0.50", "package_size": "1000000"},
            {"metric": "llm_tokens_output", "model": "package", "unit_amount": "1.50", "package_size": "1000000"},
            {"metric": "tool_call", "model": "graduated", "tiers": [
                {"up_to": "1000", "unit_amount": "0", "flat_amount": "0"},
                {"up_to": null, "unit_amount": "0.001", "flat_amount": "0"}]},
            {"metric": "agent_minute", "model": "per_unit", "unit_amount": "0.01"}
        ]}'::jsonb
    when 'prd37' then '{
        "aliases": {"free": "starter", "hobby": "starter", "pro": "business"},
        "plans": [
            {"code": "starter", "name": "Starter", "amount": 900, "metered": false,
             "limits": {"max_agents": 3, "max_workflows": 10, "max_documents": 5, "max_members": 1}},
            {"code": "business", "name": "Business", "amount": 2900, "metered": false,
             "limits": {"max_agents": 10, "max_workflows": 50, "max_documents": null, "max_members": 10}},
            {"code": "enterprise", "name": "Enterprise", "amount": 9900, "metered": false,
             "limits": {"max_agents": null, "max_workflows": null, "max_documents": null, "max_members": null}}
        ],
        "prices": []}'::jsonb
    end
$$;

-- Puts a catalogue on sale instead of what is on sale now. Tenants keep the version they have. A version that was published before is sold
-- again; another one is made only where there is none.
create or replace function app.load_catalogue(wanted text) returns void language plpgsql as $$
declare
    content jsonb := app.catalogue(wanted);
    item jsonb;
    place bigint;
    sold integer;
begin
    if content is null then
        raise exception 'there is no catalogue %', wanted;
    end if;
    update public.plans set current_version = null;
    delete from public.plan_aliases;
    for item, place in select value, ordinality from jsonb_array_elements(content -> 'plans') with ordinality loop
        insert into public.plans (code) values (item ->> 'code') on conflict do nothing;
        select max(v.version) into sold from public.plan_versions v
            where v.plan_code = item ->> 'code' and v.catalogue = wanted;
        if sold is null then
            sold := app.publish_plan(wanted, item, case when (item ->> 'metered')::boolean then content -> 'prices' else '[]' end);
        end if;
        update public.plans set current_version = sold, position = place where code = item ->> 'code';
    end loop;
    insert into public.plan_aliases (alias, plan_code)
        select key, value from jsonb_each_text(content -> 'aliases');
end $$;

-- Makes the next version of a plan, and answers its number.
create or replace function app.publish_plan(brought_by text, sheet jsonb, usage_prices jsonb) returns integer language plpgsql as $$
declare
    published integer;
begin
    insert into public.plan_versions (plan_code, version, catalogue, name, amount, currency, interval)
        select sheet ->> 'code', coalesce(max(v.version), 0) + 1, brought_by, sheet ->> 'name', (sheet ->> 'amount')::bigint, 'USD', 'month'
        from public.plan_versions v where v.plan_code = sheet ->> 'code'
        returning version into published;
    insert into public.plan_entitlements (plan_code, plan_version, key, kind, maximum, metric)
        select sheet ->> 'code', published, key,
            case when key like 'max\_%' then 'limit' else 'quota' end, (value #>> '{}')::bigint,
            case key when 'tasks_per_month' then 'task_completed' end
        from jsonb_each(sheet -> 'limits');
    insert into public.prices (plan_code, plan_version, metric, model, unit_amount, package_size, tiers, position)
        select sheet ->> 'code', published, p.value ->> 'metric', p.value ->> 'model', (p.value ->> 'unit_amount')::numeric,
            (p.value ->> 'package_size')::numeric, p.value -> 'tiers', p.ordinality
        from jsonb_array_elements(usage_prices) with ordinality as p;
    return published;
end $$;

-- The default catalogue is put on sale once. A deployment that sells another one keeps it.
do $$
begin
    if not exists (select from public.plans where current_version is not null) then
        perform app.load_catalogue('default');
    end if;
end $$;
