//! The audit trail and the outbox on PostgreSQL.

use audit::{Actor, AuditEvent, Crud, EventFilter, Fact, NewEvent, Store, Target, Trail};
use diesel::prelude::*;
use ipnetwork::IpNetwork;
use kernel::{AuditEventId, PageRequest, StoreError, TenantId};
use pg_schema::schema::{audit_events, outbox};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    PgTx,
    error::{store_error, unreadable},
};

impl Trail for PgTx {
    fn record(&mut self, event: NewEvent) -> Result<(), StoreError> {
        diesel::insert_into(audit_events::table)
            .values(EventRow::from(event))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn publish(&mut self, fact: Fact) -> Result<(), StoreError> {
        diesel::insert_into(outbox::table)
            .values((
                outbox::tenant_id.eq(fact.tenant_id.as_uuid()),
                outbox::id.eq(kernel::id::uuid_v7(fact.occurred_at)),
                outbox::topic.eq(fact.topic),
                outbox::key.eq(fact.key),
                outbox::payload.eq(fact.payload),
                outbox::occurred_at.eq(fact.occurred_at),
            ))
            .on_conflict_do_nothing()
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }
}

impl Store for PgTx {
    fn events(
        &mut self,
        tenant_id: TenantId,
        filter: &EventFilter,
        page: &PageRequest,
        after: Option<(OffsetDateTime, AuditEventId)>,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        let mut query = audit_events::table
            .select(EventRow::as_select())
            .filter(audit_events::tenant_id.eq(tenant_id.as_uuid()))
            .order((audit_events::created_at.desc(), audit_events::id.desc()))
            .limit(i64::from(page.limit) + 1)
            .into_boxed();
        if let Some(action) = &filter.action {
            query = match action.strip_suffix('*') {
                Some(prefix) => query.filter(audit_events::action.like(like_prefix(prefix))),
                None => query.filter(audit_events::action.eq(action)),
            };
        }
        if let Some(actor) = &filter.actor {
            query = query.filter(audit_events::actor_id.eq(actor));
        }
        if let Some(target) = &filter.target {
            query = query.filter(audit_events::target_id.eq(target));
        }
        if let Some(from) = filter.from {
            query = query.filter(audit_events::created_at.ge(from));
        }
        if let Some(to) = filter.to {
            query = query.filter(audit_events::created_at.lt(to));
        }
        if let Some((at, id)) = after {
            query = query.filter(
                audit_events::created_at.lt(at).or(audit_events::created_at
                    .eq(at)
                    .and(audit_events::id.lt(id.as_uuid()))),
            );
        }
        let rows = query.load(self.conn()).map_err(store_error)?;
        rows.into_iter().map(AuditEvent::try_from).collect()
    }
}

/// A `LIKE` pattern for what starts with `prefix`, whose own wildcards mean nothing.
fn like_prefix(prefix: &str) -> String {
    let escaped = prefix
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("{escaped}%")
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_events, check_for_backend(diesel::pg::Pg))]
struct EventRow {
    tenant_id: Uuid,
    id: Uuid,
    created_at: OffsetDateTime,
    action: String,
    crud: String,
    actor_type: String,
    actor_id: String,
    actor_name: String,
    target_type: String,
    target_id: String,
    target_name: String,
    description: Option<String>,
    project_id: Option<Uuid>,
    fields: Value,
    diff: Option<Value>,
    is_failure: bool,
    is_anonymous: bool,
    source_ip: Option<IpNetwork>,
    user_agent: Option<String>,
    request_id: Option<String>,
    source: String,
}

impl From<NewEvent> for EventRow {
    fn from(event: NewEvent) -> Self {
        let source = if event.actor.kind == "system" {
            "system"
        } else {
            "api"
        };
        Self {
            tenant_id: event.tenant_id.into(),
            id: event.id.into(),
            created_at: event.created_at,
            action: event.action.to_owned(),
            crud: event.crud.as_str().to_owned(),
            actor_type: event.actor.kind,
            actor_id: event.actor.id,
            actor_name: event.actor.name,
            target_type: event.target.kind,
            target_id: event.target.id,
            target_name: event.target.name,
            description: event.description,
            project_id: event.project_id.map(Into::into),
            fields: serde_json::json!(event.fields),
            diff: event.diff,
            is_failure: event.is_failure,
            is_anonymous: event.is_anonymous,
            source_ip: event.source_ip.map(IpNetwork::from),
            user_agent: event.user_agent,
            request_id: event.request_id,
            source: source.to_owned(),
        }
    }
}

impl TryFrom<EventRow> for AuditEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            action: row.action,
            crud: Crud::parse(&row.crud).ok_or_else(|| unreadable("crud", &row.crud))?,
            actor: Actor {
                kind: row.actor_type,
                id: row.actor_id,
                name: row.actor_name,
            },
            target: Target {
                kind: row.target_type,
                id: row.target_id,
                name: row.target_name,
            },
            description: row.description,
            project_id: row.project_id.map(Into::into),
            fields: row.fields,
            diff: row.diff,
            is_failure: row.is_failure,
            is_anonymous: row.is_anonymous,
            source_ip: row.source_ip.map(|network| network.ip()),
            user_agent: row.user_agent,
            request_id: row.request_id,
            created_at: row.created_at,
        })
    }
}
