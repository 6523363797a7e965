//! Rules for indexes: what a unique one tells, and what policies keep from being searched.

use super::gate::Gate;

const PUBLIC_NAME: &str =
    "a public name, looked up before its tenant or person is known; answers about it are uniform";
pub(super) const UNIQUE: Gate = Gate {
    rule: "
        select i.indexrelid::regclass::text as finding
        from pg_index i join relation r on r.oid = i.indrelid
        where (i.indisunique or i.indisexclusion) and r.relrowsecurity
            and not exists (
                select from generate_series(0, i.indnkeyatts - 1) as place
                join pg_opclass c on c.oid = i.indclass[place] and c.opcdefault
                left join pg_constraint x on x.conindid = i.indexrelid and x.contype = 'x'
                where i.indkey[place] = r.key and (x.oid is null or x.conexclop[place + 1] = 'pg_catalog.=(uuid,uuid)'::regoperator))
            and not (i.indisprimary and i.indnkeyatts = 1 and exists (
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
            (
                "create unique index projects_slug on projects (slug) include (tenant_id)",
                "projects_slug",
            ),
            (
                "create unique index audit_events_default_id on audit_events_default (id)",
                "audit_events_default_id",
            ),
            (
                "create unique index environments_project on environments (project_id)",
                "environments_project",
            ),
            (
                "alter table usage_days add constraint no_overlap exclude using gist (tstzrange(starts_at, ends_at) with &&)",
                "no_overlap",
            ),
            (
                "alter table usage_days add constraint other_tenant exclude using btree (tenant_id with =, day with =);
                 update pg_constraint set conexclop = array['<>(uuid,uuid)'::regoperator::oid, conexclop[2]] where conname = 'other_tenant'",
                "other_tenant",
            ),
            (
                "create schema shop; create table shop.notes (tenant_id uuid, slug text unique); alter table shop.notes enable row level security",
                "shop.notes_slug_key",
            ),
        ])
        .await;
}

pub(super) const LEAKPROOF: Gate = Gate {
    rule: "
        select i.indexrelid::regclass || ': ' || t.name as finding
        from pg_index i
        join tenant_table r on r.oid = i.indrelid and i.indkey[0] = r.key
        cross join lateral (
            select coalesce(a.atttypid::regtype::text, 'an expression') as name
            from generate_series(1, i.indnkeyatts - 1) as place
            left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[place] and a.attnum > 0
            join pg_opclass c on c.oid = i.indclass[place]
            left join pg_amop o on o.amopfamily = c.opcfamily and o.amoplefttype = c.opcintype and o.amoprighttype = c.opcintype
                and o.amopstrategy = 3
            left join pg_operator e on e.oid = o.amopopr
            left join pg_proc f on f.oid = e.oprcode
            where a.attnum is null or not coalesce(f.proleakproof, false)
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
            (
                "create index projects_name on projects (tenant_id, lower(name))",
                "projects_name: an expression",
            ),
            (
                "create index usage_rollups_2 on usage_rollups (tenant_id, bucket, model, min)",
                "usage_rollups_2: numeric",
            ),
        ])
        .await;
}

pub(super) const UNINDEXED: Gate = Gate {
    rule: "
        select r.shown || ': ' || f.conname || ' has no index' as finding
        from pg_constraint f join relation r on r.oid = f.conrelid
        where f.contype = 'f' and f.conparentid = 0 and not exists (
            select from pg_index i
            where i.indrelid = f.conrelid and i.indisvalid and i.indpred is null
                and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] <@ f.conkey)
        order by 1",
    excused: &[
        ("global_roles: global_roles_role_key_fkey has no index", "roles of the system are never deleted"),
        ("plans: plans_code_current_version_fkey has no index", "a few rows, found by the primary key"),
    ],
};

#[tokio::test]
async fn foreign_keys_are_searched_by_an_index() {
    UNINDEXED
        .holds_and_fires(&[
            (
                "drop index api_keys_creator_idx",
                "api_keys: api_keys_created_by_fkey has no index",
            ),
            (
                "drop index invoices_subscription_idx",
                "invoices: invoices_tenant_id_subscription_id_fkey has no index",
            ),
        ])
        .await;
}
