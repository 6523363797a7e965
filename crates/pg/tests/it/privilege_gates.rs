//! Rules for what goes past policies: views, functions that run as the owner, and roles. And one for what policies slow down.

use crate::gate::Gate;

const WORKER: &str = "a job of the worker; no other log-in may call it";

const VIEWS: Gate = Gate {
    rule: "
        select shown || case relkind when 'm' then ': a copy that no policy guards' else ': reads as its owner' end as finding
        from relation
        where relkind = 'm' or relkind = 'v' and not coalesce('security_invoker=true' = any (reloptions), false) order by 1",
    excused: &[],
};

#[tokio::test]
async fn views_read_as_whoever_asks() {
    VIEWS
        .holds_and_fires(&[
            (
                "create view everything as select * from projects",
                "everything: reads as its owner",
            ),
            (
                "create materialized view everything as select * from projects",
                "everything: a copy that no policy guards",
            ),
        ])
        .await;
}

const NO_SETTING: &str = "answers about the person of the transaction only";
const BY_SECRET: &str =
    "looks up one row, by what only its holder knows or by what a provider signed";
const BY_ID: &str = "looks up by an id that cannot be guessed";
const FUNCTIONS: Gate = Gate {
    rule: "
        , function as (
            select p.*, p.oid::regprocedure::text as shown from pg_proc p
            join pg_namespace n on n.oid = p.pronamespace and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
            where not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        )
        select shown || ': PUBLIC may call it' as finding from function
            where exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) a where a.grantee = 0)
        union all
        select shown || ': runs as its owner, with the caller''s search_path' from function
            where prosecdef and not coalesce('search_path=pg_catalog, public' = any (proconfig), false)
        union all
        select shown || ': runs as ' || proowner::regrole from function where prosecdef and proowner <> 'plinth_owner'::regrole
        union all
        select r.rolname || ': ' || shown from function, pg_roles r
            where prosecdef and r.rolname in ('plinth_app', 'plinth_worker') and prorettype <> 'trigger'::regtype
                and has_function_privilege(r.oid, function.oid, 'execute')
        order by 1",
    excused: &[
        ("plinth_app: auth.user_tenant_ids()", NO_SETTING),
        ("plinth_app: auth.is_tenant_owner(uuid)", NO_SETTING),
        ("plinth_app: auth.user_has_permission(text,uuid)", NO_SETTING),
        ("plinth_worker: auth.user_tenant_ids()", NO_SETTING),
        ("plinth_worker: auth.is_tenant_owner(uuid)", NO_SETTING),
        ("plinth_worker: auth.user_has_permission(text,uuid)", NO_SETTING),
        ("plinth_app: app.memberships_of(uuid)", NO_SETTING),
        ("plinth_app: app.admin_tenants(uuid,integer)", "for operators, a page at a time"),
        ("plinth_app: app.slug_is_free(text,uuid)", "yes or no; a slug is a public name"),
        ("plinth_app: app.tenant_of_invitation(uuid)", BY_ID),
        ("plinth_app: app.session_for_token(uuid)", BY_ID),
        ("plinth_app: app.touch_api_keys(uuid[],uuid[],timestamp with time zone[])", "answers nothing, and writes when keys were used"),
        ("plinth_app: app.api_key_for(text)", BY_ID),
        ("plinth_app: app.credential_for_email(text)", "one person by their whole address: signing in begins so"),
        ("plinth_app: app.user_for_identity(text,text)", BY_SECRET),
        ("plinth_app: app.access_of_user(uuid,text,text,uuid,uuid,text,text,text,timestamp with time zone)", BY_SECRET),
        ("plinth_worker: app.apply_due_plan_changes(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.delete_idempotency_keys(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.delete_reservations(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.delete_sessions(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.ended_trials(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.ensure_audit_partitions(integer)", WORKER),
        ("plinth_worker: app.ensure_usage_partitions(integer)", WORKER),
        ("plinth_worker: app.expired_invitations(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.long_frozen_tenants(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.usage_zones(uuid[])", WORKER),
    ],
};

