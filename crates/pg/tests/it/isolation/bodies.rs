//! What functions say, by fingerprint: whoever edits one reads its reason here again, and asks whether it still holds.

use super::gate::Gate;

const SETTING: &str = "reads one setting of the transaction; every policy stands on it";
const PERSON: &str = "asks for the person of the transaction, in every branch";
const OPERATOR: &str =
    "asks for a permission over the whole deployment, or for the operators' key, before it answers";
const BEFORE: &str = "comes before a tenant is known: answers about one row, by what only its holder knows or by a public name";
const TOUCH: &str = "answers nothing, and in a transaction of a tenant reaches its keys only";
const INNER: &str =
    "takes anybody's id, and no log-in may call it: whoever does has asked for the person first";
const PURE: &str = "reads no table";
const IDS: &str = "for the worker: ids across tenants, and nothing else of a row";
const UPKEEP: &str = "for the worker: answers a number";
const OWNER: &str = "runs as whoever calls it, and no log-in may";
const TRIGGER: &str =
    "runs as whoever changes the row, and touches rows of the same tenant or none";
const LAST_OWNER: &str = "looks at the owners of the tenant whose row changed";

pub(super) const BODIES: Gate = Gate {
    rule: "
        select concat_ws(' ', shown, left(md5(concat_ws('|', lanname, prokind, provolatile, prosecdef, proisstrict, proleakproof, proconfig,
            pg_get_function_arguments(oid), pg_get_function_result(oid), prosrc, pg_get_function_sqlbody(oid))), 16)) as finding
        from function order by 1",
    excused: &[
        ("app.access_of_user(uuid,text,text,uuid,uuid,text,text,text,timestamp with time zone) 1da881f96be43866", BEFORE),
        ("app.admin_tenants(uuid,integer) b5eebf31b53a8937", OPERATOR),
        ("app.api_key_for(text) be846bfb41afe5fd", BEFORE),
        ("app.apply_due_plan_changes(timestamp with time zone,integer) 56602cc8027771aa", UPKEEP),
        ("app.catalogue(text) ab01db44c2ecbbd3", PURE),
        ("app.check_last_owner() 6b231ba9c6ccf8a8", LAST_OWNER),
        ("app.codes_cover(text[],text) 9ab447afc45eacaa", PURE),
        ("app.copy_plan_code() 5780d556487ca1c5", TRIGGER),
        ("app.credential_for_email(text) 8917ab808e5d76f6", BEFORE),
        ("app.current_principal_id() 12aa23c939be969d", SETTING),
        ("app.current_tenant_id() 311fd1076f9673c4", SETTING),
        ("app.current_user_id() bd9730a901aef02c", SETTING),
        ("app.delete_idempotency_keys(timestamp with time zone,integer) f2612d6bc6aa4a58", UPKEEP),
        ("app.delete_reservations(timestamp with time zone,integer) 84fef880fa91ef17", UPKEEP),
        ("app.delete_sessions(timestamp with time zone,integer) feddaa9a36aa8753", UPKEEP),
        ("app.ended_trials(timestamp with time zone,integer) 80f5b20fd3ecf227", IDS),
        ("app.ensure_audit_partitions(integer) 434bdeec59149d69", UPKEEP),
        ("app.ensure_monthly_partitions(regclass,integer) 2cf51c7cf8383def", OWNER),
        ("app.ensure_usage_partitions(integer) 37386f3d12f5a494", UPKEEP),
        ("app.expired_invitations(timestamp with time zone,integer) 409cc5cc61d0298d", IDS),
        ("app.global_permissions_of(uuid) dd94cbde9fd7a384", INNER),
        ("app.load_catalogue(text) 3281aef0eb72974e", OWNER),
        ("app.long_frozen_tenants(timestamp with time zone,integer) 6d927c0b9db6f0ac", IDS),
        ("app.make_partition(regclass,text,timestamp with time zone,timestamp with time zone) 9da76ed3727c0a64", OWNER),
        ("app.member_permissions(uuid,uuid) 88d38934af925508", INNER),
        ("app.memberships_of(uuid) d9b32d82a0393817", PERSON),
        ("app.open_to_worker(regclass) 2a4420757a6d01a3", OWNER),
        ("app.protect_own_rows(regclass,text,text) 87b49146098cb3de", OWNER),
        ("app.protect_table(regclass,text) ee5f5d0d24172a64", OWNER),
        ("app.publish_plan(text,jsonb,jsonb) 259c9da28786bb45", OWNER),
        ("app.rebase_usage_watermark() dd183da23e4d0850", OWNER),
        ("app.ring_id() 9efff79bb961191f", TRIGGER),
        ("app.ring_tenant() 9b0578034cf6d7c7", TRIGGER),
        ("app.ring_user() 6e4d6517f0953639", TRIGGER),
        ("app.session_for_token(uuid) 9bb47c6086550a38", BEFORE),
        ("app.slug_is_free(text,uuid) 4732eb71e753da87", BEFORE),
        ("app.tenant_of_invitation(uuid) 105249221e736acf", BEFORE),
        ("app.tenant_policy(text) 8865b0a92ad92f2f", PURE),
        ("app.touch_api_keys(uuid[],uuid[],timestamp with time zone[]) 9075b72fae6fd128", TOUCH),
        ("app.touch_updated_at() 85400a5a23d2376a", TRIGGER),
        ("app.usage_month(timestamp with time zone) 00537cf8543b63f0", PURE),
        ("app.usage_received_at() 6fd0edafae3108f1", PURE),
        ("app.usage_zones(uuid[]) 3ada0ad7ad6d3fed", IDS),
        ("auth.is_tenant_owner(uuid) eff687197d1d389c", PERSON),
        ("auth.user_has_permission(text,uuid) dd7d05e9f8a6659a", PERSON),
        ("auth.user_tenant_ids() 3f8424f7ef3f9ea2", PERSON),
    ],
};

#[tokio::test]
async fn what_functions_say_was_looked_at() {
    let sees_all = "create or replace function auth.user_tenant_ids() returns uuid[]
        language sql stable security definer set search_path = pg_catalog, public as
        $$ select coalesce(array_agg(m.tenant_id), '{}') from public.memberships m where m.status = 'active' $$";
    let count = "create function app.count() returns bigint language sql as 'select count(*) from public.tenants'";
    let known = |name: &str| {
        let line = BODIES
            .excused
            .iter()
            .find(|(line, _)| line.starts_with(name));
        format!("excused for nothing: {}", line.unwrap().0)
    };
    BODIES
        .holds_and_fires(&[
            (sees_all, &known("auth.user_tenant_ids()")),
            ("alter function app.api_key_for(text) security invoker", &known("app.api_key_for(text)")),
            ("alter function app.current_tenant_id() volatile", &known("app.current_tenant_id()")),
            ("drop trigger users_ring on users; drop trigger tenants_ring on tenants; drop function app.ring_id()", &known("app.ring_id()")),
            (count, "app.count() 6d93b882be8ab12e"),
            (
                "create function app.current_tenant_id(of text) returns uuid language sql as 'select gen_random_uuid()'",
                "app.current_tenant_id(text) 1ab153397cf12218",
            ),
        ])
        .await;
}
