-- `app` holds what Plinth calls by name; `auth` holds the three helpers that application schemas written for Supabase expect.
create schema app;
create schema auth;

-- The newest version of the replaceable scripts that ran here, so that a start can tell whether they must run again.
create table app.replaceable_version (
    only_row boolean primary key default true check (only_row),
    fingerprint text not null,
    applied_at timestamptz not null default now()
);