#[tokio::test]
async fn functions_that_run_as_the_owner_are_pinned_and_few() {
    let count = "create function app.count() returns bigint language sql security definer";
    let body = "as 'select count(*) from public.tenants'";
    FUNCTIONS
        .holds_and_fires(&[
            (
                &format!("{count} {body}; grant execute on function app.count() to public"),
                "app.count(): PUBLIC may call it",
            ),
            (
                &format!("{count} {body}"),
                "app.count(): runs as its owner, with the caller's search_path",
            ),
            (
                &format!("{count} set search_path = pg_catalog, public {body}"),
                "app.count(): runs as postgres",
            ),
            (
                "grant execute on function app.member_permissions(uuid, uuid) to plinth_app",
                "plinth_app: app.member_permissions(uuid,uuid)",
            ),
        ])
        .await;
}

const ROLES: Gate = Gate {
    rule: "
        , login as (select * from pg_roles where rolname in ('plinth_app', 'plinth_worker'))
        select rolname || ': may do more than a log-in should' as finding from login
            where rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication
        union all
        select l.rolname || ': is a member of ' || r.rolname from login l join pg_roles r
            on r.oid <> l.oid and pg_has_role(l.oid, r.oid, 'member')
        union all
        select l.rolname || ': has ' || a.privilege_type || ' on ' || r.shown from login l, relation r, aclexplode(r.relacl) a
            where a.grantee in (0, l.oid) and (a.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER') or r.relispartition)
        union all
        select l.rolname || ': owns ' || r.shown from login l join relation r on r.relowner = l.oid
        union all
        select l.rolname || ': may create in ' || n.nspname from login l, pg_namespace n
            where n.nspname !~ '^pg_' and has_schema_privilege(l.oid, n.oid, 'create')
        order by 1",
    excused: &[],
};

#[tokio::test]
async fn the_two_log_ins_are_bound() {
    ROLES
        .holds_and_fires(&[
            (
                "alter role plinth_app bypassrls",
                "plinth_app: may do more than a log-in should",
            ),
            (
                "grant plinth_owner to plinth_worker",
                "plinth_worker: is a member of plinth_owner",
            ),
            (
                "grant truncate on projects to plinth_app",
                "plinth_app: has TRUNCATE on projects",
            ),
            (
                "grant references on projects to public",
                "plinth_worker: has REFERENCES on projects",
            ),
            (
                "grant select on audit_events_default to plinth_app",
                "plinth_app: has SELECT on audit_events_default",
            ),
            (
                "alter table projects owner to plinth_app",
                "plinth_app: owns projects",
            ),
            (
                "grant create on schema app to plinth_app",
                "plinth_app: may create in app",
            ),
        ])
        .await;
}

const LEAKPROOF: Gate = Gate {
    rule: "
        select i.indexrelid::regclass || ': ' || t.name as finding
        from pg_index i
        join tenant_table r on r.oid = i.indrelid and i.indkey[0] = r.key
        cross join lateral (
            select a.atttypid::regtype::text as name
            from generate_series(1, i.indnkeyatts - 1) as place
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[place]
            join pg_opclass c on c.oid = i.indclass[place]
            left join pg_amop o on o.amopfamily = c.opcfamily and o.amoplefttype = c.opcintype and o.amoprighttype = c.opcintype
                and o.amopstrategy = 3
            left join pg_operator e on e.oid = o.amopopr
            left join pg_proc f on f.oid = e.oprcode
            where not coalesce(f.proleakproof, false)
        ) t
        order by 1",
    excused: &[],
};

#[tokio::test]
async fn what_follows_the_tenant_in_an_index_can_be_searched_under_policies() {
    LEAKPROOF
        .holds_and_fires(&[
            (
                "create type mood as enum ('fine'); alter table projects add mood mood; create index projects_mood on projects (tenant_id, mood)",
                "projects_mood: mood",
            ),
            (
                "create index usage_rollups_sum on usage_rollups (tenant_id, bucket, sum)",
                "usage_rollups_sum: numeric",
            ),
        ])
        .await;
}
