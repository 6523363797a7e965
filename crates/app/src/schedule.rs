//! Schedules, as a port: rows that say when a job is due. Operators change or disable them in place; a release never overwrites that.

use std::time::Duration;

use kernel::StoreError;
use time::OffsetDateTime;

/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timing {
    /// By a cron expression of five fields, or six with seconds first, read in the schedule's zone.
    Cron(String),
    /// At a fixed interval.
    Every(Duration),
}

/// How a schedule runs its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// By queueing it. At most one waits or runs at a time.
    Queued,
    /// In the one worker that holds the schedule, with no row per run: for intervals of seconds.
    Inline,
}

/// A schedule that the program brings along. It is written when the deployment has none of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its name, unique.
    pub name: &'static str,
    /// Kind of the job to run.
    pub kind: &'static str,
    /// When.
    pub timing: Timing,
    /// Name of the IANA zone that a cron expression is read in.
    pub zone: &'static str,
    /// How.
    pub runs: Runs,
}

/// A schedule as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Kind of the job to run.
    pub kind: String,
    /// When.
    pub timing: Timing,
    /// Name of the IANA zone.
    pub zone: String,
    /// The instant it was due at.
    pub next_at: OffsetDateTime,
}

/// An inline schedule that this worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSchedule {
    /// Its name.
    pub name: String,
    /// Kind of the job to run.
    pub kind: String,
    /// Time from the start of one run to the start of the next. A run that takes longer delays the next, and none is made up for.
    pub every: Duration,
    /// How many times the schedule was taken. A higher number wins.
    pub lease_no: i64,
}

/// The schedules of the deployment.
pub trait Schedules {
    /// Writes the schedules that are not there yet, first due at the instant beside each.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict on `schedules_every_ms_check` when an interval is shorter than 100 ms or longer than 366 days, and on
    /// `schedules_check1` when an inline schedule has no interval.
    fn declare(&mut self, schedules: &[(NewSchedule, OffsetDateTime)]) -> Result<(), StoreError>;

    /// Enabled queued schedules due at `now`, the longest due first, then by name. MUST lock them until the transaction ends, and skip those that others have locked.
    ///
    /// # Errors
    /// [`StoreError`].
    fn due_schedules(&mut self, now: OffsetDateTime) -> Result<Vec<Schedule>, StoreError>;

    /// Notes that a schedule ran at `now` and is next due at `next_at`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn mark_fired(
        &mut self,
        name: &str,
        now: OffsetDateTime,
        next_at: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Disables a schedule that cannot be understood, and says why, for operators.
    ///
    /// # Errors
    /// [`StoreError`].
    fn disable(&mut self, name: &str, error: &str) -> Result<(), StoreError>;

    /// Takes the inline schedules of the given kinds that nobody holds, for `lease` from now by the store's clock. MUST give one
    /// schedule to one caller.
    ///
    /// # Errors
    /// [`StoreError`].
    fn hold(&mut self, kinds: &[String], lease: Duration) -> Result<Vec<HeldSchedule>, StoreError>;

    /// Holds a schedule for `lease` from now, and notes when it last ran. `false` when somebody else has taken it, or it was disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    fn renew(
        &mut self,
        held: &HeldSchedule,
        lease: Duration,
        last_run_at: Option<OffsetDateTime>,
    ) -> Result<bool, StoreError>;

    /// Gives a held schedule back: the worker stops.
    ///
    /// # Errors
    /// [`StoreError`].
    fn let_go(&mut self, held: &HeldSchedule) -> Result<(), StoreError>;
}
