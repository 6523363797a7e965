//! An audit event, and how a use case makes one.

use std::{collections::BTreeMap, net::IpAddr};

use kernel::{AuditEventId, Principal, ProjectId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// What an action does to its target: Retraced's `crud`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Crud {
    /// Creates.
    #[serde(rename = "c")]
    Create,
    /// Reads.
    #[serde(rename = "r")]
    Read,
    /// Updates.
    #[serde(rename = "u")]
    Update,
    /// Deletes.
    #[serde(rename = "d")]
    Delete,
}

impl Crud {
    /// The letter that stores and clients see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Read => "r",
            Self::Update => "u",
            Self::Delete => "d",
        }
    }

    /// Reads the letter of [`Crud::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Create, Self::Read, Self::Update, Self::Delete]
            .into_iter()
            .find(|crud| crud.as_str() == text)
    }
}

/// Who did it. The name is a snapshot: it stays what it was when the event was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// `user`, `api_key`, `service_account`, `support`, `system` or `anonymous`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The principal's id.
    pub id: String,
    /// Its name at the time.
    pub name: String,
}

/// What it was done to. The name is a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The kind of thing, such as `project`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its name at the time.
    pub name: String,
}

impl Target {
    /// A thing of `kind`.
    pub fn new(kind: &str, id: impl ToString, name: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            id: id.to_string(),
            name: name.into(),
        }
    }
}

/// An event to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its id, made by the writer so that a retried write can be told from a second event.
    pub id: AuditEventId,
    /// Whose trail it belongs to.
    pub tenant_id: TenantId,
    /// What was done, such as `project.created`.
    pub action: &'static str,
    /// Create, read, update or delete.
    pub crud: Crud,
    /// Who did it.
    pub actor: Actor,
    /// What it was done to.
    pub target: Target,
    /// A sentence for people, when the action does not say enough.
    pub description: Option<String>,
    /// The project it happened in.
    pub project_id: Option<ProjectId>,
    /// Facts about it, as text. Never a secret.
    pub fields: BTreeMap<String, String>,
    /// What changed: `{field: [before, after]}`. Never a secret.
    pub diff: Option<Value>,
    /// Whether the action failed.
    pub is_failure: bool,
    /// Whether nobody had signed in.
    pub is_anonymous: bool,
    /// Address of the client.
    pub source_ip: Option<IpAddr>,
    /// `User-Agent` of the client.
    pub user_agent: Option<String>,
    /// `X-Request-ID` of the request.
    pub request_id: Option<String>,
    /// When.
    pub created_at: OffsetDateTime,
}

impl NewEvent {
    /// `by` did `action` to `target`, in `tenant_id`, at `now`.
    #[must_use]
    pub fn new(
        tenant_id: TenantId,
        action: &'static str,
        crud: Crud,
        target: Target,
        by: &Principal,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            id: AuditEventId::new(now),
            tenant_id,
            action,
            crud,
            actor: Actor {
                kind: by.kind.as_str().to_owned(),
                id: by.id.to_string(),
                name: by.name.clone(),
            },
            target,
            description: None,
            project_id: None,
            fields: BTreeMap::new(),
            diff: None,
            is_failure: false,
            is_anonymous: by.kind == kernel::PrincipalKind::Anonymous,
            source_ip: by.request.source_ip,
            user_agent: by.request.user_agent.clone(),
            request_id: Some(by.request.id.clone()).filter(|id| !id.is_empty()),
            created_at: now,
        }
    }

    /// Adds a fact.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl ToString) -> Self {
        self.fields.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds one changed field to the diff.
    #[must_use]
    pub fn changed(
        mut self,
        name: &str,
        before: impl Into<Value>,
        after: impl Into<Value>,
    ) -> Self {
        let change = Value::Array(vec![before.into(), after.into()]);
        match &mut self.diff {
            Some(Value::Object(diff)) => {
                diff.insert(name.to_owned(), change);
            }
            diff => *diff = Some(serde_json::json!({ name: change })),
        }
        self
    }

    /// Says in which project it happened.
    #[must_use]
    pub const fn in_project(mut self, project_id: ProjectId) -> Self {
        self.project_id = Some(project_id);
        self
    }
}

/// An event as the trail holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEvent {
    /// Its id.
    pub id: AuditEventId,
    /// Whose trail it belongs to.
    pub tenant_id: TenantId,
    /// What was done.
    pub action: String,
    /// Create, read, update or delete.
    pub crud: Crud,
    /// Who did it.
    pub actor: Actor,
    /// What it was done to.
    pub target: Target,
    /// A sentence for people.
    pub description: Option<String>,
    /// The project it happened in.
    pub project_id: Option<ProjectId>,
    /// Facts about it.
    pub fields: Value,
    /// What changed.
    pub diff: Option<Value>,
    /// Whether the action failed.
    pub is_failure: bool,
    /// Whether nobody had signed in.
    pub is_anonymous: bool,
    /// Address of the client.
    pub source_ip: Option<IpAddr>,
    /// `User-Agent` of the client.
    pub user_agent: Option<String>,
    /// `X-Request-ID` of the request.
    pub request_id: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}
