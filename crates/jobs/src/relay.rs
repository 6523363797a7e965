//! Facts of the outbox become jobs: in the transaction that marks them relayed, so each is relayed exactly once.

use app::queue::WorkerStore;
use kernel::StoreError;
use time::OffsetDateTime;

use crate::Registry;

/// Facts of one transaction.
pub const BATCH: u32 = 100;

/// Relays up to [`BATCH`] facts, oldest first. Answers how many there were.
///
/// # Errors
/// [`StoreError`]; nothing is relayed then.
pub fn relay(
    store: &mut dyn WorkerStore,
    registry: &Registry,
    now: OffsetDateTime,
) -> Result<usize, StoreError> {
    let facts = store.unrelayed(BATCH)?;
    for job in facts.iter().flat_map(|fact| registry.react(fact, now)) {
        store.enqueue(job)?;
    }
    if !facts.is_empty() {
        store.mark_relayed(&facts)?;
    }
    Ok(facts.len())
}
