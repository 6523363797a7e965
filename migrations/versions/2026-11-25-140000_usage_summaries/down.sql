drop index usage_events_occurred_idx;
create index usage_events_occurred_idx on usage_events
    using brin (occurred_at timestamptz_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on);
