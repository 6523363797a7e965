//! Deletes what is kept for some time and no longer.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{BoxFuture, Scope, StoreError, UnitOfWork};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::{BATCH, delete_all};
use crate::{Job, JobContext, JobError};

/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_KEYS: Duration = Duration::hours(24);
/// How long a session is kept after its end.
pub const SESSIONS: Duration = Duration::days(30);
/// How long a reservation is kept after it was finished or its lease ran out.
pub const RESERVATIONS: Duration = Duration::days(35);

/// Deletes at most so many rows that were over before an instant, and says how many.
type Delete = fn(&mut (dyn Upkeep + 'static), OffsetDateTime, u32) -> Result<u64, StoreError>;

/// Deletes rows of one kind.
pub struct DeleteOlder {
    db: Arc<dyn UnitOfWork<dyn Upkeep>>,
    kind: &'static str,
    kept: Duration,
    delete: Delete,
}

impl DeleteOlder {
    /// Forgets what an `Idempotency-Key` stood for after 24 hours.
    #[must_use]
    pub fn idempotency_keys(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self {
            db,
            kind: "delete_idempotency_keys",
            kept: IDEMPOTENCY_KEYS,
            delete: Upkeep::delete_idempotency_keys,
        }
    }

    /// Deletes sessions 30 days after they would have expired. Until then a token that was replaced is told from one that was invented.
    #[must_use]
    pub fn sessions(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self {
            db,
            kind: "delete_sessions",
            kept: SESSIONS,
            delete: Upkeep::delete_sessions,
        }
    }

    /// Deletes reservations that are over. What was settled counts until the end of its month, so they outlive the longest one.
    #[must_use]
    pub fn reservations(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self {
            db,
            kind: "delete_reservations",
            kept: RESERVATIONS,
            delete: Upkeep::delete_reservations,
        }
    }
}

impl Job for DeleteOlder {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let (before, rows) = (context.now() - self.kept, self.delete);
            let delete = || {
                self.db
                    .run(Scope::global(), move |store| rows(store, before, BATCH))
            };
            let gone = delete_all(&context, delete).await?;
            tracing::debug!(gone, kind = self.kind, "deleted what is old");
            Ok(())
        })
    }
}
