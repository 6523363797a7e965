//! Deletes sessions 30 days after they would have expired. Until then a token that was replaced is told from one that was invented.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{BoxFuture, Scope, UnitOfWork};
use serde_json::Value;
use time::Duration;

use super::{BATCH, delete_all};
use crate::{Job, JobContext, JobError};

/// How long a session is kept after its end.
pub const KEPT: Duration = Duration::days(30);

/// Deletes sessions.
pub struct DeleteSessions {
    db: Arc<dyn UnitOfWork<dyn Upkeep>>,
}

impl DeleteSessions {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self { db }
    }
}

impl Job for DeleteSessions {
    fn kind(&self) -> &'static str {
        "delete_sessions"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let before = context.now() - KEPT;
            let delete = || {
                self.db.run(Scope::global(), move |store| {
                    store.delete_sessions(before, BATCH)
                })
            };
            let gone = delete_all(&context, delete).await?;
            tracing::debug!(gone, "deleted sessions");
            Ok(())
        })
    }
}
