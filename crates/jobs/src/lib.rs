//! The worker: what runs outside of any request.
//!
//! Jobs, schedules and facts are rows. Any number of workers share them; one that is killed at any moment loses nothing, because what it
//! held comes back when its lease passes, and doubles nothing, because a word about a job counts only under the newest lease.
//!
//! | file | what is in it |
//! |---|---|
//! | [`job`] | what a job is, and how it fails |
//! | [`registry`] | what a worker knows: jobs, schedules, who reacts to which fact |
//! | [`worker`] | [`Worker`]: looks for work, runs it, stops in time |
//! | `running` `execute` `report` | jobs in flight, one run, and what is said about it afterwards |
//! | [`schedule`] `inline` | when a schedule is due; schedules that run in one worker at a time |
//! | [`relay`] | facts of the outbox become jobs |
//! | `sweep` | work on many ids, each in a transaction of its own |
//! | [`catalogue`] | which jobs there are, and when they run |
//! | [`tenancy`] [`billing`] [`usage`] [`upkeep`] | one file per job |

pub mod billing;
pub mod catalogue;
mod execute;
mod inline;
pub mod job;
pub mod registry;
pub mod relay;
mod report;
mod running;
pub mod schedule;
mod sweep;
pub mod tenancy;
pub mod upkeep;
pub mod usage;
pub mod worker;

pub use job::{Job, JobContext, JobError};
pub use registry::{Reaction, Registry};
pub use worker::{Died, Settings, Worker};
