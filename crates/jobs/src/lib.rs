//! The worker: queue runner, schedules, outbox relay and one file per job.
