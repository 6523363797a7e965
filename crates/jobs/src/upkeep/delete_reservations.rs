//! Deletes reservations that are over. What was settled counts until the end of its month, so they outlive the longest one.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{BoxFuture, Scope, UnitOfWork};
use serde_json::Value;
use time::Duration;

use super::{BATCH, delete_all};
use crate::{Job, JobContext, JobError};

/// How long a reservation is kept after it was finished or its lease ran out.
pub const KEPT: Duration = Duration::days(35);

/// Deletes reservations.
pub struct DeleteReservations {
    db: Arc<dyn UnitOfWork<dyn Upkeep>>,
}

impl DeleteReservations {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self { db }
    }
}

impl Job for DeleteReservations {
    fn kind(&self) -> &'static str {
        "delete_reservations"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let before = context.now() - KEPT;
            let delete = || {
                self.db.run(Scope::global(), move |store| {
                    store.delete_reservations(before, BATCH)
                })
            };
            let gone = delete_all(&context, delete).await?;
            tracing::debug!(gone, "deleted reservations");
            Ok(())
        })
    }
}
