//! What the trail needs from a store.

use kernel::{AuditEventId, PageRequest, StoreError, TenantId};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{AuditEvent, NewEvent};

/// A fact that others may act on: a row of the outbox, relayed by the worker at least once.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// Whose fact it is.
    pub tenant_id: TenantId,
    /// Its type and version, such as `usage.day_closed`.
    pub topic: &'static str,
    /// Two facts with one key are one fact; `None` never repeats.
    pub key: Option<String>,
    /// The fact itself. Never a secret.
    pub payload: Value,
    /// When it became true.
    pub occurred_at: OffsetDateTime,
}

/// What every domain's store can do besides its own: leave a trace.
pub trait Trail {
    /// Appends an event. MUST be part of the surrounding transaction.
    ///
    /// # Errors
    /// [`StoreError`]; the surrounding use case must then fail too.
    fn record(&mut self, event: NewEvent) -> Result<(), StoreError>;

    /// Writes a fact to the outbox. MUST be part of the surrounding transaction. A fact whose key is there already is dropped.
    ///
    /// # Errors
    /// [`StoreError`].
    fn publish(&mut self, fact: Fact) -> Result<(), StoreError>;
}

/// Which events a reader wants. Empty fields do not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The exact action, or a prefix when it ends in `*`.
    pub action: Option<String>,
    /// The actor's id.
    pub actor: Option<String>,
    /// The target's id.
    pub target: Option<String>,
    /// At or after this instant.
    pub from: Option<OffsetDateTime>,
    /// Before this instant.
    pub to: Option<OffsetDateTime>,
}

/// The trail, for reading.
pub trait Store: Trail {
    /// Events of the tenant in scope that match, newest first by `(created_at, id)`, at most `page.limit + 1`, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn events(
        &mut self,
        tenant_id: TenantId,
        filter: &EventFilter,
        page: &PageRequest,
        after: Option<(OffsetDateTime, AuditEventId)>,
    ) -> Result<Vec<AuditEvent>, StoreError>;
}
