//! Rules of isolation for tables, keys and policies. Each is tried on planted faults as well: a gate that nothing closes guards nothing.

use crate::gate::Gate;

const QUEUE: &str =
    "jobs may work for the deployment itself; the API's role adds them and sees none";

const PROTECTED: Gate = Gate {
    rule: "
        select shown || ': ' || breach as finding
        from tenant_table t
        cross join lateral (values
            ('row-level security is off', t.relrowsecurity),
            ('the owner is let through', t.relforcerowsecurity),
            ('the tenant may be null', t.key_is_set),
            ('no policy covers every command', exists (
                select from pg_policy p where p.polrelid = t.oid and p.polcmd = '*' and p.polroles = '{0}'
                    and p.polqual is not null and p.polwithcheck is not null)),
            ('no whole index starts with the tenant', exists (
                select from pg_index i where i.indrelid = t.oid and i.indisvalid and i.indpred is null and i.indkey[0] = t.key))
        ) as check_of(breach, is_right)
        where not is_right order by 1",
    excused: &[
        ("jobs: no policy covers every command", QUEUE),
        ("jobs: no whole index starts with the tenant", QUEUE),
        ("jobs: the tenant may be null", QUEUE),
        ("usage_events: no whole index starts with the tenant", "each partition has its own: PostgreSQL has no such key over all of them"),
    ],
};

#[tokio::test]
async fn every_table_of_a_tenant_is_protected() {
    PROTECTED
        .holds_and_fires(&[
            ("create table notes (tenant_id uuid not null)", "notes: row-level security is off"),
            ("create table app.notes (tenant_id uuid not null)", "app.notes: no policy covers every command"),
            ("alter table projects no force row level security", "projects: the owner is let through"),
            ("alter table audit_events_default disable row level security", "audit_events_default: row-level security is off"),
            ("alter table outbox drop constraint outbox_pkey; alter table outbox alter tenant_id drop not null", "outbox: the tenant may be null"),
            ("drop policy tenant_isolation on meters", "meters: no policy covers every command"),
            ("alter policy tenant_isolation on meters to plinth_app", "meters: no policy covers every command"),
            (
                "drop policy tenant_isolation on meters; create policy tenant_isolation on meters using (tenant_id = (select app.current_tenant_id()))",
                "meters: no policy covers every command",
            ),
            ("alter table resources drop constraint resources_pkey", "resources: no whole index starts with the tenant"),
            ("drop policy tenant_isolation on tenants", "tenants: no policy covers every command"),
        ])
        .await;
}

const PERSON: &str = "rows of a person, who may be in several tenants";
const CATALOGUE: &str = "the same for every tenant, and read only";

const NO_TENANT: Gate = Gate {
    rule: "
        select shown || case when relrowsecurity and relforcerowsecurity then ': policies' else ': open' end as finding
        from relation where key is null and relkind in ('r', 'p', 'f') order by 1",
    excused: &[
        ("users: policies", PERSON),
        ("user_identities: policies", PERSON),
        ("user_credentials: policies", PERSON),
        ("sessions: policies", PERSON),
        ("global_roles: policies", PERSON),
        ("idempotency_keys: policies", "rows of a principal, who may have no tenant yet"),
        ("schedules: policies", "the worker's own"),
        ("permissions: open", CATALOGUE),
        ("system_roles: open", CATALOGUE),
        ("standard_meters: open", CATALOGUE),
        ("plans: open", CATALOGUE),
        ("plan_versions: open", CATALOGUE),
        ("plan_aliases: open", CATALOGUE),
        ("plan_entitlements: open", CATALOGUE),
        ("prices: open", CATALOGUE),
        ("usage_watermark: open", "one row, a number of a transaction"),
        ("__diesel_schema_migrations: open", "names of migrations"),
        ("app.replaceable_version: open", "one row, a fingerprint of scripts"),
    ],
};

#[tokio::test]
async fn every_other_table_is_known() {
    NO_TENANT
        .holds_and_fires(&[
            ("create table notes (id uuid primary key)", "notes: open"),
            (
                "create table auth.notes (id uuid primary key)",
                "auth.notes: open",
            ),
            (
                "alter table sessions disable row level security",
                "sessions: open",
            ),
            (
                "alter table users no force row level security",
                "users: open",
            ),
        ])
        .await;
}

