//! Work on many things, each in a transaction of its own, so that one that fails does not hold up the others.

use kernel::StoreError;

use crate::{JobContext, JobError};

/// Ids that one look-up answers.
pub(crate) const BATCH: u32 = 200;

/// Looks for ids and acts on each, until a look-up comes back short or nothing moves any more.
pub(crate) async fn sweep<T, L, A>(
    context: &JobContext,
    look: impl Fn() -> L + Send + Sync,
    act: impl Fn(T) -> A + Send + Sync,
) -> Result<(), JobError>
where
    T: Send,
    L: Future<Output = Result<Vec<T>, StoreError>> + Send,
    A: Future<Output = Result<bool, String>> + Send,
{
    loop {
        let ids = look().await?;
        let full = ids.len() == BATCH as usize;
        let (mut moved, mut failed) = (0_usize, Vec::new());
        for id in ids {
            if context.is_stopping() {
                return Ok(());
            }
            match act(id).await {
                Ok(true) => moved += 1,
                Ok(false) => {}
                Err(error) => failed.push(error),
            }
        }
        if moved > 0 {
            tracing::info!(moved, "moved on what was due");
        }
        if let Some(first) = failed.first() {
            return Err(JobError::Retry(format!(
                "{} failed, the first: {first}",
                failed.len()
            )));
        }
        if !full || moved == 0 {
            return Ok(());
        }
    }
}
