//! A clock for tests of what happens later.

use std::sync::{Arc, Mutex, PoisonError};

use kernel::Clock;
use time::{Duration, OffsetDateTime};

/// A clock that stands still until somebody moves it on.
#[derive(Debug)]
pub struct StoppedClock(Mutex<OffsetDateTime>);

impl StoppedClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: OffsetDateTime) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
