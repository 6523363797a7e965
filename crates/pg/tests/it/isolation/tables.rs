//! Rules for tables: which are a tenant's, which are not, and what leads from one to another.

use super::gate::{Gate, LEAF};

pub(super) const QUEUE: &str =
    "jobs may work for the deployment itself; the API's role adds them and sees none";

pub(super) const PROTECTED: Gate = Gate {
    rule: "
        select shown || ': ' || breach as finding
        from tenant_table t
        cross join lateral (values
            ('row-level security is off', t.relrowsecurity),
            ('the owner is let through', t.relforcerowsecurity),
            ('the tenant may be null', t.key_is_set),
            ('the tenant is no plain uuid', t.key_is_plain),
            ('no policy covers every command', exists (
                select from pg_policy p where p.polrelid = t.oid and p.polcmd = '*' and p.polroles = '{0}' and p.polpermissive
                    and p.polqual is not null and p.polwithcheck is not null)),
            ('no whole index starts with the tenant', exists (
                select from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam and a.amname = 'btree'
                where i.indrelid = t.oid and i.indisvalid and i.indpred is null and i.indkey[0] = t.key))
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
            ("create schema shop; create table shop.notes (tenant_id uuid not null)", "shop.notes: row-level security is off"),
            ("create table information_schema.notes (tenant_id uuid not null)", "information_schema.notes: row-level security is off"),
            ("create table notes as select * from projects", "notes: row-level security is off"),
            ("create table notes () inherits (projects)", "notes: the owner is let through"),
            ("create table notes (tenant_id text not null)", "notes: the tenant is no plain uuid"),
            ("create table notes (id uuid, tenant_id uuid not null generated always as (id) stored)", "notes: the tenant is no plain uuid"),
            (&format!("{LEAF}; drop policy tenant_isolation on usage_events_2000_01"), "usage_events_2000_01: no policy covers every command"),
            (&format!("{LEAF}; alter table usage_events_2000_01 no force row level security"), "usage_events_2000_01: the owner is let through"),
            (
                "create table audit_2000 partition of audit_events for values from ('2000-01-01') to ('2001-01-01') partition by hash (id);
                 select app.protect_table('audit_2000'); create table audit_2000_0 partition of audit_2000 for values with (modulus 1, remainder 0)",
                "audit_2000_0: row-level security is off",
            ),
            (
                "drop policy tenant_isolation on projects; create policy tenant_isolation on projects as restrictive
                 using (tenant_id = (select app.current_tenant_id())) with check (tenant_id = (select app.current_tenant_id()))",
                "projects: no policy covers every command",
            ),
            (
                "alter table resources drop constraint resources_pkey; create index on resources using brin (tenant_id)",
                "resources: no whole index starts with the tenant",
            ),
            (
                "create foreign data wrapper w; create server s foreign data wrapper w; create foreign table notes (tenant_id uuid not null) server s",
                "notes: row-level security is off",
            ),
        ])
        .await;
}

const PERSON: &str = "rows of a person, who may be in several tenants";
const CATALOGUE: &str = "the same for every tenant, and read only";

pub(super) const NO_TENANT: Gate = Gate {
    rule: "
        select concat_ws(': ', shown, case when relrowsecurity and relforcerowsecurity then 'policies' else 'open' end,
            (select string_agg(a.attname, ' ' order by a.attnum) from pg_attribute a
             where a.attrelid = relation.oid and a.attnum > 0 and not a.attisdropped)) as finding
        from relation where key is null and relkind in ('r', 'p', 'f') order by 1",
    excused: &[
        ("users: policies: id email email_verified name status last_tenant_id legacy_id created_at updated_at", PERSON),
        ("user_identities: policies: issuer subject user_id created_at", PERSON),
        ("user_credentials: policies: user_id password_hash updated_at", PERSON),
        ("sessions: policies: id user_id family_digest turn_digest created_at refreshed_at expires_at revoked_at revoked_reason", PERSON),
        ("global_roles: policies: user_id role_key granted_at", PERSON),
        ("idempotency_keys: policies: id principal_id key fingerprint lease_until committed_at response_status response_headers response_body created_at", "rows of a principal, who may have no tenant yet"),
        ("usage_imports: policies: principal_id source table_name mapping rows_done digest unassigned started_at moved_at finished_at", "an import is a principal, and sees its own row"),
        ("schedules: policies: name kind runs cron every_ms zone enabled next_at last_run_at last_error lease_until lease_no", "the worker's own"),
        ("permissions: open: code description", CATALOGUE),
        ("system_roles: open: key name scope permissions", CATALOGUE),
        ("standard_meters: open: id key name aggregation unit dimensions created_at", CATALOGUE),
        ("plans: open: code current_version position", CATALOGUE),
        ("plan_versions: open: plan_code version catalogue name amount currency interval published_at", CATALOGUE),
        ("plan_aliases: open: alias plan_code", CATALOGUE),
        ("plan_entitlements: open: plan_code plan_version key kind maximum metric value cycle enforcement grace_percent grace_seconds", CATALOGUE),
        ("prices: open: plan_code plan_version metric model unit_amount package_size tiers free_units minimum_amount maximum_amount position", CATALOGUE),
        ("usage_watermark: open: only_row txid moved_at", "one row, a number of a transaction"),
        ("quota_watch: open: only_row txid", "one row, a number of a transaction"),
        ("usage_dropped_partitions: open: name starts_at ends_at events first_at last_at exported dropped_at", "one row a month of the whole deployment: how many events, and between when"),
        ("__diesel_schema_migrations: open: version run_on", "names of migrations"),
        ("app.replaceable_version: open: only_row fingerprint applied_at", "one row, a fingerprint of scripts"),
    ],
};

