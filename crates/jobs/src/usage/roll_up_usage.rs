//! Moves events into quarter-hour buckets until none are left. A step is a transaction, so a run may end between any two.
//!
//! Readers count what is not moved yet where it is, and pay for each event of it, whoever's it is. So where many come, a run looks again
//! shortly, and little is left for readers; where few come, it leaves the database alone.
//!
//! Where so many come that PostgreSQL does not keep up with noting their times, the run does that as well.

use std::time::{Duration, Instant};

use ::usage::{Books, rollup::STEP};
use kernel::BoxFuture;
use serde_json::Value;
use tokio::time::sleep;

use super::ROLL_UP;
use crate::{Job, JobContext, JobError};

/// Events that a look finds where more will have come soon: within [`SHORTLY`], a thousand a second.
const MANY: u64 = 200;
/// When a run looks again.
const SHORTLY: Duration = Duration::from_millis(200);

/// Events in a run that are too many for PostgreSQL alone to note their times: a fifth of what it can.
const PLENTY: u64 = 10_000;

/// Rolls usage up.
pub struct RollUpUsage {
    books: Books,
}

impl RollUpUsage {
    /// Over `books`.
    #[must_use]
    pub const fn new(books: Books) -> Self {
        Self { books }
    }

    /// Moves all that is there. Gives how many events.
    async fn move_all(&self, context: &JobContext) -> Result<u64, JobError> {
        let mut events = 0;
        loop {
            let step = self.books.roll(STEP).await?;
            events += step.events;
            if !step.more || context.is_stopping() {
                break;
            }
        }
        if events > 0 {
            tracing::debug!(events, "rolled up usage");
        }
        Ok(events)
    }

    /// Only how quickly some questions are answered depends on it, so rolling up does not.
    async fn summarise(&self) {
        if let Err(error) = self.books.summarise_events().await {
            tracing::warn!(%error, "the times of events were not noted");
        }
    }
}

impl Job for RollUpUsage {
    fn kind(&self) -> &'static str {
        "roll_up_usage"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let events = while_many(&context, || self.move_all(&context)).await?;
            if events >= PLENTY {
                self.summarise().await;
            }
            Ok(())
        })
    }
}

/// Looks, and looks again shortly for as long as each look finds many events; until the next run is due, so that this one can be seen to
/// have run. Gives how many all looks found.
async fn while_many<F: Future<Output = Result<u64, JobError>>>(
    context: &JobContext,
    look: impl Fn() -> F,
) -> Result<u64, JobError> {
    let (begun, mut all) = (Instant::now(), 0);
    while !context.is_stopping() {
        let found = look().await?;
        all += found;
        if found < MANY || begun.elapsed() >= ROLL_UP || context.is_stopping() {
            break;
        }
        sleep(SHORTLY).await;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use kernel::SystemClock;

    use super::*;

    /// How often a run looks that finds these numbers of events, one after another, and then `at_last`.
    async fn looks(found: &[u64], at_last: u64) -> usize {
        let context = JobContext::alone(None, Arc::new(SystemClock));
        let looks = AtomicUsize::new(0);
        let look = || {
            let look = looks.fetch_add(1, Ordering::Relaxed);
            ready(Ok(found.get(look).copied().unwrap_or(at_last)))
        };
        while_many(&context, look).await.unwrap();
        looks.into_inner()
    }

    #[tokio::test]
    async fn a_run_that_finds_few_events_leaves_the_database_alone() {
        assert_eq!(looks(&[], MANY - 1).await, 1);
    }

    #[tokio::test]
    async fn a_run_that_finds_many_looks_again_shortly() {
        let begun = Instant::now();
        assert_eq!(looks(&[MANY], 0).await, 2);
        assert!(begun.elapsed() >= SHORTLY);
    }

    #[tokio::test]
    async fn a_run_ends_when_the_next_is_due_even_if_there_are_many_still() {
        let begun = Instant::now();
        assert!(looks(&[], MANY).await > 2);
        assert!(begun.elapsed() >= ROLL_UP);
    }
}
