//! Where "now" comes from. Rules take a `time::OffsetDateTime`; only façades and edges hold a clock.

use time::OffsetDateTime;

/// Tells the time, in UTC and to the microsecond: what PostgreSQL keeps, so that a value read back equals the one written.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> OffsetDateTime;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        now.replace_microsecond(now.microsecond()).unwrap_or(now)
    }
}
