drop table audit_events cascade;
