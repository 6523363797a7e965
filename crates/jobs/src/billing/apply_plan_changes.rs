//! Writes down the plans that were ordered for the end of a period that is over. They are in force without it; what follows is the copy
//! of the plan's code that others read.

use std::sync::Arc;

use app::upkeep::Upkeep;
use kernel::{BoxFuture, Scope, UnitOfWork};
use serde_json::Value;

use crate::{Job, JobContext, JobError, sweep::BATCH};

/// Moves due plans up, batch by batch.
pub struct ApplyPlanChanges {
    db: Arc<dyn UnitOfWork<dyn Upkeep>>,
}

impl ApplyPlanChanges {
    /// Over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Upkeep>>) -> Self {
        Self { db }
    }
}

impl Job for ApplyPlanChanges {
    fn kind(&self) -> &'static str {
        "apply_plan_changes"
    }

    fn run(&self, context: JobContext, _: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let now = context.now();
            let apply =
                move |store: &mut (dyn Upkeep + 'static)| store.apply_due_plan_changes(now, BATCH);
            loop {
                let moved = self.db.run(Scope::global(), apply).await?;
                if moved > 0 {
                    tracing::info!(moved, "moved subscriptions to the plans that were ordered");
                }
                if moved < u64::from(BATCH) || context.is_stopping() {
                    return Ok(());
                }
            }
        })
    }
}
