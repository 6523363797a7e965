-- Usage is written once: an event is never changed, and what derives from events is written by the worker alone.
revoke insert, update, delete on standard_meters from plinth_app, plinth_worker;
revoke update, delete on usage_events from plinth_app, plinth_worker;
revoke insert on usage_events from plinth_worker;
revoke insert, update, delete on usage_watermark, usage_rollups, usage_days, usage_daily from plinth_app;
revoke insert, delete on usage_watermark from plinth_worker;
