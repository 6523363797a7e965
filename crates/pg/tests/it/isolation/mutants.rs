//! What is taken away or weakened: queries over the catalogue, so that what protects a new table is tried as well.

/// A kind of change, and what makes one statement for each place that it can be made in: the table (or `function:name`) that the matrix
/// looks at, and the statement.
pub(super) const MUTANTS: &[(&str, &str)] = &[
    (
        "a policy is dropped",
        "select shown, format('drop policy %I on %s', polname, shown) from pg_policy p join relation r on r.oid = polrelid",
    ),
    (
        "a policy reads everything",
        "select shown, format('alter policy %I on %s using (true)', polname, shown) from pg_policy p join relation r on r.oid = polrelid
         where polcmd <> 'a' and pg_get_expr(polqual, polrelid) <> 'true'",
    ),
    (
        "a policy writes everything",
        "select shown, format('alter policy %I on %s with check (true)', polname, shown) from pg_policy p join relation r on r.oid = polrelid
         where polcmd <> 'r' and coalesce(pg_get_expr(polwithcheck, polrelid), '') <> 'true'",
    ),
    (
        "a policy is for everybody",
        "select shown, format('alter policy %I on %s to public', polname, shown) from pg_policy p join relation r on r.oid = polrelid
         where polroles <> '{0}'",
    ),
    (
        "a policy is for one role",
        "select shown, format('alter policy %I on %s to plinth_worker', polname, shown) from pg_policy p join relation r on r.oid = polrelid
         where polroles = '{0}'",
    ),
    (
        "a policy asks for each row",
        "select '', format('alter policy %I on %s using (%s = app.current_tenant_id())', polname, shown,
            case when name = 'tenants' then 'id' else 'tenant_id' end)
         from pg_policy p join tenant_table r on r.oid = polrelid where polname = 'tenant_isolation'",
    ),
    (
        "another policy reads everything",
        "select shown, format('create policy mutant on %s for select using (true)', shown) from relation where relrowsecurity",
    ),
    (
        "another policy changes everything",
        "select shown, format('create policy mutant on %s using (true)', shown) from relation where relrowsecurity",
    ),
    (
        "another policy adds anything",
        "select shown, format('create policy mutant on %s for insert with check (true)', shown) from relation where relrowsecurity",
    ),
    (
        "the worker is let across",
        "select shown, format('select app.open_to_worker(%L)', shown) from relation r where relrowsecurity
         and not exists (select from pg_policy where polrelid = r.oid and polname = 'worker_access')",
    ),
    (
        "row-level security is off",
        "select shown, format('alter table %s disable row level security', shown) from relation where relrowsecurity",
    ),
    (
        "the owner is let through",
        "select shown, format('alter table %s no force row level security', shown) from relation where relforcerowsecurity",
    ),
    (
        "the tenant may be null",
        "select '', format('alter table %s alter tenant_id drop not null', shown) from tenant_table t
         where key_is_set and not relispartition and shown <> 'tenants'
         and not exists (select from pg_index where indrelid = t.oid and indisprimary and t.key = any (indkey::int2[]))",
    ),
    (
        "a view reads as its owner",
        "select 'mutant', format('create view mutant as select tenant_id from %s; grant select on mutant to plinth_app, plinth_worker', shown)
         from tenant_table where shown <> 'tenants'",
    ),
    (
        "a view is a copy",
        "select 'mutant', format('create materialized view mutant as select tenant_id from %s; grant select on mutant to plinth_app', shown)
         from tenant_table where shown <> 'tenants'",
    ),
    (
        "a table is copied",
        "select '', format('create table mutant as select * from %s', shown) from relation where relkind in ('r', 'p')",
    ),
    (
        "a table has a child",
        "select '', format('create table mutant () inherits (%s)', shown) from relation where relkind = 'r' and not relispartition",
    ),
    (
        "a foreign key leaves the tenant out",
        "select '', format('alter table %s drop constraint %I; alter table %s add unique (%s); alter table %s add foreign key (%s) references %s (%s)',
            r.shown, conname, o.shown, theirs, r.shown, ours, o.shown, theirs)
         from pg_constraint f join tenant_table r on r.oid = f.conrelid join tenant_table o on o.oid = f.confrelid
         cross join lateral (
            select string_agg(format('%I', a.attname), ', ' order by place) as ours,
                string_agg(format('%I', b.attname), ', ' order by place) as theirs
            from unnest(f.conkey, f.confkey) with ordinality as pair(x, y, place)
            join pg_attribute a on a.attrelid = f.conrelid and a.attnum = pair.x
            join pg_attribute b on b.attrelid = f.confrelid and b.attnum = pair.y
            where pair.x <> r.key) as columns
         where f.contype = 'f' and ours is not null",
    ),
    (
        "a foreign key cascades",
        "select '', format('alter table %s drop constraint %I; alter table %s add constraint %I %s on update cascade',
            shown, conname, shown, conname, regexp_replace(pg_get_constraintdef(f.oid), ' ON .*$', ''))
         from pg_constraint f join relation r on r.oid = f.conrelid where f.contype = 'f'",
    ),
    (
        "a unique index leaves the tenant out",
        "select '', format('create unique index mutant on %s (%s)', r.shown, columns)
         from pg_index i join tenant_table r on r.oid = i.indrelid
         cross join lateral (
            select string_agg(format('%I', a.attname), ', ' order by place) as columns
            from unnest(i.indkey::int2[]) with ordinality as u(attnum, place)
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.attnum where u.attnum <> r.key) as rest
         where i.indisunique and r.relkind = 'r' and columns is not null and r.key = any (i.indkey::int2[])",
    ),
    (
        "triggers are off",
        "select '', format('alter table %s disable trigger all', shown) from relation r
         where exists (select from pg_trigger where tgrelid = r.oid)",
    ),
    (
        "a rule rewrites",
        "select '', format('create rule mutant as on update to %s do also nothing', shown) from relation where relkind in ('r', 'p')",
    ),
    (
        "a function is for everybody",
        "select '', format('grant execute on function %s to public', shown) from function",
    ),
    (
        "a function is passed on",
        "select '', format('grant execute on function %s to plinth_app with grant option', shown) from function",
    ),
    (
        "a function is for the API",
        "select '', format('grant execute on function %s to plinth_app', shown) from function
         where prosecdef and prorettype <> 'trigger'::regtype and not has_function_privilege('plinth_app', oid, 'execute')",
    ),
    (
        "a function loses its pin",
        "select '', format('alter function %s reset all', shown) from function where prosecdef",
    ),
    (
        "a function is pinned wrongly",
        "select '', format('alter function %s set search_path = public', shown) from function where prosecdef",
    ),
    (
        "a function turns policies off",
        "select '', format('alter function %s set row_security = off', shown) from function",
    ),
    (
        "a function belongs to another",
        "select '', format('alter function %s owner to postgres', shown) from function",
    ),
    (
        "a function runs as its owner",
        "select '', format('alter function %s security definer', shown) from function where not prosecdef",
    ),
    (
        "a function runs as its caller",
        "select '', format('alter function %s security invoker', shown) from function where prosecdef",
    ),
    (
        "a function may see rows first",
        "select '', format('alter function %s leakproof', shown) from function",
    ),
    (
        "a function is volatile",
        "select '', format('alter function %s volatile', shown) from function where provolatile <> 'v'",
    ),
    (
        "a function says or for and",
        r"select 'function:' || pronamespace::regnamespace || '.' || proname,
            regexp_replace(pg_get_functiondef(oid), '(\$function\$.*\mwhere\M.*?) and ', '\1 or ')
         from function where prosrc ~ '\mwhere\M.* and '",
    ),
    (
        "a function forgets who asks",
        r"select 'function:' || pronamespace::regnamespace || '.' || proname,
            regexp_replace(pg_get_functiondef(oid), '[a-z_.]+ = app.current_user_id\(\)', 'true')
         from function where prosrc ~ '[a-z_.]+ = app.current_user_id\(\)'",
    ),
    (
        "a table may be emptied",
        "select '', format('grant truncate on %s to plinth_app', shown) from relation",
    ),
    (
        "a table may be referred to",
        "select '', format('grant references on %s to public', shown) from relation",
    ),
    (
        "a table may be passed on",
        "select '', format('grant select on %s to plinth_app with grant option', shown) from relation",
    ),
    (
        "a table is for everybody",
        "select '', format('grant select on %s to public', shown) from relation",
    ),
    (
        "a partition is reached past its parent",
        "select '', format('grant select on %s to plinth_app', shown) from relation where relispartition",
    ),
    (
        "a shared table is written",
        "select '', format('grant insert, update, delete on %s to plinth_app', shown) from relation where not relrowsecurity",
    ),
    (
        "a column is for everybody",
        "select '', format('grant select (%I) on %s to public', attname, shown) from relation r
         join pg_attribute a on a.attrelid = r.oid and a.attnum = 1",
    ),
    (
        "a table belongs to a log-in",
        "select '', format('alter table %s owner to plinth_app', shown) from relation where not relispartition",
    ),
    (
        "a shared table grows",
        "select '', format('alter table %s add workspace_id uuid', shown) from relation where key is null and relkind in ('r', 'p')",
    ),
    (
        "a log-in may do more",
        "select '', format('alter role %I %s', role, word) from unnest(array['plinth_app', 'plinth_worker']) as role,
            unnest(array['superuser', 'bypassrls', 'createrole', 'createdb', 'replication', 'inherit']) as word",
    ),
    (
        "a log-in is a member",
        "select '', format('grant %I to %I', rolname, role) from pg_roles, unnest(array['plinth_app', 'plinth_worker']) as role
         where rolname ~ '^pg_' and rolname <> 'pg_database_owner' or rolname = 'plinth_owner'",
    ),
    (
        "a session begins with something",
        "select '', format('alter role %I set %s', role, word) from unnest(array['plinth_app', 'plinth_worker', 'plinth_owner']) as role,
            unnest(array['app.tenant_id = x', 'row_security = off', 'search_path = app', 'session_replication_role = replica']) as word",
    ),
    (
        "later objects are granted",
        "select '', format('alter default privileges for role plinth_owner %s grant all on %s to %s', place, what, whom)
         from unnest(array['', 'in schema public', 'in schema app']) as place,
            unnest(array['tables', 'sequences', 'functions', 'types']) as what, unnest(array['plinth_app', 'public']) as whom
         where not (what = 'types' and whom = 'public')",
    ),
    (
        "a schema is open",
        "select '', format('grant %s on schema %I to %s', verb, nspname, whom) from pg_namespace,
            unnest(array['create', 'usage']) as verb, unnest(array['plinth_app', 'public']) as whom
         where nspname in ('public', 'app', 'auth') and (verb, whom) <> ('usage', 'plinth_app')",
    ),
    (
        "the database is open",
        "select '', format('do $$ begin execute format(''grant %s on database %%I to %s'', current_database()); end $$', verb, whom)
         from unnest(array['create', 'temporary']) as verb, unnest(array['plinth_app', 'public']) as whom",
    ),
];
