//! The trail and the outbox in memory.

use std::collections::BTreeMap;

use app::outbox::{Outbox, StoredFact};
use audit::{AuditEvent, EventFilter, Fact, NewEvent, Store, Trail};
use kernel::{AuditEventId, PageRequest, StoreError, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{MemoryTx, oldest};

#[derive(Clone, Default)]
pub(super) struct Tables {
    events: Vec<AuditEvent>,
    facts: Vec<StoredFact>,
    /// When a fact was relayed.
    relayed: BTreeMap<Uuid, OffsetDateTime>,
}

impl MemoryTx {
    /// Whether a fact waits to be relayed.
    pub(super) fn has_unrelayed_facts(&self) -> bool {
        let Tables { facts, relayed, .. } = &self.tables.audit;
        facts.iter().any(|fact| !relayed.contains_key(&fact.id))
    }

    /// Deletes up to `limit` facts of all tenants that were relayed before `before`.
    pub(super) fn forget_relayed_facts(&mut self, before: OffsetDateTime, limit: u32) -> u64 {
        let Tables { facts, relayed, .. } = &mut self.tables.audit;
        let old = relayed.iter().filter(|(_, at)| **at < before);
        let gone = oldest(old.map(|(id, at)| (*at, *id)), limit);
        facts.retain(|fact| !gone.contains(&fact.id));
        relayed.retain(|id, _| !gone.contains(id));
        gone.len() as u64
    }
}

impl Trail for MemoryTx {
    fn record(&mut self, event: NewEvent) -> Result<(), StoreError> {
        self.must_see(event.tenant_id)?;
        self.tables.audit.events.push(kept(event));
        Ok(())
    }

    fn publish(&mut self, fact: Fact) -> Result<(), StoreError> {
        self.must_see(fact.tenant_id)?;
        let facts = &mut self.tables.audit.facts;
        let is_known = fact.key.is_some()
            && facts.iter().any(|known| {
                (known.tenant_id, known.topic.as_str(), &known.key)
                    == (fact.tenant_id, fact.topic, &fact.key)
            });
        if !is_known {
            facts.push(StoredFact {
                tenant_id: fact.tenant_id,
                id: kernel::id::uuid_v7(fact.occurred_at),
                topic: fact.topic.to_owned(),
                key: fact.key,
                payload: fact.payload,
                occurred_at: fact.occurred_at,
            });
        }
        Ok(())
    }
}

/// The worker relays for all tenants, so the scope does not matter.
impl Outbox for MemoryTx {
    fn unrelayed(&mut self, limit: u32) -> Result<Vec<StoredFact>, StoreError> {
        let Tables { facts, relayed, .. } = &self.tables.audit;
        let waiting = facts.iter().filter(|fact| !relayed.contains_key(&fact.id));
        let mut waiting: Vec<StoredFact> = waiting.cloned().collect();
        waiting.sort_by_key(|fact| fact.id);
        waiting.truncate(limit as usize);
        Ok(waiting)
    }

    fn mark_relayed(&mut self, facts: &[StoredFact]) -> Result<(), StoreError> {
        let ids = facts.iter().map(|fact| (fact.id, self.now));
        self.tables.audit.relayed.extend(ids);
        Ok(())
    }
}

impl Store for MemoryTx {
    fn events(
        &mut self,
        tenant_id: TenantId,
        filter: &EventFilter,
        page: &PageRequest,
        after: Option<(OffsetDateTime, AuditEventId)>,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        if !self.sees(tenant_id) {
            return Ok(Vec::new());
        }
        let place = |event: &AuditEvent| (event.created_at, event.id);
        let mut found: Vec<AuditEvent> = self
            .tables
            .audit
            .events
            .iter()
            .filter(|event| event.tenant_id == tenant_id && matches(filter, event))
            .filter(|event| after.is_none_or(|after| place(event) < after))
            .cloned()
            .collect();
        found.sort_by_key(|event| std::cmp::Reverse(place(event)));
        found.truncate(page.limit as usize + 1);
        Ok(found)
    }
}

fn matches(filter: &EventFilter, event: &AuditEvent) -> bool {
    let action = |wanted: &String| match wanted.strip_suffix('*') {
        Some(prefix) => event.action.starts_with(prefix),
        None => event.action == *wanted,
    };
    filter.action.as_ref().is_none_or(action)
        && filter.actor.as_ref().is_none_or(|id| event.actor.id == *id)
        && filter
            .target
            .as_ref()
            .is_none_or(|id| event.target.id == *id)
        && filter.from.is_none_or(|from| event.created_at >= from)
        && filter.to.is_none_or(|to| event.created_at < to)
}

fn kept(event: NewEvent) -> AuditEvent {
    AuditEvent {
        id: event.id,
        tenant_id: event.tenant_id,
        action: event.action.to_owned(),
        crud: event.crud,
        actor: event.actor,
        target: event.target,
        description: event.description,
        project_id: event.project_id,
        fields: serde_json::json!(event.fields),
        diff: event.diff,
        is_failure: event.is_failure,
        is_anonymous: event.is_anonymous,
        source_ip: event.source_ip,
        user_agent: event.user_agent,
        request_id: event.request_id,
        created_at: event.created_at,
    }
}
