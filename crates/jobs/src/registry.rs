//! What a worker knows how to do: jobs by kind, schedules, and who reacts to which fact.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use app::{
    outbox::StoredFact,
    queue::NewJob,
    schedule::{NewSchedule, Runs, Timing},
};
use time::OffsetDateTime;

use crate::Job;

/// Makes the jobs that follow from a fact. Pure: it runs inside the transaction that relays the fact.
pub type Reaction = fn(&StoredFact, OffsetDateTime) -> Vec<NewJob>;

/// What a worker knows how to do.
#[derive(Clone, Default)]
pub struct Registry {
    jobs: BTreeMap<&'static str, Arc<dyn Job>>,
    schedules: Vec<NewSchedule>,
    reactions: Vec<(&'static str, Reaction)>,
}

impl Registry {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows a job, which something else queues.
    #[must_use]
    pub fn job(mut self, job: impl Job + 'static) -> Self {
        self.jobs.insert(job.kind(), Arc::new(job));
        self
    }

    /// Knows a job and queues it by a cron expression, read in UTC.
    #[must_use]
    pub fn cron(self, cron: &'static str, job: impl Job + 'static) -> Self {
        self.scheduled(Timing::Cron(cron.to_owned()), Runs::Queued, job)
    }

    /// Knows a job and queues it at an interval.
    #[must_use]
    pub fn every(self, interval: Duration, job: impl Job + 'static) -> Self {
        self.scheduled(Timing::Every(interval), Runs::Queued, job)
    }

    /// Knows a job and runs it at an interval of seconds, in one worker at a time, with no row per run.
    #[must_use]
    pub fn inline(self, interval: Duration, job: impl Job + 'static) -> Self {
        self.scheduled(Timing::Every(interval), Runs::Inline, job)
    }

    /// Makes jobs of every fact of `topic`.
    #[must_use]
    pub fn on(mut self, topic: &'static str, reaction: Reaction) -> Self {
        self.reactions.push((topic, reaction));
        self
    }

    fn scheduled(mut self, timing: Timing, runs: Runs, job: impl Job + 'static) -> Self {
        let kind = job.kind();
        self.schedules.push(NewSchedule {
            name: kind,
            kind,
            timing,
            zone: "UTC",
            runs,
        });
        self.job(job)
    }

    /// The job of a kind.
    #[must_use]
    pub fn find(&self, kind: &str) -> Option<Arc<dyn Job>> {
        self.jobs.get(kind).map(Arc::clone)
    }

    /// Every kind, in alphabetical order.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        self.jobs.keys().map(|kind| (*kind).to_owned()).collect()
    }

    /// The schedules that the program brings along.
    #[must_use]
    pub fn schedules(&self) -> &[NewSchedule] {
        &self.schedules
    }

    /// The jobs that follow from a fact.
    #[must_use]
    pub fn react(&self, fact: &StoredFact, now: OffsetDateTime) -> Vec<NewJob> {
        self.reactions
            .iter()
            .filter(|(topic, _)| *topic == fact.topic)
            .flat_map(|(_, reaction)| reaction(fact, now))
            .collect()
    }
}
