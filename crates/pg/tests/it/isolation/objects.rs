//! Rules for everything besides tables and functions: views, and what Plinth has none of.

use super::gate::Gate;

pub(super) const VIEWS: Gate = Gate {
    rule: "
        select shown || case relkind when 'm' then ': a copy that no policy guards' when 'f' then ': lies elsewhere' else ': reads as its owner' end
            as finding
        from relation
        where relkind in ('m', 'f') or relkind = 'v' and not coalesce('security_invoker=true' = any (reloptions), false) order by 1",
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
            (
                "create view everything with (security_invoker = false) as select * from projects",
                "everything: reads as its owner",
            ),
            (
                "create schema shop; create view shop.everything with (security_barrier) as select * from projects",
                "shop.everything: reads as its owner",
            ),
            (
                "create foreign data wrapper w; create server s foreign data wrapper w; create foreign table everything (id uuid) server s",
                "everything: lies elsewhere",
            ),
        ])
        .await;
}

pub(super) const NONE_OF: Gate = Gate {
    rule: "
        select 'sequence ' || oid::regclass as finding from pg_class where relkind = 'S' and oid >= 16384
        union all
        select r.shown || ': inherits from ' || i.inhparent::regclass from relation r join pg_inherits i on i.inhrelid = r.oid
            where not r.relispartition
        union all
        select r.shown || ': rule ' || w.rulename from pg_rewrite w join relation r on r.oid = w.ev_class
            where w.rulename <> '_RETURN' or r.relkind not in ('v', 'm')
        union all
        select distinct r.shown || ': a trigger is not always on' from pg_trigger t join relation r on r.oid = t.tgrelid where t.tgenabled <> 'O'
        union all
        select r.shown || ': trigger ' || t.tgname || ' runs as ' || f.proowner::regrole
            from pg_trigger t join relation r on r.oid = t.tgrelid join pg_proc f on f.oid = t.tgfoid
            where not t.tgisinternal and f.prosecdef and t.tgparentid = 0
        union all
        select pg_describe_object(d.classid, d.objid, d.objsubid) || ' calls ' || f.shown
            from pg_depend d join function f on d.refclassid = 'pg_proc'::regclass and d.refobjid = f.oid
            where d.classid in ('pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_class'::regclass)
        union all
        select pg_describe_object(tableoid, oid, 0) from (
            select tableoid, oid from pg_publication union all select tableoid, oid from pg_subscription
            union all select tableoid, oid from pg_event_trigger union all select tableoid, oid from pg_foreign_data_wrapper
            union all select tableoid, oid from pg_foreign_server union all select 'pg_largeobject'::regclass, oid from pg_largeobject_metadata
            union all select tableoid, oid from pg_operator union all select tableoid, oid from pg_opclass
            union all select tableoid, oid from pg_cast union all select tableoid, oid from pg_language
            union all select tableoid, oid from pg_extension union all select tableoid, oid from pg_statistic_ext
        ) as object where oid >= 16384
        order by 1",
    excused: &[
        ("memberships: trigger memberships_last_owner runs as plinth_owner", "looks at the members of one tenant, and writes nothing"),
        ("membership_roles: trigger membership_roles_last_owner runs as plinth_owner", "looks at the members of one tenant, and writes nothing"),
    ],
};

#[tokio::test]
async fn what_goes_around_policies_is_not_there() {
    NONE_OF
        .holds_and_fires(&[
            ("create sequence invoice_numbers", "sequence invoice_numbers"),
            ("alter table projects add number bigint generated always as identity", "sequence projects_number_seq"),
            ("create table notes () inherits (projects)", "notes: inherits from projects"),
            ("create rule copy as on insert to projects do also delete from meters", "projects: rule copy"),
            ("alter table memberships disable trigger memberships_last_owner", "memberships: a trigger is not always on"),
            ("alter table environments disable trigger all", "environments: a trigger is not always on"),
            (
                "create trigger count after insert on projects for each row execute function app.check_last_owner()",
                "projects: trigger count runs as plinth_owner",
            ),
            (
                "alter table tenants add constraint tenants_slug_is_free check (app.slug_is_free(slug, id))",
                "constraint tenants_slug_is_free on table tenants calls app.slug_is_free(text,uuid)",
            ),
            (
                "alter table projects alter tenant_id set default app.current_tenant_id()",
                "default value for column tenant_id of table projects calls app.current_tenant_id()",
            ),
            (
                "create index projects_month on projects (tenant_id, app.usage_month(created_at))",
                "index projects_month calls app.usage_month(timestamp with time zone)",
            ),
            ("create publication everything for all tables", "publication everything"),
            ("select lo_create(4711000)", "large object 4711000"),
            ("create cast (uuid as integer) with inout", "cast from uuid to integer"),
            (
                "create function app.note() returns event_trigger language plpgsql as 'begin end';
                 create event trigger note on ddl_command_end execute function app.note()",
                "event trigger note",
            ),
        ])
        .await;
}
