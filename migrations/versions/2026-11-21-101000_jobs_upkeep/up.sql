-- When a reservation is over: the worker deletes it some time after, whichever tenant it belongs to.
create index quota_reservations_over_idx on quota_reservations (coalesce(finished_at, expires_at));
