//! Rules for the two log-ins: what they are, what they may become, and what begins with their session.

use super::gate::Gate;

pub(super) const ROLES: Gate = Gate {
    rule: "
        , login as (select * from pg_roles where rolname in ('plinth_app', 'plinth_worker'))
        select rolname || ': may do more than a log-in should' as finding from login
            where rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or rolinherit
        union all
        select 'plinth_owner: may do more than an owner should' from pg_roles
            where rolname = 'plinth_owner' and (rolsuper or rolcreaterole or rolcreatedb or rolreplication)
        union all
        select rolname || ': no policy binds it' from pg_roles
            where (rolsuper or rolbypassrls) and rolname <> 'plinth_owner' and oid <> 10
        union all
        select l.rolname || ': is a member of ' || r.rolname from login l join pg_roles r
            on r.oid <> l.oid and pg_has_role(l.oid, r.oid, 'member')
        union all
        select m.member::regrole || ': is a member of ' || m.roleid::regrole from pg_auth_members m
            where m.roleid::regrole::text in ('plinth_owner', 'plinth_app', 'plinth_worker')
        union all
        select distinct l.rolname || ': owns a ' || o.classid::regclass from login l join pg_shdepend o on o.refobjid = l.oid and o.deptype = 'o'
            where o.dbid in (0, (select d.oid from pg_database d where d.datname = current_database()))
        union all
        select coalesce(r.rolname, 'everybody') || ': begins with ' || setting
            from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) as setting
            where s.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))
        order by 1",
    excused: &[],
};

#[tokio::test]
async fn the_two_log_ins_are_bound() {
    ROLES
        .holds_and_fires(&[
            ("alter role plinth_app bypassrls", "plinth_app: may do more than a log-in should"),
            ("alter role plinth_app inherit", "plinth_app: may do more than a log-in should"),
            ("alter role plinth_worker createrole", "plinth_worker: may do more than a log-in should"),
            ("alter role plinth_owner createrole", "plinth_owner: may do more than an owner should"),
            ("create role sales login bypassrls", "sales: no policy binds it"),
            ("grant plinth_owner to plinth_worker", "plinth_worker: is a member of plinth_owner"),
            (
                "create role sales; grant plinth_owner to sales; grant sales to plinth_app",
                "plinth_app: is a member of plinth_owner",
            ),
            ("create role sales login; grant plinth_owner to sales", "sales: is a member of plinth_owner"),
            ("grant pg_read_all_data to plinth_app", "plinth_app: is a member of pg_read_all_data"),
            ("alter table projects owner to plinth_app", "plinth_app: owns a pg_class"),
            ("create schema shop authorization plinth_worker", "plinth_worker: owns a pg_namespace"),
            ("alter role plinth_app set app.tenant_id = 'x'", "plinth_app: begins with app.tenant_id=x"),
            (
                "do $$ begin execute format('alter role plinth_worker in database %I set row_security = off', current_database()); end $$",
                "plinth_worker: begins with row_security=off",
            ),
            (
                "do $$ begin execute format('alter database %I set app.tenant_id = %L', current_database(), 'x'); end $$",
                "everybody: begins with app.tenant_id=x",
            ),
        ])
        .await;
}
