//! The outbox, as the relay sees it. Domains write facts through `audit::Trail::publish`, in the transaction that makes them true.

use kernel::{StoreError, TenantId};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// A fact that waits to be relayed.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFact {
    /// Whose fact it is.
    pub tenant_id: TenantId,
    /// Its id within the outbox.
    pub id: Uuid,
    /// Its type, such as `tenancy.invitation_created`.
    pub topic: String,
    /// Two facts with one key are one fact.
    pub key: Option<String>,
    /// The fact itself.
    pub payload: Value,
    /// When it became true.
    pub occurred_at: OffsetDateTime,
}

/// The facts of all tenants.
pub trait Outbox {
    /// Up to `limit` facts that were not relayed yet, oldest first. MUST lock them until the transaction ends, and skip those that
    /// others have locked, so that two relays share the work and no fact is relayed twice.
    ///
    /// # Errors
    /// [`StoreError`].
    fn unrelayed(&mut self, limit: u32) -> Result<Vec<StoredFact>, StoreError>;

    /// Marks facts relayed. MUST be the transaction that locked them and that queued what follows from them.
    ///
    /// # Errors
    /// [`StoreError`].
    fn mark_relayed(&mut self, facts: &[StoredFact]) -> Result<(), StoreError>;
}
