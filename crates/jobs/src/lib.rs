//! The worker: queue runner, schedules, outbox relay and one file per job.

pub mod job;
pub mod registry;

pub use job::{Job, JobContext, JobError};
pub use registry::{Reaction, Registry};
