//! Forgets what an `Idempotency-Key` stood for after 24 hours.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{BoxFuture, Scope, UnitOfWork};
use serde_json::Value;
use time::Duration;

use super::{BATCH, delete_all};
use crate::{Job, JobContext, JobError};

/// How long a key is remembered.
pub const MEMORY: Duration = Duration::hours(24);

/// Deletes idempotency keys.
pub struct DeleteIdempotencyKeys {
    db: Arc<dyn UnitOfWork<dyn Upkeep>>,
}

impl DeleteIdempotencyKeys {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self { db }
    }
}

impl Job for DeleteIdempotencyKeys {
    fn kind(&self) -> &'static str {
        "delete_idempotency_keys"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let before = context.now() - MEMORY;
            let delete = || {
                self.db.run(Scope::global(), move |store| {
                    store.delete_idempotency_keys(before, BATCH)
                })
            };
            let gone = delete_all(&context, delete).await?;
            tracing::debug!(gone, "forgot idempotency keys");
            Ok(())
        })
    }
}
