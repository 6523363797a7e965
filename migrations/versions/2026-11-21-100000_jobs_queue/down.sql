drop table outbox;
drop table schedules;
drop table jobs;