const WORKER: &str = "a job of the worker goes through it across tenants";
const OWN: &str = "a person's own rows";

const POLICIES: Gate = Gate {
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
            QUEUE,
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
        ])
        .await;
}

const OUTLIVES: &str = "outlives the tenant on purpose";
const FOREIGN_KEYS: Gate = Gate {
    rule: "
        , carried as (
            select f.conrelid, f.confrelid, f.conname, own.shown, other.key is not null as to_tenant_table, own.key as own_key,
                exists (select from unnest(f.conkey, f.confkey) as pair(a, b) where pair.a = own.key and pair.b = other.key) as with_tenant
            from pg_constraint f
            join relation own on own.oid = f.conrelid
            join relation other on other.oid = f.confrelid
            where f.contype = 'f'
        )
        select shown || ': ' || conname || ' does not carry the tenant' as finding
            from carried where to_tenant_table and not with_tenant
        union all
        select shown || ': no foreign key leads to the tenant'
            from tenant_table t
            where not relispartition and t.shown <> 'tenants' and not exists (select from carried c where c.conrelid = t.oid and c.with_tenant)
        order by 1",
    excused: &[
        ("audit_events: no foreign key leads to the tenant", OUTLIVES),
        ("outbox: no foreign key leads to the tenant", OUTLIVES),
        ("jobs: no foreign key leads to the tenant", OUTLIVES),
        ("usage_events: no foreign key leads to the tenant", "the check would lock the tenant's row once per event"),
        ("usage_rollups: no foreign key leads to the tenant", "made of usage_events by the worker alone"),
    ],
};

#[tokio::test]
async fn foreign_keys_carry_the_tenant_on_both_sides() {
    let notes = "create table notes (tenant_id uuid not null references tenants, other uuid";
    FOREIGN_KEYS
        .holds_and_fires(&[
            (
                &format!("alter table projects add unique (id); {notes} references projects (id))"),
                "notes: notes_other_fkey does not carry the tenant",
            ),
            (
                &format!("{notes}, foreign key (other, tenant_id) references projects (tenant_id, id))"),
                "notes: notes_other_tenant_id_fkey does not carry the tenant",
            ),
            (
                "alter table projects add unique (id); create table notes (other uuid references projects (id))",
                "notes: notes_other_fkey does not carry the tenant",
            ),
            ("create table notes (tenant_id uuid not null)", "notes: no foreign key leads to the tenant"),
        ])
        .await;
}

const PUBLIC_NAME: &str =
    "a public name, looked up before its tenant or person is known; answers about it are uniform";
const UNIQUE: Gate = Gate {
    rule: "
        select i.indexrelid::regclass::text as finding
        from pg_index i join relation r on r.oid = i.indrelid
        where i.indisunique and r.relrowsecurity
            and not coalesce(r.key = any (i.indkey::int2[]), false)
            and not (i.indnkeyatts = 1 and exists (
                select from pg_attribute a where a.attrelid = r.oid and a.attnum = i.indkey[0] and a.atttypid = 'uuid'::regtype))
        order by 1",
    excused: &[
        ("tenants_slug_key", PUBLIC_NAME),
        ("tenant_external_refs_external_idx", "one tenant per name elsewhere, or a token's claim would be ambiguous; the API's role writes none"),
        ("api_keys_key_id_key", PUBLIC_NAME),
        ("users_email_key", PUBLIC_NAME),
        ("users_legacy_id_key", "written by imports only"),
        ("user_identities_pkey", PUBLIC_NAME),
        ("global_roles_pkey", "led by the person"),
        ("idempotency_keys_principal_id_key_key", "led by the principal"),
        ("schedules_pkey", "the worker's own"),
    ],
};

#[tokio::test]
async fn unique_indexes_tell_nobody_of_other_tenants() {
    UNIQUE
        .holds_and_fires(&[
            (
                "create unique index projects_slug on projects (slug)",
                "projects_slug",
            ),
            (
                "alter table resources add unique (external_id)",
                "resources_external_id_key",
            ),
            (
                "create unique index projects_name on projects (lower(name))",
                "projects_name",
            ),
        ])
        .await;
}
