//! Batches of events, each event let in once.

use std::{collections::HashMap, sync::Arc};

use kernel::{StoreError, TenantId};
use time::OffsetDateTime;
use usage::ingest::{Appended, MAX_AGE, MeteredEvent};
use uuid::Uuid;

use super::StoredEvent;
use crate::memory::MemoryTx;

impl MemoryTx {
    pub(super) fn append(
        &mut self,
        tenant_id: TenantId,
        received_at: OffsetDateTime,
        events: &[MeteredEvent<'_>],
    ) -> Result<Vec<Appended>, StoreError> {
        self.must_see(tenant_id)?;
        let known: HashMap<Uuid, Uuid> = self
            .visible_events(tenant_id)
            .filter(|event| event.received_at > received_at - MAX_AGE)
            .map(|event| (event.metered.dedup, event.metered.payload_hash))
            .collect();
        let tables = &mut self.tables.usage;
        let append = |event: &MeteredEvent<'_>| match known.get(&event.dedup) {
            Some(&payload_hash) => Appended::Before { payload_hash },
            None => {
                tables.events.push(Arc::new(StoredEvent {
                    tenant_id,
                    received_at,
                    first: tables.committed,
                    metered: event.clone().into_owned(),
                }));
                Appended::Now
            }
        };
        Ok(events.iter().map(append).collect())
    }
}
