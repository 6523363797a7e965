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
const METERS: &str = "for the worker: tenants, keys of meters and times of use across tenants";
const OVERRIDE: &str =
    "asks whether the transaction is an operator's, and writes in the tenant of the transaction";
const INGEST: &str = "runs as whoever calls it, so row-level security decides: it enters tenants only in a transaction of none, for group commit";
const ENTERS: &str = "says which tenant a transaction of none is one of, as any log-in may; row-level security decides";
const READS_AS_CALLER: &str = "runs as whoever calls it, so row-level security decides";
const UPKEEP: &str = "for the worker: answers a number";
const SETTLED: &str =
    "for the worker: runs as whoever calls it, and answers a sentence that names no tenant";
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
        ("app.access_of_user(uuid,text,text,uuid,uuid,text,text,text,timestamp with time zone) 61486cae24242239", BEFORE),
        ("app.admin_tenants(uuid,integer) 4a99d17ae8734638", OPERATOR),
        ("app.api_key_for(text) 136fbac946725c4e", BEFORE),
        ("app.api_keys_for(text[]) 74eda9ed7241798b", BEFORE),
        ("app.append_usage_events(boolean,boolean,uuid[],integer[],timestamp with time zone,uuid[],uuid[],uuid[],timestamp with time zone[],numeric[],uuid[],text[],text[],text[],text[],text[],text[],uuid[]) a2a072a075074c5b", INGEST),
        ("app.apply_due_plan_changes(timestamp with time zone,integer) 53e9604ef026a674", UPKEEP),
        ("app.catalogue(text) ab01db44c2ecbbd3", PURE),
        ("app.check_last_owner() 6250a883beb1bc0e", LAST_OWNER),
        ("app.codes_cover(text[],text) 9ab447afc45eacaa", PURE),
        ("app.copy_plan_code() 5780d556487ca1c5", TRIGGER),
        ("app.credential_for_email(text) 52f3a2b24c32e6d7", BEFORE),
        ("app.current_principal_id() 12aa23c939be969d", SETTING),
        ("app.current_tenant_id() 311fd1076f9673c4", SETTING),
        ("app.current_user_id() bd9730a901aef02c", SETTING),
        ("app.delete_idempotency_keys(timestamp with time zone,integer) 4dbad3e04e10c89a", UPKEEP),
        ("app.delete_reservations(timestamp with time zone,integer) 4c8ba7cd46a99c0a", UPKEEP),
        ("app.delete_sessions(timestamp with time zone,integer) 312046319373f01f", UPKEEP),
        ("app.drop_usage_partition(text,bigint) df8b70dc6be941a1", UPKEEP),
        ("app.ended_trials(timestamp with time zone,integer) d9dfb046e60765d7", IDS),
        ("app.enter(uuid) 52e37a1295e2770b", ENTERS),
        ("app.ensure_audit_partitions(integer) 75f4e8ebeaf2997d", UPKEEP),
        ("app.ensure_monthly_partitions(regclass,integer) 2cf51c7cf8383def", OWNER),
        ("app.ensure_usage_partitions(integer) 59f931c8fb6898c6", UPKEEP),
        ("app.expired_invitations(timestamp with time zone,integer) 26ce55f225ea2204", IDS),
        ("app.global_permissions_of(uuid) 99e6fdb9bb8e1725", INNER),
        ("app.load_catalogue(text) 3281aef0eb72974e", OWNER),
        ("app.long_frozen_tenants(timestamp with time zone,integer) 2178235f8454b51f", IDS),
        ("app.make_partition(regclass,text,timestamp with time zone,timestamp with time zone) 9da76ed3727c0a64", OWNER),
        ("app.member_permissions(uuid,uuid) 353360ab1990a542", INNER),
        ("app.memberships_of(uuid) 21f284c7aab1fa6d", PERSON),
        ("app.named_meters(boolean,uuid[],integer[],text[]) e5c7bb049abe107e", INGEST),
        ("app.open_to_worker(regclass) 2a4420757a6d01a3", OWNER),
        ("app.protect_own_rows(regclass,text,text) 87b49146098cb3de", OWNER),
        ("app.protect_table(regclass,text) ee5f5d0d24172a64", OWNER),
        ("app.publish_plan(text,jsonb,jsonb) 259c9da28786bb45", OWNER),
        ("app.may_override() 9832b16dc8aa6d42", OPERATOR),
        ("app.put_override(text,text,bigint,text,jsonb,text,text,integer,bigint,text,timestamp with time zone) 1cb6e3bf5d84bfdd", OVERRIDE),
        ("app.delete_override(text) 4a8ca2ff7c700845", OVERRIDE),
        ("app.rebase_usage_watermark() e0d394f093bcbc1e", OWNER),
        ("app.ring_everybody() 7541fe0db37daa8d", TRIGGER),
        ("app.ring_id() ce300af434fa8378", TRIGGER),
        ("app.ring_tenant() c9337fbb6e287686", TRIGGER),
        ("app.ring_user() d8887a51eefb18ab", TRIGGER),
        ("app.session_for_token(uuid) 3587d84d8cc6d628", BEFORE),
        ("app.slug_is_free(text,uuid) 693d6fe68506e226", BEFORE),
        ("app.summarise_usage_events() ceee4fb6805e1405", UPKEEP),
        ("app.standing(uuid,text,text,timestamp with time zone,timestamp with time zone,timestamp with time zone,text,uuid,bigint,boolean,text) d7d59187cc4dbb28", READS_AS_CALLER),
        ("app.tenant_of_invitation(uuid) f017f8c546bec08d", BEFORE),
        ("app.tenant_of_slug(text) 37d3b8ed17f8c56e", BEFORE),
        ("app.tenant_policy(text) 8865b0a92ad92f2f", PURE),
        ("app.touch_api_keys(uuid[],uuid[],timestamp with time zone[]) 98fd771b17b06921", TOUCH),
        ("app.touch_updated_at() 85400a5a23d2376a", TRIGGER),
        ("app.touched_quotas(bigint,integer) 360cc5b6597a61bb", METERS),
        ("app.unsettled_usage(timestamp with time zone,timestamp with time zone) ffe7ba27855b75ec", SETTLED),
        ("app.usage_events_before(uuid,uuid[],timestamp with time zone,timestamp with time zone) d27524e2e6fc88ce", READS_AS_CALLER),
        ("app.usage_meters(boolean,uuid[],integer[],text[]) b272fe93eeaa7e28", INGEST),
        ("app.usage_month(timestamp with time zone) 00537cf8543b63f0", PURE),
        ("app.usage_projects(boolean,uuid[],integer[],uuid[]) 845bae1966ce43d0", INGEST),
        ("app.usage_received_at() 6fd0edafae3108f1", PURE),
        ("app.usage_since(uuid,text,uuid,bigint,boolean,timestamp with time zone,timestamp with time zone,pg_snapshot,pg_snapshot) 845947960a3963b4", READS_AS_CALLER),
        ("app.usage_snapshot() 4249cd8518a6e7a5", PURE),
        ("app.usage_zones(uuid[]) 250bea3c2ea37f4c", IDS),
        ("auth.is_tenant_owner(uuid) 3834eebc0f827478", PERSON),
        ("auth.user_has_permission(text,uuid) db00f17ad6f3b71d", PERSON),
        ("auth.user_tenant_ids() 95cbe1e4c8ecdaca", PERSON),
    ],
};

#[tokio::test]
async fn what_functions_say_was_looked_at() {
    let sees_all = "create or replace function auth.user_tenant_ids() returns uuid[]
        language sql stable security definer set search_path = pg_catalog, public, pg_temp as
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
            ("alter function app.api_keys_for(text[]) security invoker", &known("app.api_keys_for(text[])")),
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
