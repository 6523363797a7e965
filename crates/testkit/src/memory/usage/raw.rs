//! Events as they were sent, the latest first.

use kernel::TenantId;
use usage::{
    StoredEvent as RawEvent,
    raw::{EventsQuery, Found, Place},
};
use uuid::Uuid;

use super::StoredEvent;
use crate::memory::MemoryTx;

impl MemoryTx {
    pub(super) fn events_behind(
        &self,
        tenant_id: TenantId,
        query: &EventsQuery,
        behind: &Place,
        limit: usize,
    ) -> Found {
        let stored = self.visible_events(tenant_id);
        let wanted = stored.filter(|event| is_wanted(event, query));
        let mut events: Vec<RawEvent> = wanted
            .filter_map(|event| self.as_sent(tenant_id, event))
            .filter(|event| event.place() < *behind)
            .collect();
        events.sort_by_key(|event| std::cmp::Reverse(event.place()));
        let is_all = events.len() <= limit;
        events.truncate(limit);
        let last = events.last().map(RawEvent::place);
        Found {
            next: last.filter(|_| !is_all),
            events,
        }
    }

    pub(super) fn last_received(&self, tenant_id: TenantId, dedup: Uuid) -> Option<RawEvent> {
        let stored = self.visible_events(tenant_id);
        let copies = stored.filter(|event| event.metered.dedup == dedup);
        let last = copies.max_by_key(|event| event.received_at)?;
        self.as_sent(tenant_id, last)
    }

    fn as_sent(&self, tenant_id: TenantId, event: &StoredEvent) -> Option<RawEvent> {
        let (metered, said) = (&event.metered, &event.metered.event);
        Some(RawEvent {
            id: said.id.clone(),
            source: said.source.clone(),
            metric: self.meter_by_id(tenant_id, metered.meter_id)?.key,
            quantity: metered.quantity.clone(),
            occurred_at: metered.occurred_at,
            received_at: event.received_at,
            project_id: said.project_id,
            user_id: said.user_id.clone(),
            model: said.model.clone(),
            metadata: said.metadata.as_json().map(str::to_owned),
            dedup: metered.dedup,
        })
    }
}

fn is_wanted(event: &StoredEvent, query: &EventsQuery) -> bool {
    let (metered, said) = (&event.metered, &event.metered.event);
    let is_or_any = |wanted: &Option<String>, said: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| said == Some(wanted))
    };
    query
        .meters
        .iter()
        .any(|meter| meter.id == metered.meter_id)
        && metered.occurred_at >= query.from
        && is_or_any(&query.source, Some(&said.source))
        && is_or_any(&query.user_id, said.user_id.as_deref())
        && (query.project_id.is_none() || query.project_id == said.project_id)
}
