//! Jobs in memory.

use std::time::Duration;

use app::queue::{Claim, ClaimedJob, Due, Failure, Jobs, Lease, NewJob, Queue, SettleError};
use kernel::{JobId, StoreError};
use serde_json::json;
use time::OffsetDateTime;

use super::later;
use crate::memory::{MemoryTx, conflict, oldest};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Running { until: OffsetDateTime },
    Done { at: OffsetDateTime },
    Dead { at: OffsetDateTime },
}

#[derive(Clone)]
pub(super) struct Row {
    job: NewJob,
    state: State,
    attempt: i16,
    lease_no: i64,
}

impl Row {
    fn lease(&self) -> Lease {
        Lease {
            job_id: self.job.id,
            lease_no: self.lease_no,
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    fn is_lost(&self, now: OffsetDateTime) -> bool {
        matches!(self.state, State::Running { until } if until < now)
    }

    fn is_ready_in(&self, queue: &str, now: OffsetDateTime) -> bool {
        self.state == State::Ready && self.job.queue == queue && self.job.run_at <= now
    }

    fn finish(&mut self, at: OffsetDateTime) {
        self.state = State::Done { at };
        self.job.payload = json!({});
    }

    fn claimed(&self) -> ClaimedJob {
        ClaimedJob {
            lease: self.lease(),
            tenant_id: self.job.tenant_id,
            kind: self.job.kind.clone().into_owned(),
            attempt: self.attempt,
            max_attempts: self.job.max_attempts,
            payload: self.job.payload.clone(),
        }
    }
}

/// The checks of the table that a job may break.
fn refuse_broken_job(job: &NewJob) -> Result<(), StoreError> {
    let is_word = |text: &str| {
        text.len() <= 63
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if !is_word(&job.kind) {
        return Err(conflict("jobs_kind_check"));
    }
    if !is_word(&job.queue) {
        return Err(conflict("jobs_queue_check"));
    }
    if job.max_attempts < 1 {
        return Err(conflict("jobs_max_attempts_check"));
    }
    let key = job.dedupe_key.as_ref().map(|key| key.chars().count());
    if key.is_some_and(|length| !(1..=255).contains(&length)) {
        return Err(conflict("jobs_dedupe_key_check"));
    }
    Ok(())
}

impl MemoryTx {
    fn job_held_under(&mut self, lease: Lease) -> Option<&mut Row> {
        let row = self.tables.jobs.jobs.get_mut(&lease.job_id);
        row.filter(|row| row.is_running() && row.lease_no == lease.lease_no)
    }

    fn is_duplicate(&self, job: &NewJob) -> bool {
        let jobs = &self.tables.jobs.jobs;
        let mut alive = jobs
            .values()
            .filter(|row| row.state == State::Ready || row.is_running());
        jobs.contains_key(&job.id)
            || job.dedupe_key.is_some()
                && alive.any(|row| {
                    let there = &row.job;
                    (there.tenant_id, &there.kind, &there.dedupe_key)
                        == (job.tenant_id, &job.kind, &job.dedupe_key)
                })
    }

    /// Deletes up to `limit` jobs that were done before `done_before` or died before `dead_before`.
    pub(super) fn forget_finished_jobs(
        &mut self,
        done_before: OffsetDateTime,
        dead_before: OffsetDateTime,
        limit: u32,
    ) -> u64 {
        let jobs = &mut self.tables.jobs.jobs;
        let over = jobs.iter().filter_map(|(id, row)| match row.state {
            State::Done { at } if at < done_before => Some((at, *id)),
            State::Dead { at } if at < dead_before => Some((at, *id)),
            _ => None,
        });
        let gone = oldest(over, limit);
        for id in &gone {
            jobs.remove(id);
        }
        gone.len() as u64
    }
}

impl Queue for MemoryTx {
    fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        if let (Some(_), Some(tenant_id)) = (self.scope.tenant_id, job.tenant_id) {
            self.must_see(tenant_id)?;
        }
        refuse_broken_job(&job)?;
        if !self.is_duplicate(&job) {
            let row = Row {
                job,
                state: State::Ready,
                attempt: 0,
                lease_no: 0,
            };
            self.tables.jobs.jobs.insert(row.job.id, row);
        }
        Ok(())
    }

    fn settle(&mut self, lease: Lease) -> Result<(), SettleError> {
        let now = self.now;
        let row = self.job_held_under(lease).ok_or(SettleError::LeaseLost)?;
        row.finish(now);
        Ok(())
    }
}

impl Jobs for MemoryTx {
    fn due(&mut self, queue: &str) -> Result<Due, StoreError> {
        let (jobs, now) = (&self.tables.jobs.jobs, self.now);
        Ok(Due {
            jobs: jobs.values().any(|row| row.is_ready_in(queue, now)),
            lost_jobs: jobs.values().any(|row| row.is_lost(now)),
            schedules: self.has_due_schedules(),
            inline_schedules: self.has_free_schedules(),
            facts: self.has_unrelayed_facts(),
        })
    }

    fn claim(&mut self, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        let now = self.now;
        let rows = self.tables.jobs.jobs.values_mut();
        let mut due: Vec<&mut Row> = rows
            .filter(|row| row.is_ready_in(&claim.queue, now))
            .filter(|row| claim.kinds.iter().any(|kind| row.job.kind == *kind))
            .collect();
        due.sort_by_key(|row| (row.job.priority, row.job.run_at, row.job.id));
        due.truncate(claim.limit as usize);
        let take = |row: &mut Row| {
            row.attempt += 1;
            row.lease_no += 1;
            row.state = State::Running {
                until: later(now, claim.lease),
            };
            row.claimed()
        };
        Ok(due.into_iter().map(take).collect())
    }

    fn complete(&mut self, leases: &[Lease]) -> Result<Vec<JobId>, StoreError> {
        let now = self.now;
        let mut counted = Vec::new();
        for lease in leases {
            let Some(row) = self.tables.jobs.jobs.get_mut(&lease.job_id) else {
                continue;
            };
            let done_at = match row.state {
                State::Running { .. } => now,
                State::Done { at } => at,
                State::Ready | State::Dead { .. } => continue,
            };
            if row.lease_no == lease.lease_no {
                row.finish(done_at);
                counted.push(lease.job_id);
            }
        }
        Ok(counted)
    }

    fn fail(&mut self, failures: &[Failure]) -> Result<Vec<JobId>, StoreError> {
        let now = self.now;
        let mut counted = Vec::new();
        for failure in failures {
            if let Some(row) = self.job_held_under(failure.lease) {
                match failure.retry_after {
                    Some(pause) => {
                        row.state = State::Ready;
                        row.job.run_at = later(now, pause);
                    }
                    None => row.state = State::Dead { at: now },
                }
                counted.push(failure.lease.job_id);
            }
        }
        Ok(counted)
    }

    fn extend(&mut self, leases: &[Lease], lease: Duration) -> Result<Vec<JobId>, StoreError> {
        let until = later(self.now, lease);
        let mut counted = Vec::new();
        for held in leases {
            if let Some(row) = self.job_held_under(*held) {
                row.state = State::Running { until };
                counted.push(held.job_id);
            }
        }
        Ok(counted)
    }

    fn release(&mut self, leases: &[Lease]) -> Result<(), StoreError> {
        let now = self.now;
        for lease in leases {
            if let Some(row) = self.job_held_under(*lease) {
                row.state = State::Ready;
                row.attempt = (row.attempt - 1).max(0);
                row.job.run_at = now;
            }
        }
        Ok(())
    }

    fn reap(&mut self, limit: u32) -> Result<u64, StoreError> {
        let now = self.now;
        let jobs = &mut self.tables.jobs.jobs;
        let lost = jobs.iter().filter_map(|(id, row)| match row.state {
            State::Running { until } if until < now => Some((until, *id)),
            _ => None,
        });
        let lost = oldest(lost, limit);
        for id in &lost {
            if let Some(row) = jobs.get_mut(id) {
                row.job.run_at = now;
                row.state = if row.attempt < row.job.max_attempts {
                    State::Ready
                } else {
                    State::Dead { at: now }
                };
            }
        }
        Ok(lost.len() as u64)
    }
}
