//! A measured fact, and what makes two of them one.

use std::borrow::Cow;

use kernel::{ProjectId, Quantity};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Metadata, key,
    reading::{self, Fields},
};

/// The source of plain events that do not name one.
pub const DEFAULT_SOURCE: &str = "plinth";
/// Bytes that an id, a source, a user or a model may have.
pub const MAX_TEXT: usize = 255;

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// A stable code, such as `usage.unknown_metric`.
    pub code: &'static str,
    /// The field that breaks the rule, as the client spells it.
    pub field: Cow<'static, str>,
    /// The rule in words.
    pub message: &'static str,
}

impl Rejection {
    /// `field` breaks the rule `code`.
    pub fn new(
        code: &'static str,
        field: impl Into<Cow<'static, str>>,
        message: &'static str,
    ) -> Self {
        Self {
            code,
            field: field.into(),
            message,
        }
    }

    /// `usage.invalid_field`: the field has the wrong shape.
    pub fn field(field: impl Into<Cow<'static, str>>, message: &'static str) -> Self {
        Self::new("usage.invalid_field", field, message)
    }
}

/// An event that is well-formed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Who made the id. Events are one when source and id are the same.
    pub source: String,
    /// The id that the sender gave it, and gives it again when it sends it again.
    pub id: String,
    /// Key of the meter.
    pub metric: String,
    /// How much; one when it does not say.
    pub quantity: Quantity,
    /// When it happened; when it is received, if it does not say.
    pub occurred_at: Option<OffsetDateTime>,
    /// In which project.
    pub project_id: Option<ProjectId>,
    /// By whom: the sender's own name for a user.
    pub user_id: Option<String>,
    /// With which model.
    pub model: Option<String>,
    /// Whatever else the sender says.
    pub metadata: Metadata,
}

/// One event of a request: well-formed, or refused already; with its id as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The id, for the answer.
    pub id: Option<String>,
    /// The event.
    pub event: Result<NewEvent, Rejection>,
}

impl From<NewEvent> for Item {
    fn from(event: NewEvent) -> Self {
        Self {
            id: Some(event.id.clone()),
            event: Ok(event),
        }
    }
}

impl Item {
    /// Reads `{id, metric, quantity?, occurred_at?, source?, user_id?, project_id?, model?, metadata?}`.
    #[must_use]
    pub fn parse_plain(text: &str) -> Self {
        Self::parse(text, reading::plain)
    }

    /// Reads a CloudEvent 1.0 in its JSON form.
    #[must_use]
    pub fn parse_cloud_event(text: &str) -> Self {
        Self::parse(text, reading::cloud_event)
    }

    fn parse(text: &str, read: fn(Fields<'_>) -> Result<NewEvent, Rejection>) -> Self {
        let fields: Fields<'_> = match serde_json::from_str(text) {
            Ok(fields) => fields,
            Err(_) => {
                let refused = Rejection::new("usage.malformed", "", "must be a JSON object");
                return Self {
                    id: None,
                    event: Err(refused),
                };
            }
        };
        let id = fields.readable_id();
        let event = read(fields);
        Self { id, event }
    }
}

impl NewEvent {
    /// What makes two events one, made of source and id alone: `key::of`.
    #[must_use]
    pub fn dedup(&self) -> Uuid {
        key::of(&self.source, &self.id)
    }

    /// Tells a replay from another fact under the same id: 128 bits of SHA-256 over everything else that the sender said.
    #[must_use]
    pub fn payload_hash(&self) -> Uuid {
        let occurred_at = self
            .occurred_at
            .map(|at| at.unix_timestamp_nanos().to_string());
        let project_id = self.project_id.map(|id| id.to_string());
        key::digest([
            self.metric.as_str(),
            &self.quantity.to_string(),
            occurred_at.as_deref().unwrap_or_default(),
            project_id.as_deref().unwrap_or_default(),
            self.user_id.as_deref().unwrap_or_default(),
            self.model.as_deref().unwrap_or_default(),
            self.metadata.as_json().unwrap_or_default(),
        ])
    }
}
