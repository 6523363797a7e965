-- What each `Idempotency-Key` stood for. Rows belong to a principal, and live for 24 hours.
create table idempotency_keys (
    id uuid primary key,
    principal_id uuid not null,
    key text not null check (length(key) between 1 and 255),
    -- Keyed digest of method, path and body: a password in a body cannot be guessed from it.
    fingerprint bytea not null,
    -- Until then the first request may still be running.
    lease_until timestamptz not null,
    -- Set by the transaction that did the work.
    committed_at timestamptz,
    response_status smallint,
    response_headers jsonb,
    response_body bytea,
    created_at timestamptz not null default now(),
    unique (principal_id, key)
);
create index idempotency_keys_created_idx on idempotency_keys (created_at);
