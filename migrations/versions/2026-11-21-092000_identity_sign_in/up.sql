-- What identity providers call a person. An address is never the key: it changes, and not everybody proves theirs.
create table user_identities (
    issuer text not null check (length(issuer) between 1 and 255),
    subject text not null check (length(subject) between 1 and 255),
    user_id uuid not null references users (id),
    created_at timestamptz not null default now(),
    primary key (issuer, subject)
);
create index user_identities_user_idx on user_identities (user_id);

create table user_credentials (
    user_id uuid primary key references users (id),
    -- argon2id in PHC format.
    password_hash text not null check (password_hash like '$argon2%'),
    updated_at timestamptz not null default now()
);

-- Families of refresh tokens. The digest of the family tells a replaced token from an invented one.
create table sessions (
    id uuid primary key,
    user_id uuid not null references users (id),
    family_digest bytea not null check (length(family_digest) = 32),
    turn_digest bytea not null check (length(turn_digest) = 32),
    created_at timestamptz not null default now(),
    refreshed_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_reason text check (revoked_reason in ('logout', 'reuse')),
    check ((revoked_at is null) = (revoked_reason is null))
);
create index sessions_user_idx on sessions (user_id);
create index sessions_expiry_idx on sessions (expires_at);

create table api_keys (
    tenant_id uuid not null references tenants (id),
    id uuid not null,
    name text not null check (length(name) between 1 and 255),
    -- Public, and unique over the whole deployment: a key is looked up by it before its tenant is known.
    key_id text not null unique check (key_id ~ '^[0-9A-Za-z]{16}$'),
    mode text not null check (mode in ('live', 'test')),
    scopes text[] not null,
    hash_kind text not null default 'hmac' check (hash_kind in ('hmac', 'argon2id')),
    hash bytea not null,
    pepper_version smallint,
    project_id uuid,
    environment_id uuid,
    -- Nobody, for keys that Plinth itself made. People are archived, never deleted, so this never comes to mean somebody who left.
    created_by uuid references users (id),
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_reason text check (length(revoked_reason) <= 255),
    overlap_until timestamptz,
    rotated_from uuid,
    last_used_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, project_id) references projects (tenant_id, id),
    foreign key (tenant_id, environment_id) references environments (tenant_id, id),
    foreign key (tenant_id, rotated_from) references api_keys (tenant_id, id),
    check ((hash_kind = 'hmac') = (pepper_version is not null)),
    check (hash_kind <> 'hmac' or length(hash) = 32)
);
-- A name belongs to one usable key; one that was ended, or that another took the place of, gives it up.
create unique index api_keys_live_name_key on api_keys (tenant_id, name)
    where revoked_at is null and overlap_until is null;
create index api_keys_list_idx on api_keys (tenant_id, created_at, id);
create index api_keys_project_idx on api_keys (tenant_id, project_id);
create index api_keys_environment_idx on api_keys (tenant_id, environment_id);
create index api_keys_rotated_idx on api_keys (tenant_id, rotated_from);
create index api_keys_creator_idx on api_keys (created_by);
