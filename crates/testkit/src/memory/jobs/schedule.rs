//! Schedules in memory.

use std::time::Duration;

use app::schedule::{HeldSchedule, NewSchedule, Runs, Schedule, Schedules, Timing};
use kernel::StoreError;
use time::OffsetDateTime;

use super::later;
use crate::memory::{MemoryTx, conflict};

#[derive(Clone)]
pub(super) struct Row {
    schedule: Schedule,
    runs: Runs,
    is_enabled: bool,
    lease_until: Option<OffsetDateTime>,
    lease_no: i64,
}

impl Row {
    fn is_due(&self, now: OffsetDateTime) -> bool {
        self.is_enabled && self.runs == Runs::Queued && self.schedule.next_at <= now
    }

    fn is_inline(&self) -> bool {
        self.is_enabled && self.runs == Runs::Inline
    }

    fn is_free(&self, now: OffsetDateTime) -> bool {
        self.is_inline() && self.lease_until.is_none_or(|until| until < now)
    }

    /// As whoever took it holds it. Inline schedules have an interval.
    fn held(&self) -> Option<HeldSchedule> {
        let Timing::Every(every) = self.schedule.timing else {
            return None;
        };
        Some(HeldSchedule {
            name: self.schedule.name.clone(),
            kind: self.schedule.kind.clone(),
            every,
            lease_no: self.lease_no,
        })
    }
}

/// The checks of the table that a schedule may break.
fn refuse_broken_schedule(schedule: &NewSchedule) -> Result<(), StoreError> {
    /// 366 days.
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    match schedule.timing {
        Timing::Cron(_) if schedule.runs == Runs::Inline => Err(conflict("schedules_check1")),
        Timing::Every(interval) if !(Duration::from_millis(100)..=LONGEST).contains(&interval) => {
            Err(conflict("schedules_every_ms_check"))
        }
        _ => Ok(()),
    }
}

impl MemoryTx {
    /// Whether a queued schedule is due.
    pub(super) fn has_due_schedules(&self) -> bool {
        let mut rows = self.tables.jobs.schedules.values();
        rows.any(|row| row.is_due(self.now))
    }

    /// Whether nobody holds an inline schedule.
    pub(super) fn has_free_schedules(&self) -> bool {
        let mut rows = self.tables.jobs.schedules.values();
        rows.any(|row| row.is_free(self.now))
    }

    fn schedule_held_as(&mut self, held: &HeldSchedule) -> Option<&mut Row> {
        let row = self.tables.jobs.schedules.get_mut(&held.name);
        row.filter(|row| row.lease_no == held.lease_no)
    }
}

impl Schedules for MemoryTx {
    fn declare(&mut self, schedules: &[(NewSchedule, OffsetDateTime)]) -> Result<(), StoreError> {
        for (new, first) in schedules {
            refuse_broken_schedule(new)?;
            let row = Row {
                schedule: Schedule {
                    name: new.name.to_owned(),
                    kind: new.kind.to_owned(),
                    timing: new.timing.clone(),
                    zone: new.zone.to_owned(),
                    next_at: *first,
                },
                runs: new.runs,
                is_enabled: true,
                lease_until: None,
                lease_no: 0,
            };
            let rows = &mut self.tables.jobs.schedules;
            rows.entry(new.name.to_owned()).or_insert(row);
        }
        Ok(())
    }

    fn due_schedules(&mut self, now: OffsetDateTime) -> Result<Vec<Schedule>, StoreError> {
        let rows = self.tables.jobs.schedules.values();
        let mut due: Vec<Schedule> = rows
            .filter(|row| row.is_due(now))
            .map(|row| row.schedule.clone())
            .collect();
        due.sort_by(|a, b| (a.next_at, &a.name).cmp(&(b.next_at, &b.name)));
        Ok(due)
    }

    fn mark_fired(
        &mut self,
        name: &str,
        _now: OffsetDateTime,
        next_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        if let Some(row) = self.tables.jobs.schedules.get_mut(name) {
            row.schedule.next_at = next_at;
        }
        Ok(())
    }

    fn disable(&mut self, name: &str, _error: &str) -> Result<(), StoreError> {
        if let Some(row) = self.tables.jobs.schedules.get_mut(name) {
            row.is_enabled = false;
        }
        Ok(())
    }

    fn hold(&mut self, kinds: &[String], lease: Duration) -> Result<Vec<HeldSchedule>, StoreError> {
        let now = self.now;
        let rows = self.tables.jobs.schedules.values_mut();
        Ok(rows
            .filter(|row| row.is_free(now) && kinds.contains(&row.schedule.kind))
            .filter_map(|row| {
                row.lease_no += 1;
                row.lease_until = Some(later(now, lease));
                row.held()
            })
            .collect())
    }

    fn renew(
        &mut self,
        held: &HeldSchedule,
        lease: Duration,
        _last_run_at: Option<OffsetDateTime>,
    ) -> Result<bool, StoreError> {
        let until = later(self.now, lease);
        let row = self.schedule_held_as(held).filter(|row| row.is_inline());
        Ok(match row {
            Some(row) => {
                row.lease_until = Some(until);
                true
            }
            None => false,
        })
    }

    fn let_go(&mut self, held: &HeldSchedule) -> Result<(), StoreError> {
        if let Some(row) = self.schedule_held_as(held) {
            row.lease_until = None;
        }
        Ok(())
    }
}
