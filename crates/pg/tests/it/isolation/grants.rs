//! Rules for grants: to the two log-ins and to nobody else, of four verbs, on tables and never on their partitions.

use super::gate::Gate;

const ROTATED: &str = "what changes of a key; its text, tenant and creator are written once";

pub(super) const GRANTS: Gate = Gate {
    rule: "
        , given as (
            select r.shown as on_what, r.relkind, r.relispartition, r.relrowsecurity, a.* from relation r, aclexplode(r.relacl) a
            union all
            select c.oid::regclass || ' ' || attname, '', false, true, a.*
                from pg_attribute t join relation c on c.oid = t.attrelid, aclexplode(t.attacl) a
            union all
            select 'schema ' || nspname, '', false, true, a.* from pg_namespace n, aclexplode(nspacl) a
                where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
            union all
            select 'database', '', false, true, a.* from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
                where datname = current_database() and a.grantee <> datdba
            union all
            select 'sequence ' || s.oid::regclass, '', false, true, a.* from pg_class s, aclexplode(relacl) a where relkind = 'S'
            union all
            select 'parameter ' || parname, '', false, true, a.* from pg_parameter_acl, aclexplode(paracl) a
            union all
            select 'later ' || defaclobjtype::text, '', false, true, a.* from pg_default_acl, aclexplode(defaclacl) a
        )
        , to_whom as (
            select g.*, coalesce(r.rolname, 'everybody') as who, coalesce(r.rolname, '') in ('plinth_app', 'plinth_worker') as is_login
            from given g left join pg_roles r on r.oid = g.grantee
            where coalesce(r.rolname, '') <> 'plinth_owner'
        )
        select distinct who || ': has ' || privilege_type || ' on ' || on_what as finding from to_whom
            where not is_login or not case
                when on_what in ('schema public', 'schema app', 'schema auth') then privilege_type = 'USAGE'
                when on_what = 'database' then privilege_type = 'CONNECT'
                when relkind in ('r', 'p', 'v') then not relispartition
                    and (privilege_type = 'SELECT' or privilege_type in ('INSERT', 'UPDATE', 'DELETE') and (relrowsecurity or relkind = 'v'))
                else false end
        union all
        select who || ': may pass on ' || privilege_type || ' on ' || on_what from to_whom where is_grantable
        union all
        select 'everybody: may call later functions' where not exists (
            select from pg_default_acl
            where defaclrole = 'plinth_owner'::regrole and defaclobjtype = 'f' and defaclnamespace = 0)
        union all
        select 'pg_catalog: other grants on ' || c.oid::regclass from pg_class c
            left join pg_init_privs i on i.objoid = c.oid and i.classoid = 'pg_class'::regclass and i.objsubid = 0
            where c.relnamespace = 'pg_catalog'::regnamespace and c.relacl is distinct from i.initprivs
        union all
        select 'pg_catalog: other grants on ' || t.attrelid::regclass || ' ' || t.attname from pg_attribute t
            left join pg_init_privs i on i.objoid = t.attrelid and i.classoid = 'pg_class'::regclass and i.objsubid = t.attnum
            where t.attrelid < 16384 and t.attacl is distinct from i.initprivs
        union all
        select 'pg_catalog: other grants on ' || p.oid::regprocedure from pg_proc p
            left join pg_init_privs i on i.objoid = p.oid and i.classoid = 'pg_proc'::regclass
            where p.pronamespace = 'pg_catalog'::regnamespace and p.proacl is distinct from i.initprivs
        order by 1",
    excused: &[
        ("plinth_app: has UPDATE on api_keys hash_kind", ROTATED),
        ("plinth_app: has UPDATE on api_keys hash", ROTATED),
        ("plinth_app: has UPDATE on api_keys pepper_version", ROTATED),
        ("plinth_app: has UPDATE on api_keys revoked_at", ROTATED),
        ("plinth_app: has UPDATE on api_keys revoked_reason", ROTATED),
        ("plinth_app: has UPDATE on api_keys overlap_until", ROTATED),
        ("plinth_worker: has UPDATE on usage_watermark", "the rollup moves it"),
        ("plinth_worker: has UPDATE on quota_watch", "whoever looked moves it"),
    ],
};

#[tokio::test]
async fn grants_are_few() {
    GRANTS
        .holds_and_fires(&[
            ("grant truncate on projects to plinth_app", "plinth_app: has TRUNCATE on projects"),
            ("grant references on projects to public", "everybody: has REFERENCES on projects"),
            ("grant trigger on projects to plinth_worker", "plinth_worker: has TRIGGER on projects"),
            ("grant select on audit_events_default to plinth_app", "plinth_app: has SELECT on audit_events_default"),
            ("grant select (action) on audit_events_default to plinth_app", "plinth_app: has SELECT on audit_events_default action"),
            ("grant update (tenant_id) on api_keys to plinth_app", "plinth_app: has UPDATE on api_keys tenant_id"),
            ("grant select on projects to public", "everybody: has SELECT on projects"),
            ("create role sales; grant select on projects to sales", "sales: has SELECT on projects"),
            ("grant update on plans to plinth_app", "plinth_app: has UPDATE on plans"),
            ("grant select on projects to plinth_app with grant option", "plinth_app: may pass on SELECT on projects"),
            ("grant create on schema app to plinth_app", "plinth_app: has CREATE on schema app"),
            ("grant usage on schema public to public", "everybody: has USAGE on schema public"),
            ("create schema shop; grant usage on schema shop to plinth_app", "plinth_app: has USAGE on schema shop"),
            (
                "do $$ begin execute format('grant temporary on database %I to plinth_app', current_database()); end $$",
                "plinth_app: has TEMPORARY on database",
            ),
            ("create sequence n; grant usage on sequence n to plinth_app", "plinth_app: has USAGE on sequence n"),
            ("grant set on parameter session_replication_role to plinth_app", "plinth_app: has SET on parameter session_replication_role"),
            (
                "alter default privileges for role plinth_owner in schema app grant select on tables to plinth_app",
                "plinth_app: has SELECT on later r",
            ),
            (
                "alter default privileges for role plinth_owner grant execute on functions to public",
                "everybody: may call later functions",
            ),
            ("alter default privileges grant all on sequences to public", "everybody: has USAGE on later S"),
            ("grant select on pg_authid to plinth_app", "pg_catalog: other grants on pg_authid"),
            ("grant select (rolpassword) on pg_authid to plinth_app", "pg_catalog: other grants on pg_authid rolpassword"),
            ("grant execute on function pg_read_file(text) to plinth_app", "pg_catalog: other grants on pg_read_file(text)"),
            (
                "create materialized view everything as select * from projects; grant select on everything to plinth_app",
                "plinth_app: has SELECT on everything",
            ),
        ])
        .await;
}
