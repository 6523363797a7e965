//! Rules for functions: who may call them, and as whom they run. What they say is fixed in [`super::bodies`].

use super::gate::Gate;

const WORKER: &str = "a job of the worker; no other log-in may call it";
const NO_SETTING: &str = "answers about the person of the transaction only";
const BY_SECRET: &str =
    "looks up one row, by what only its holder knows or by what a provider signed";
const OPERATORS: &str = "for operators, in the tenant of the transaction; answers nothing";
const BY_ID: &str = "looks up by an id that cannot be guessed";
pub(super) const FUNCTIONS: Gate = Gate {
    rule: "
        select shown || ': PUBLIC may call it' as finding from function
            where exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) a where a.grantee = 0)
        union all
        select shown || ': runs as its owner, with the caller''s search_path' from function
            where prosecdef and not coalesce('search_path=pg_catalog, public, pg_temp' = any (proconfig), false)
        union all
        select shown || ': belongs to ' || proowner::regrole from function where proowner <> 'plinth_owner'::regrole
        union all
        select shown || ': sets ' || setting from function, unnest(proconfig) as setting
            where setting not in ('search_path=pg_catalog, public, pg_temp', 'lock_timeout=3s', 'lock_timeout=100ms', 'enable_seqscan=off', 'enable_bitmapscan=off',
                'enable_sort=off', 'jit=off', 'plan_cache_mode=force_generic_plan')
        union all
        select shown || ': is trusted to leak nothing' from function where proleakproof
        union all
        select shown || ': is written in ' || lanname from function where lanname not in ('sql', 'plpgsql')
        union all
        select shown || ': ' || a.grantee::regrole || ' may call it' from function, aclexplode(proacl) a
            where a.grantee not in (0, proowner, 'plinth_app'::regrole, 'plinth_worker'::regrole)
        union all
        select shown || ': may be passed on by ' || a.grantee::regrole from function, aclexplode(proacl) a
            where a.is_grantable and a.grantee <> proowner
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
        ("plinth_app: app.put_override(text,text,bigint,text,jsonb,text,text,integer,bigint,text,timestamp with time zone)", OPERATORS),
        ("plinth_app: app.delete_override(text)", OPERATORS),
        ("plinth_app: app.slug_is_free(text,uuid)", "yes or no; a slug is a public name"),
        ("plinth_app: app.tenant_of_invitation(uuid)", BY_ID),
        ("plinth_app: app.tenant_of_slug(text)", "an id for a public name; nothing is reached by an id alone"),
        ("plinth_app: app.session_for_token(uuid)", BY_ID),
        ("plinth_app: app.touch_api_keys(uuid[],uuid[],timestamp with time zone[])", "answers nothing, and writes when keys were used"),
        ("plinth_app: app.api_key_for(text)", BY_ID),
        ("plinth_app: app.api_keys_for(text[])", BY_ID),
        ("plinth_app: app.credential_for_email(text)", "one person by their whole address: signing in begins so"),
        ("plinth_app: app.access_of_user(uuid,text,text,uuid,uuid,text,text,text,timestamp with time zone)", BY_SECRET),
        ("plinth_worker: app.apply_due_plan_changes(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.delete_idempotency_keys(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.delete_reservations(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.delete_sessions(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.drop_usage_partition(text,bigint)", WORKER),
        ("plinth_worker: app.ended_trials(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.ensure_audit_partitions(integer)", WORKER),
        ("plinth_worker: app.ensure_usage_partitions(integer)", WORKER),
        ("plinth_worker: app.expired_invitations(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.long_frozen_tenants(timestamp with time zone,integer)", WORKER),
        ("plinth_worker: app.summarise_usage_events()", WORKER),
        ("plinth_worker: app.touched_quotas(bigint,integer)", WORKER),
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
                &format!("{count} set search_path = pg_catalog, public, pg_temp {body}"),
                "app.count(): belongs to postgres",
            ),
            (
                "grant execute on function app.member_permissions(uuid, uuid) to plinth_app",
                "plinth_app: app.member_permissions(uuid,uuid)",
            ),
            (
                "alter function app.api_keys_for(text[]) set search_path = public",
                "app.api_keys_for(text[]): runs as its owner, with the caller's search_path",
            ),
            (
                "alter function app.api_keys_for(text[]) set row_security = off",
                "app.api_keys_for(text[]): sets row_security=off",
            ),
            (
                "alter function app.usage_month(timestamptz) set app.tenant_id = ''",
                "app.usage_month(timestamp with time zone): sets app.tenant_id=",
            ),
            (
                "alter function app.codes_cover(text[], text) leakproof",
                "app.codes_cover(text[],text): is trusted to leak nothing",
            ),
            (
                "alter function app.codes_cover(text[], text) owner to plinth_app",
                "app.codes_cover(text[],text): belongs to plinth_app",
            ),
            (
                "create role sales; grant execute on function app.admin_tenants(uuid, integer) to sales",
                "app.admin_tenants(uuid,integer): sales may call it",
            ),
            (
                "grant execute on function app.api_keys_for(text[]) to plinth_app with grant option",
                "app.api_keys_for(text[]): may be passed on by plinth_app",
            ),
            (
                "create function public.file(text) returns text language internal as 'pg_read_file'",
                "file(text): is written in internal",
            ),
            (
                "create schema shop; create function shop.count() returns bigint language sql security definer as 'select 1::bigint'",
                "shop.count(): runs as its owner, with the caller's search_path",
            ),
            (
                "create procedure app.count() language sql security definer as 'select 1'; grant execute on procedure app.count() to plinth_app",
                "plinth_app: app.count()",
            ),
            (
                "alter function app.copy_plan_code() security definer",
                "app.copy_plan_code(): runs as its owner, with the caller's search_path",
            ),
            (
                "create function information_schema.count() returns bigint language sql as 'select 1::bigint'",
                "information_schema.count(): PUBLIC may call it",
            ),
        ])
        .await;
}
