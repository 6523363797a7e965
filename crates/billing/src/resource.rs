//! The host product's own counted things: agents, workflows, dashboards, whatever it calls them. Each kind is held against the
//! entitlement `max_<kind>`, and is taken in the transaction that adds it, so that there is never one too many.

use audit::{Crud, NewEvent, Target};
use kernel::{
    Denied, FieldError, LimitReached, Page, PageRequest, Principal, StoreError, TenantId, text,
};
use time::OffsetDateTime;

use crate::{
    Store, permissions,
    take::{self, TakeError},
};

/// Kinds that Plinth counts itself: nobody registers a member from outside.
const COUNTED_ELSEWHERE: [&str; 2] = ["members", "projects"];

/// A kind of counted thing: `[a-z][a-z0-9_]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceKind(String);

impl ResourceKind {
    /// Parses a kind.
    ///
    /// # Errors
    /// `invalid_kind` on `kind`; `reserved_kind` for what Plinth counts itself.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let ok = text.len() <= 63
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !ok {
            let message = "must be 1 to 63 of a-z, 0-9 and _, starting with a letter";
            return Err(FieldError::new("kind", "invalid_kind", message));
        }
        if COUNTED_ELSEWHERE.contains(&text) {
            let message = "is counted by its own routes";
            return Err(FieldError::new("kind", "reserved_kind", message));
        }
        Ok(Self(text.to_owned()))
    }

    /// The kind as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Key of the entitlement that limits it.
    #[must_use]
    pub fn limit(&self) -> String {
        format!("max_{}", self.0)
    }
}

/// The kind that an entitlement limits, when it limits a kind that is registered from outside.
#[must_use]
pub fn kind_of_limit(key: &str) -> Option<&str> {
    key.strip_prefix("max_")
        .filter(|kind| !COUNTED_ELSEWHERE.contains(kind))
}

/// The host product's name for one thing: 1 to 255 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalId(String);

impl ExternalId {
    /// Parses a name.
    ///
    /// # Errors
    /// `required`, `too_long` or `control_character` on `external_id`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        if text.is_empty() {
            return Err(FieldError::new(
                "external_id",
                "required",
                "must not be empty",
            ));
        }
        text::check("external_id", text, 255)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One counted thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its kind.
    pub kind: String,
    /// The host product's name for it, unique within the kind.
    pub external_id: String,
    /// When it was registered.
    pub created_at: OffsetDateTime,
}

/// Whether a thing was registered or was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Created {
        /// The thing.
        resource: Resource,
        /// Whether the limit, which lets more through, is exceeded.
        is_over: bool,
    },
    /// It was there: nothing was written.
    Unchanged(Resource),
}

/// Why a thing was not registered.
#[derive(Debug, thiserror::Error)]
pub enum PutResourceError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The plan's limit is reached.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TakeError> for PutResourceError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Limit(limit) => Self::Limit(limit),
            // No plan and no override grants things as a switch or a value.
            TakeError::NotCounted(_) => StoreError::Unexpected(error.to_string()).into(),
            TakeError::Store(error) => Self::Store(error),
        }
    }
}

/// Why a thing was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveResourceError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no such thing.
    #[error("there is no such resource")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why things were not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListResourcesError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The cursor belongs to another list.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Registers a thing, within the plan's limit. Registering it again is nothing. Needs `resource.write`.
///
/// # Errors
/// See [`PutResourceError`].
pub fn put(
    store: &mut dyn Store,
    kind: &ResourceKind,
    external_id: &ExternalId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Put, PutResourceError> {
    let tenant_id = by.may(&permissions::RESOURCE_WRITE)?;
    // Most calls say again what is known, and need no turn at the lock.
    if let Some(there) = store.resource(tenant_id, kind.as_str(), external_id.as_str())? {
        return Ok(Put::Unchanged(there));
    }
    let limit = kind.limit();
    store.lock_tenant(tenant_id)?;
    if let Some(there) = store.resource(tenant_id, kind.as_str(), external_id.as_str())? {
        return Ok(Put::Unchanged(there));
    }
    let admitted = take::admit(store, tenant_id, &limit, 1, now)?;
    let resource = Resource {
        tenant_id,
        kind: kind.as_str().to_owned(),
        external_id: external_id.as_str().to_owned(),
        created_at: now,
    };
    store.insert_resource(&resource)?;
    let target = Target::new(kind.as_str(), external_id.as_str(), external_id.as_str());
    store.record(NewEvent::new(
        tenant_id,
        "resource.created",
        Crud::Create,
        target,
        by,
        now,
    ))?;
    Ok(Put::Created {
        resource,
        is_over: admitted.is_over,
    })
}

/// Removes a thing, and gives its place free. Needs `resource.write`.
///
/// # Errors
/// See [`RemoveResourceError`].
pub fn remove(
    store: &mut dyn Store,
    kind: &ResourceKind,
    external_id: &ExternalId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(), RemoveResourceError> {
    let tenant_id = by.may(&permissions::RESOURCE_WRITE)?;
    if !store.delete_resource(tenant_id, kind.as_str(), external_id.as_str())? {
        return Err(RemoveResourceError::NotFound);
    }
    let target = Target::new(kind.as_str(), external_id.as_str(), external_id.as_str());
    store.record(NewEvent::new(
        tenant_id,
        "resource.deleted",
        Crud::Delete,
        target,
        by,
        now,
    ))?;
    Ok(())
}

/// A page of the things of one kind, by name. Needs `resource.read`.
///
/// # Errors
/// See [`ListResourcesError`].
pub fn list(
    store: &mut dyn Store,
    kind: &ResourceKind,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<Resource>, ListResourcesError> {
    let tenant_id = by.may(&permissions::RESOURCE_READ)?;
    let after: Option<String> = page.key()?;
    if after
        .as_deref()
        .is_some_and(|name| ExternalId::parse(name).is_err())
    {
        return Err(FieldError::new(
            "cursor",
            "invalid_cursor",
            "must be a next_cursor that this list gave",
        )
        .into());
    }
    let rows = store.resources(tenant_id, kind.as_str(), page, after.as_deref())?;
    Ok(Page::from_rows(rows, page.limit, |row| {
        row.external_id.clone()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words() {
        assert_eq!(ResourceKind::parse("agents").unwrap().limit(), "max_agents");
        assert!(ResourceKind::parse(&"a".repeat(63)).is_ok());
        for text in [
            "",
            "Agents",
            "1st",
            "a-b",
            "_a",
            "a b",
            "a\0",
            &"a".repeat(64),
        ] {
            assert_eq!(
                ResourceKind::parse(text).unwrap_err().code,
                "invalid_kind",
                "{text}"
            );
        }
        assert_eq!(
            ResourceKind::parse("members").unwrap_err().code,
            "reserved_kind"
        );
        assert_eq!(kind_of_limit("max_agents"), Some("agents"));
        assert_eq!(kind_of_limit("max_projects"), None);
        assert_eq!(kind_of_limit("tasks_per_month"), None);
    }

    #[test]
    fn names_of_things_are_bounded() {
        assert!(ExternalId::parse("agt/1 é").is_ok());
        assert!(ExternalId::parse(&"é".repeat(255)).is_ok());
        assert_eq!(
            ExternalId::parse(&"é".repeat(256)).unwrap_err().code,
            "too_long"
        );
        assert_eq!(ExternalId::parse("").unwrap_err().code, "required");
        assert_eq!(
            ExternalId::parse("a\0").unwrap_err().code,
            "control_character"
        );
    }
}
