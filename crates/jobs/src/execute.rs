//! One run of one job.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use serde_json::Value;

use crate::{Job, JobContext, JobError};

/// Runs `job`. A panic and a run beyond the time limit are failures like others.
pub(crate) async fn run(
    job: Arc<dyn Job>,
    context: JobContext,
    payload: Value,
) -> Result<(), JobError> {
    let limit = job.time_limit();
    // The first statement of `run` itself may panic, too: so the call stands inside.
    let work = AssertUnwindSafe(async move { job.run(context, payload).await }).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(JobError::Retry(format!(
            "panicked: {}",
            words(panic.as_ref())
        ))),
        Err(_) => Err(JobError::Retry(format!(
            "took longer than {} s",
            limit.as_secs()
        ))),
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}
