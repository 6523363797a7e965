//! Rules for policies: one text, the same on every partition, over settings that are read by one text too.

use super::gate::{Gate, LEAF};

const WORKER: &str = "a job of the worker goes through it across tenants";
const OWN: &str = "a person's own rows";

pub(super) const POLICIES: Gate = Gate {
    rule: "
        , policy as (
            select distinct r.name, p.polname, p.polpermissive, p.polcmd,
                (select string_agg(coalesce(o.rolname, 'all'), ', ') from unnest(p.polroles) u left join pg_roles o on o.oid = u) as roles,
                coalesce(pg_get_expr(p.polqual, p.polrelid), '-') as reads,
                coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-') as writes
            from pg_policy p join relation r on r.oid = p.polrelid
        )
        select concat_ws(' ', name || ':', polname, polcmd, roles, regexp_replace(reads, '\\s+', ' ', 'g'), '|',
            regexp_replace(writes, '\\s+', ' ', 'g')) as finding
        from policy
        where not (polname = 'tenant_isolation' and polpermissive and polcmd = '*' and roles = 'all' and reads = writes
            and reads = format('(%s = ( SELECT app.current_tenant_id() AS current_tenant_id))',
                case when name = 'tenants' then 'id' else 'tenant_id' end))
        order by 1",
    excused: &[
        ("jobs: worker_access * plinth_worker true | true", WORKER),
        ("meters: worker_access * plinth_worker true | true", WORKER),
        ("outbox: worker_access * plinth_worker true | true", WORKER),
        ("schedules: worker_access * plinth_worker true | true", WORKER),
        ("usage_daily: worker_access * plinth_worker true | true", WORKER),
        ("usage_days: worker_access * plinth_worker true | true", WORKER),
        ("usage_events: worker_access * plinth_worker true | true", WORKER),
        ("usage_rollups: worker_access * plinth_worker true | true", WORKER),
        (
            "jobs: enqueue a plinth_app - | ((tenant_id IS NULL) OR (tenant_id = ( SELECT app.current_tenant_id() AS current_tenant_id)))",
            super::tables::QUEUE,
        ),
        (
            "global_roles: own_rows * all (user_id = ( SELECT app.current_user_id() AS current_user_id)) | (user_id = ( SELECT app.current_user_id() AS current_user_id))",
            OWN,
        ),
        (
            "sessions: own_rows * all (user_id = ( SELECT app.current_user_id() AS current_user_id)) | (user_id = ( SELECT app.current_user_id() AS current_user_id))",
            OWN,
        ),
        (
            "user_credentials: own_rows * all (user_id = ( SELECT app.current_user_id() AS current_user_id)) | (user_id = ( SELECT app.current_user_id() AS current_user_id))",
            OWN,
        ),
        (
            "user_identities: own_rows * all (user_id = ( SELECT app.current_user_id() AS current_user_id)) | (user_id = ( SELECT app.current_user_id() AS current_user_id))",
            OWN,
        ),
        (
            "users: own_rows * all (id = ( SELECT app.current_user_id() AS current_user_id)) | (id = ( SELECT app.current_user_id() AS current_user_id))",
            OWN,
        ),
        (
            "idempotency_keys: own_rows * all (principal_id = ( SELECT app.current_principal_id() AS current_principal_id)) | (principal_id = ( SELECT app.current_principal_id() AS current_principal_id))",
            "a principal's own rows",
        ),
        (
            "usage_imports: own_rows * all (principal_id = ( SELECT app.current_principal_id() AS current_principal_id)) | (principal_id = ( SELECT app.current_principal_id() AS current_principal_id))",
            "a principal's own rows",
        ),
        (
            "users: same_tenant r all (id IN ( SELECT m.user_id FROM memberships m WHERE ((m.tenant_id = ( SELECT app.current_tenant_id() AS current_tenant_id)) AND (m.status <> 'removed'::text)))) | -",
            "members of a tenant see each other",
        ),
    ],
};

