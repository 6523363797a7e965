-- People: global, one row per human. What else is known about them stands in the identity migration that follows.
create table users (
    id uuid primary key,
    -- Normalised to lower case; two people never share an address.
    email text not null unique check (email = lower(email) and length(email) between 3 and 254),
    email_verified boolean not null default false,
    name text check (length(name) between 1 and 255),
    status text not null default 'active'
        check (status in ('invited', 'waitlist', 'active', 'inactive', 'banned', 'archived')),
    last_tenant_id uuid,
    -- The number that a system which Plinth replaces knew this person by.
    legacy_id bigint unique,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
