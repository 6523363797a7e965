//! Jobs that keep the database small and ready.

pub mod delete_finished;
pub mod delete_older;
pub mod ensure_audit_partitions;

use kernel::StoreError;

pub use delete_finished::DeleteFinished;
pub use delete_older::DeleteOlder;
pub use ensure_audit_partitions::EnsureAuditPartitions;

use crate::{JobContext, JobError};

/// Rows that one transaction deletes.
const BATCH: u32 = 1000;

/// Deletes batch by batch until one comes back short. Answers how many rows are gone.
async fn delete_all<D>(
    context: &JobContext,
    delete: impl Fn() -> D + Send + Sync,
) -> Result<u64, JobError>
where
    D: Future<Output = Result<u64, StoreError>> + Send,
{
    let mut gone = 0;
    loop {
        let batch = delete().await?;
        gone += batch;
        if batch < u64::from(BATCH) || context.is_stopping() {
            return Ok(gone);
        }
    }
}