#[tokio::test]
async fn every_other_table_is_known_by_its_columns() {
    NO_TENANT
        .holds_and_fires(&[
            ("create table notes (id uuid primary key)", "notes: open: id"),
            ("create table auth.notes (id uuid primary key)", "auth.notes: open: id"),
            ("create schema shop; create table shop.notes (workspace_id uuid not null)", "shop.notes: open: workspace_id"),
            ("create table notes (org_id uuid not null); alter table notes enable row level security, force row level security", "notes: policies: org_id"),
            ("create table notes as select name from projects", "notes: open: name"),
            ("alter table sessions disable row level security", "sessions: open: id user_id family_digest turn_digest created_at refreshed_at expires_at revoked_at revoked_reason"),
            ("alter table schedules no force row level security", "schedules: open: name kind runs cron every_ms zone enabled next_at last_run_at last_error lease_until lease_no"),
            ("alter table permissions add workspace_id uuid", "permissions: open: code description workspace_id"),
            ("alter table usage_watermark add note jsonb", "usage_watermark: open: only_row txid moved_at note"),
        ])
        .await;
}

const WITHIN: &str = "deletes within one tenant: the tenant is in the key";
const PERSON_KEY: &str = "ids of people cannot be guessed";
const OUTLIVES: &str = "outlives the tenant on purpose";
pub(super) const FOREIGN_KEYS: Gate = Gate {
    rule: "
        , carried as (
            select f.conrelid, own.shown, f.conname, f.convalidated, f.confdeltype, f.confupdtype, other.key is not null as to_tenant_table,
                other.key is null and other.relrowsecurity as to_person,
                exists (select from unnest(f.conkey, f.confkey) as pair(a, b) where pair.a = own.key and pair.b = other.key) as with_tenant
            from pg_constraint f
            join relation own on own.oid = f.conrelid
            join relation other on other.oid = f.confrelid
            where f.contype = 'f' and f.conparentid = 0
        )
        select shown || ': ' || conname || ' does not carry the tenant' as finding
            from carried where to_tenant_table and not with_tenant
        union all
        select shown || ': ' || conname || ' tells whether a person is there' from carried where to_person
        union all
        select concat(shown, ': ', conname, ' changes what refers to it: on delete ', confdeltype, ', on update ', confupdtype) from carried
            where confdeltype not in ('a', 'r') or confupdtype not in ('a', 'r')
        union all
        select shown || ': ' || conname || ' was never checked' from carried where not convalidated
        union all
        select shown || ': no foreign key leads to the tenant'
            from tenant_table t
            where not relispartition and t.shown <> 'tenants' and not exists (select from carried c where c.conrelid = t.oid and c.with_tenant)
        order by 1",
    excused: &[
        ("membership_roles: membership_roles_tenant_id_user_id_fkey changes what refers to it: on delete c, on update a", WITHIN),
        ("environments: environments_tenant_id_project_id_fkey changes what refers to it: on delete c, on update a", WITHIN),
        ("memberships: memberships_user_id_fkey tells whether a person is there", PERSON_KEY),
        ("global_roles: global_roles_user_id_fkey tells whether a person is there", PERSON_KEY),
        ("user_identities: user_identities_user_id_fkey tells whether a person is there", PERSON_KEY),
        ("user_credentials: user_credentials_user_id_fkey tells whether a person is there", PERSON_KEY),
        ("sessions: sessions_user_id_fkey tells whether a person is there", PERSON_KEY),
        ("api_keys: api_keys_created_by_fkey tells whether a person is there", PERSON_KEY),
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
            ("create table notes (workspace_id uuid references tenants)", "notes: notes_workspace_id_fkey does not carry the tenant"),
            (&format!("{notes}, foreign key (tenant_id, other) references projects on delete cascade)"), "notes: notes_tenant_id_other_fkey changes what refers to it: on delete c, on update a"),
            (&format!("{notes}, foreign key (tenant_id, other) references projects on delete set null (other))"), "notes: notes_tenant_id_other_fkey changes what refers to it: on delete n, on update a"),
            (&format!("{notes}, foreign key (tenant_id, other) references projects on update cascade)"), "notes: notes_tenant_id_other_fkey changes what refers to it: on delete a, on update c"),
            (&format!("{notes} references users on delete cascade)"), "notes: notes_other_fkey changes what refers to it: on delete c, on update a"),
            (&format!("{notes} references users)"), "notes: notes_other_fkey tells whether a person is there"),
            (
                &format!("{notes}); alter table notes add foreign key (tenant_id, other) references projects not valid"),
                "notes: notes_tenant_id_other_fkey was never checked",
            ),
            (
                "create schema shop; create table shop.notes (tenant_id uuid not null, project_id uuid, foreign key (project_id, tenant_id) references public.projects)",
                "shop.notes: notes_project_id_tenant_id_fkey does not carry the tenant",
            ),
        ])
        .await;
}
