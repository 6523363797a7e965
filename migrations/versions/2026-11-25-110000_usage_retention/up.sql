-- Months of events that are not kept any more, one row each. Reads need to know: what would have to look at these events is refused and not
-- answered without them. Global; holds no tenant's data.
create table usage_dropped_partitions (
    name text primary key,
    -- When its events were received.
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    events bigint not null check (events >= 0),
    -- When its events happened; null when there were none.
    first_at timestamptz,
    last_at timestamptz,
    exported boolean not null,
    dropped_at timestamptz not null default now(),
    check (starts_at < ends_at),
    check ((events = 0) = (first_at is null)),
    check ((first_at is null) = (last_at is null))
);