#[tokio::test]
async fn every_policy_has_the_one_text() {
    POLICIES
        .holds_and_fires(&[
            (
                "alter policy tenant_isolation on projects using (tenant_id = app.current_tenant_id())",
                "projects: tenant_isolation * all (tenant_id = app.current_tenant_id()) | (tenant_id = ( SELECT app.current_tenant_id() AS current_tenant_id))",
            ),
            (
                "create policy shared on projects for select using (is_default)",
                "projects: shared r all is_default | -",
            ),
            (
                "select app.open_to_worker('projects')",
                "projects: worker_access * plinth_worker true | true",
            ),
            (
                "create policy worker_access on audit_events_default to plinth_app using (true)",
                "audit_events: worker_access * plinth_app true | -",
            ),
            (
                "alter policy worker_access on usage_events to public",
                "usage_events: worker_access * all true | true",
            ),
            (
                "alter policy tenant_isolation on projects with check (true)",
                "projects: tenant_isolation * all (tenant_id = ( SELECT app.current_tenant_id() AS current_tenant_id)) | true",
            ),
            (
                "alter policy tenant_isolation on projects using (tenant_id = (select current_setting('app.tenant_id')::uuid))",
                "projects: tenant_isolation * all (tenant_id = ( SELECT (current_setting('app.tenant_id'::text))::uuid AS current_setting)) | (tenant_id = ( SELECT app.current_tenant_id() AS current_tenant_id))",
            ),
            (
                "create policy members on projects using (tenant_id = any (auth.user_tenant_ids()))",
                "projects: members * all (tenant_id = ANY (auth.user_tenant_ids())) | -",
            ),
            (
                "alter policy same_tenant on users using (id in (select m.user_id from memberships m))",
                "users: same_tenant r all (id IN ( SELECT m.user_id FROM memberships m)) | -",
            ),
            ("drop policy worker_access on outbox", "excused for nothing: outbox: worker_access * plinth_worker true | true"),
            (
                "create function public.same(uuid, uuid) returns boolean language sql as 'select true';
                 create operator public.= (function = public.same, leftarg = uuid, rightarg = uuid);
                 alter policy tenant_isolation on projects using (tenant_id operator(public.=) (select app.current_tenant_id()))",
                "projects: tenant_isolation * all (tenant_id OPERATOR(public.=) ( SELECT app.current_tenant_id() AS current_tenant_id)) | (tenant_id = ( SELECT app.current_tenant_id() AS current_tenant_id))",
            ),
        ])
        .await;
}

pub(super) const LEAVES: Gate = Gate {
    rule: "
        , policies as (
            select p.polrelid, array_agg(concat_ws(' ', p.polname, p.polcmd, p.polpermissive, p.polroles::text,
                coalesce(pg_get_expr(p.polqual, p.polrelid), '-'), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-'))
                order by p.polname) as texts
            from pg_policy p group by 1
        )
        select r.shown || ': other policies than its parent' as finding
        from relation r join pg_inherits i on i.inhrelid = r.oid
        left join policies own on own.polrelid = r.oid
        left join policies parent on parent.polrelid = i.inhparent
        where r.relispartition and own.texts is distinct from parent.texts order by 1",
    excused: &[],
};

#[tokio::test]
async fn partitions_have_the_policies_of_their_parents() {
    LEAVES
        .holds_and_fires(&[
            (&format!("{LEAF}; drop policy worker_access on usage_events_2000_01"), "usage_events_2000_01: other policies than its parent"),
            ("create policy mine on audit_events_default using (true)", "audit_events_default: other policies than its parent"),
            (
                "create table audit_2000 partition of audit_events for values from ('2000-01-01') to ('2001-01-01')",
                "audit_2000: other policies than its parent",
            ),
        ])
        .await;
}

pub(super) const SETTINGS: Gate = Gate {
    rule: "
        select 'app.current_' || name || '(): is not the one text' as finding
        from unnest(array['tenant_id', 'user_id', 'principal_id']) as name
        where not exists (
            select from function
            where shown = format('app.current_%s()', name) and lanname = 'sql' and provolatile = 's' and not prosecdef and proconfig is null
                and not proretset and prorettype = 'uuid'::regtype
                and prosrc = format(' select nullif(current_setting(%L, true), %L)::uuid ', 'app.' || name, '')) order by 1",
    excused: &[],
};

#[tokio::test]
async fn the_settings_are_read_by_one_text_that_postgresql_inlines() {
    let text = "create or replace function app.current_tenant_id() returns uuid language";
    let fault = "app.current_tenant_id(): is not the one text";
    SETTINGS
        .holds_and_fires(&[
            ("alter function app.current_tenant_id() volatile", fault),
            ("alter function app.current_tenant_id() set search_path = pg_catalog", fault),
            ("alter function app.current_tenant_id() security definer", fault),
            (
                &format!("{text} plpgsql stable as $$ begin return nullif(current_setting('app.tenant_id', true), '')::uuid; end $$"),
                fault,
            ),
            (&format!("{text} sql stable as $$ select nullif(current_setting('app.workspace_id', true), '')::uuid $$"), fault),
            (
                "create or replace function app.current_user_id() returns uuid language sql stable as $$ select nullif(current_setting('app.principal_id', true), '')::uuid $$",
                "app.current_user_id(): is not the one text",
            ),
        ])
        .await;
}
