//! When a schedule is due, and what happens then.
//!
//! A schedule that was due several times while no worker ran fires once. A clock change is as people expect: a fixed time that the change
//! skips runs right after the gap, one that it repeats runs the first time only, and `*/15` follows the clock on the wall.

use app::{
    queue::{NewJob, WorkerStore},
    schedule::{NewSchedule, Runs, Schedule, Timing},
};
use croner::{Cron, parser::CronParser};
use jiff::{Timestamp, tz::TimeZone};
use kernel::StoreError;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Why a schedule cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The cron expression is wrong.
    #[error("{expression:?} is no cron expression: {why}")]
    Cron {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such zone.
    #[error("{0:?} is no IANA time zone")]
    Zone(String),
    /// It is never due again.
    #[error("it is never due again")]
    Never,
}

/// The first instant after `now` at which `timing` is due again, when it was last due at `due`.
///
/// # Errors
/// See [`TimingError`].
pub fn next_after(
    timing: &Timing,
    zone: &str,
    due: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, TimingError> {
    match timing {
        Timing::Every(interval) => {
            // On the beat of the first time, whatever was missed.
            let step = i128::try_from(interval.as_nanos())
                .unwrap_or(i128::MAX)
                .max(1);
            let late = (now - due).whole_nanoseconds().max(0);
            let next = due.unix_timestamp_nanos() + (late / step + 1).saturating_mul(step);
            OffsetDateTime::from_unix_timestamp_nanos(next).map_err(|_| TimingError::Never)
        }
        Timing::Cron(expression) => {
            let zone = TimeZone::get(zone).map_err(|_| TimingError::Zone(zone.to_owned()))?;
            let after = Timestamp::from_nanosecond(now.max(due).unix_timestamp_nanos())
                .map_err(|_| TimingError::Never)?
                .to_zoned(zone);
            let next = parse(expression)?
                .find_next_occurrence(&after, false)
                .map_err(|_| TimingError::Never)?;
            OffsetDateTime::from_unix_timestamp_nanos(next.timestamp().as_nanosecond())
                .map_err(|_| TimingError::Never)
        }
    }
}

fn parse(expression: &str) -> Result<Cron, TimingError> {
    CronParser::new()
        .parse(expression)
        .map_err(|error| TimingError::Cron {
            expression: expression.to_owned(),
            why: error.to_string(),
        })
}

/// Writes the schedules that the deployment does not have yet. An interval is due at once, a cron expression when it says.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Unexpected`] when the program brings along a schedule that cannot be understood.
pub fn declare(
    store: &mut dyn WorkerStore,
    schedules: &[NewSchedule],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let first = |schedule: &NewSchedule| match &schedule.timing {
        Timing::Every(_) => Ok(now),
        cron @ Timing::Cron(_) => next_after(cron, schedule.zone, now, now),
    };
    let rows: Result<Vec<_>, TimingError> = schedules
        .iter()
        .map(|schedule| first(schedule).map(|first| (schedule.clone(), first)))
        .collect();
    store.declare(&rows.map_err(|error| StoreError::Unexpected(error.to_string()))?)
}

/// Fires the queued schedules that are due at `now`, each by one job. Another worker that does the same skips them, and finds the next
/// time already written when it looks again. While the job of the time before still waits or runs, none is added.
///
/// # Errors
/// [`StoreError`].
pub fn fire_due(store: &mut dyn WorkerStore, now: OffsetDateTime) -> Result<usize, StoreError> {
    let due = store.due_schedules(now)?;
    for schedule in &due {
        match next_after(&schedule.timing, &schedule.zone, schedule.next_at, now) {
            Ok(next) => {
                store.enqueue(job_of(schedule, now))?;
                store.mark_fired(&schedule.name, now, next)?;
            }
            Err(error) => {
                tracing::error!(schedule = schedule.name, %error, "the schedule is disabled");
                store.disable(&schedule.name, &error.to_string())?;
            }
        }
    }
    Ok(due.len())
}

fn job_of(schedule: &Schedule, now: OffsetDateTime) -> NewJob {
    let due_at = schedule.next_at.format(&Rfc3339).unwrap_or_default();
    let payload = serde_json::json!({ "schedule": schedule.name, "due_at": due_at });
    NewJob::new(schedule.kind.clone(), None, payload, now).once(&schedule.name)
}

/// Whether the program brings along a schedule that runs inline.
pub(crate) fn any_inline(schedules: &[NewSchedule]) -> bool {
    schedules
        .iter()
        .any(|schedule| schedule.runs == Runs::Inline)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::datetime;

    use super::*;

    fn cron(expression: &str, zone: &str, now: OffsetDateTime) -> OffsetDateTime {
        next_after(&Timing::Cron(expression.to_owned()), zone, now, now).unwrap()
    }

    #[test]
    fn an_interval_keeps_its_beat_and_makes_up_for_nothing() {
        let minute = Timing::Every(Duration::from_secs(60));
        let due = datetime!(2026-03-01 12:00 UTC);
        let next = |now| next_after(&minute, "UTC", due, now).unwrap();
        assert_eq!(next(due), datetime!(2026-03-01 12:01 UTC));
        assert_eq!(
            next(datetime!(2026-03-01 12:00:59 UTC)),
            datetime!(2026-03-01 12:01 UTC)
        );
        assert_eq!(
            next(datetime!(2026-03-01 15:30:30 UTC)),
            datetime!(2026-03-01 15:31 UTC)
        );
        assert_eq!(
            next(datetime!(2026-03-01 11:00 UTC)),
            datetime!(2026-03-01 12:01 UTC)
        );
    }

    #[test]
    fn a_cron_expression_is_read_in_its_zone() {
        let now = datetime!(2026-01-10 00:00 UTC);
        assert_eq!(
            cron("30 2 * * *", "UTC", now),
            datetime!(2026-01-10 02:30 UTC)
        );
        assert_eq!(
            cron("30 2 * * *", "Asia/Kathmandu", now),
            datetime!(2026-01-10 20:45 UTC)
        );
        assert_eq!(
            cron("15 30 2 * * *", "UTC", now),
            datetime!(2026-01-10 02:30:15 UTC)
        );
        assert_eq!(
            cron("0 0 1 * *", "UTC", now),
            datetime!(2026-02-01 00:00 UTC)
        );
    }

    #[test]
    fn a_time_that_the_clock_skips_runs_after_the_gap() {
        // Paris goes from 02:00 to 03:00 on 29 March 2026, which is 01:00 UTC.
        let before = datetime!(2026-03-28 12:00 UTC);
        let first = cron("30 2 * * *", "Europe/Paris", before);
        assert_eq!(first, datetime!(2026-03-29 01:00 UTC));
        assert_eq!(
            cron("30 2 * * *", "Europe/Paris", first),
            datetime!(2026-03-30 00:30 UTC)
        );
    }

    #[test]
    fn a_time_that_the_clock_repeats_runs_once() {
        // Paris goes from 03:00 back to 02:00 on 25 October 2026, which is 01:00 UTC.
        let first = cron(
            "30 2 * * *",
            "Europe/Paris",
            datetime!(2026-10-24 12:00 UTC),
        );
        assert_eq!(first, datetime!(2026-10-25 00:30 UTC));
        assert_eq!(
            cron("30 2 * * *", "Europe/Paris", first),
            datetime!(2026-10-26 01:30 UTC)
        );
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        let now = datetime!(2026-01-01 00:00 UTC);
        let next = |cron: &str, zone| next_after(&Timing::Cron(cron.to_owned()), zone, now, now);
        assert!(matches!(
            next("61 * * * *", "UTC"),
            Err(TimingError::Cron { .. })
        ));
        assert!(matches!(next("soon", "UTC"), Err(TimingError::Cron { .. })));
        assert_eq!(
            next("* * * * *", "Mars/Olympus"),
            Err(TimingError::Zone("Mars/Olympus".into()))
        );
        assert_eq!(next("0 0 30 2 *", "UTC"), Err(TimingError::Never));
    }
}
