//! Deletes jobs that ended and facts that were relayed. Dead jobs stay longer: somebody may want to look at them.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{BoxFuture, Scope, UnitOfWork};
use serde_json::Value;
use time::Duration;

use super::{BATCH, delete_all};
use crate::{Job, JobContext, JobError};

/// How long a job that is done is kept.
pub const DONE: Duration = Duration::days(3);
/// How long a dead job is kept.
pub const DEAD: Duration = Duration::days(30);
/// How long a relayed fact is kept, and its key with it.
pub const FACTS: Duration = Duration::days(7);

/// Deletes what is over.
pub struct DeleteFinished {
    db: Arc<dyn UnitOfWork<dyn Upkeep>>,
}

impl DeleteFinished {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self { db }
    }
}

impl Job for DeleteFinished {
    fn kind(&self) -> &'static str {
        "delete_finished"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let now = context.now();
            let delete_jobs = || {
                self.db.run(Scope::global(), move |store| {
                    store.delete_finished_jobs(now - DONE, now - DEAD, BATCH)
                })
            };
            let jobs = delete_all(&context, delete_jobs).await?;
            let delete_facts = || {
                self.db.run(Scope::global(), move |store| {
                    store.delete_relayed_facts(now - FACTS, BATCH)
                })
            };
            let facts = delete_all(&context, delete_facts).await?;
            tracing::debug!(jobs, facts, "deleted what is over");
            Ok(())
        })
    }
}
