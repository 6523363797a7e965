//! Meters: a tenant's own beside those from the start, as one list.

use std::collections::BTreeMap;

use kernel::{MeterId, Name, StoreError, TenantId};
use time::{OffsetDateTime, macros::datetime};
use usage::{Aggregation, Meter, MeterVersion};
use uuid::Uuid;

use crate::memory::{MemoryTx, conflict};

/// Key, name and unit of the meters that every tenant has. The first one's id ends in 1, the next one's in 2.
const STANDARD: [(&str, &str, &str); 16] = [
    ("llm_tokens_input", "LLM tokens, input", "token"),
    ("llm_tokens_output", "LLM tokens, output", "token"),
    ("tool_call", "Tool calls", "call"),
    ("agent_run", "Agent runs", "run"),
    ("workflow_run", "Workflow runs", "run"),
    ("document_upload", "Document uploads", "document"),
    ("chat", "Chats", "chat"),
    ("artifact_generation", "Artifacts generated", "artifact"),
    ("search", "Searches", "search"),
    ("agent_minute", "Agent minutes", "minute"),
    ("task_completed", "Tasks completed", "task"),
    ("workflow_started", "Workflows started", "workflow"),
    ("api_calls", "API calls", "call"),
    ("tokens", "Tokens", "token"),
    ("jobs", "Jobs", "job"),
    ("dashboards_rendered", "Dashboards rendered", "dashboard"),
];

/// The id of the standard meter of this number: the number stands in its last digits, in decimal.
fn standard_id(number: usize) -> MeterId {
    let id = Uuid::parse_str(&format!("00000000-0000-7000-8000-{number:012}"));
    crate::must("reading the id of a standard meter", id).into()
}

fn standard() -> impl Iterator<Item = Meter> {
    let numbered = STANDARD.into_iter().zip(1..);
    numbered.map(|((key, name, unit), number)| Meter {
        id: standard_id(number),
        key: key.to_owned(),
        name: Name::stored(name.to_owned()),
        aggregation: Aggregation::Sum,
        unit: unit.to_owned(),
        dimensions: ["project", "user", "model"].map(str::to_owned).to_vec(),
        value_field: None,
        allows_negative: false,
        version: 1,
        created_at: datetime!(2026-01-01 00:00 UTC),
    })
}

impl MemoryTx {
    /// The key of a meter, whoever asks.
    pub(super) fn key_of_meter(&self, tenant_id: TenantId, id: MeterId) -> Option<String> {
        let own = self.tables.usage.meters.iter();
        let own = own.filter(|((owner, _), _)| *owner == tenant_id);
        standard()
            .chain(own.map(|(_, meter)| meter.clone()))
            .find(|meter| meter.id == id)
            .map(|meter| meter.key)
    }

    /// One meter a key, by key: where both have it, the tenant's own.
    pub(super) fn effective_meters(&self, tenant_id: TenantId) -> Vec<Meter> {
        let own = self.tables.usage.meters.iter();
        let own = own.filter(|((owner, _), _)| *owner == tenant_id && self.sees(tenant_id));
        let by_key: BTreeMap<String, Meter> = standard()
            .chain(own.map(|(_, meter)| meter.clone()))
            .map(|meter| (meter.key.clone(), meter))
            .collect();
        by_key.into_values().collect()
    }

    /// The meter of an id, of the tenant or from the start, whoever asks.
    pub(super) fn meter_by_id(&self, tenant_id: TenantId, id: MeterId) -> Option<Meter> {
        let own = self.tables.usage.meters.iter();
        let own = own.filter(|((owner, _), _)| *owner == tenant_id);
        own.map(|(_, meter)| meter.clone())
            .chain(standard())
            .find(|meter| meter.id == id)
    }

    pub(super) fn add_meter(
        &mut self,
        tenant_id: TenantId,
        meter: &Meter,
    ) -> Result<(), StoreError> {
        self.must_see(tenant_id)?;
        let key = (tenant_id, meter.key.clone());
        if self.tables.usage.meters.contains_key(&key) {
            return Err(conflict("meters_tenant_id_key_key"));
        }
        if !self.tables.tenancy.tenants.contains_key(&tenant_id) {
            return Err(conflict("meters_tenant_id_fkey"));
        }
        self.tables.usage.meters.insert(key, meter.clone());
        self.keep_version(tenant_id, meter, meter.created_at);
        Ok(())
    }

    /// The tenant's own meter of a key. Commands take turns, so nothing is locked.
    pub(super) fn own_meter(&self, tenant_id: TenantId, key: &str) -> Option<Meter> {
        let meters = &self.tables.usage.meters;
        let own = meters.get(&(tenant_id, key.to_owned()));
        own.filter(|_| self.sees(tenant_id)).cloned()
    }

    /// Replaces a meter that is there, and keeps the version that it now is.
    pub(super) fn replace_meter(
        &mut self,
        tenant_id: TenantId,
        meter: &Meter,
        now: OffsetDateTime,
    ) {
        if self.own_meter(tenant_id, &meter.key).is_some() {
            let key = (tenant_id, meter.key.clone());
            self.tables.usage.meters.insert(key, meter.clone());
            self.keep_version(tenant_id, meter, now);
        }
    }

    fn keep_version(&mut self, tenant_id: TenantId, meter: &Meter, created_at: OffsetDateTime) {
        let key = (tenant_id, meter.id, meter.version);
        let version = MeterVersion::of(meter, created_at);
        self.tables.usage.versions.insert(key, version);
    }

    /// Versions of a meter, the newest first.
    pub(super) fn versions_of(
        &self,
        tenant_id: TenantId,
        meter_id: MeterId,
    ) -> impl Iterator<Item = &MeterVersion> {
        let sees = self.sees(tenant_id);
        let versions = self.tables.usage.versions.iter().rev();
        versions
            .filter(move |((owner, id, _), _)| sees && (*owner, *id) == (tenant_id, meter_id))
            .map(|(_, version)| version)
    }
}
