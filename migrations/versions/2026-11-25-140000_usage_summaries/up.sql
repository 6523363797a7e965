-- One summary for each MiB instead of each quarter of it: a question that begins between two quarters of an hour reads all summaries of its
-- months, and beyond some million events that is most of what it costs. Writers wait while the index is made again, a second for a million.
drop index usage_events_occurred_idx;
create index usage_events_occurred_idx on usage_events
    using brin (occurred_at timestamptz_minmax_multi_ops) with (pages_per_range = 128, autosummarize = on);
