//! The façade that the API holds.

use std::sync::Arc;

use kernel::{
    AuditEventId, Denied, FieldError, Page, PageRequest, Permission, Principal, Scope, StoreError,
    UnitOfWork, page, text,
};

use crate::{AuditEvent, EventFilter, Store};

/// Why the trail was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadTrailError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A parameter breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the audit trail.
#[derive(Clone)]
pub struct Audit {
    db: Arc<dyn UnitOfWork<dyn Store>>,
}

impl Audit {
    /// A façade over `db`.
    #[must_use]
    pub fn new(db: Arc<dyn UnitOfWork<dyn Store>>) -> Self {
        Self { db }
    }

    /// A page of the tenant's events, newest first. Needs `audit.read`.
    ///
    /// # Errors
    /// See [`ReadTrailError`].
    pub async fn events(
        &self,
        by: &Principal,
        filter: EventFilter,
        page: PageRequest,
    ) -> Result<Page<AuditEvent>, ReadTrailError> {
        let tenant_id = by.may(&Permission::of("audit.read"))?;
        for (field, value) in [
            ("action", &filter.action),
            ("actor", &filter.actor),
            ("target", &filter.target),
        ] {
            text::check(field, value.as_deref().unwrap_or_default(), 255)?;
        }
        let after: Option<(i128, AuditEventId)> = page.key()?;
        let after = after
            .map(|(nanos, id)| page::instant(nanos).map(|at| (at, id)))
            .transpose()?;
        let limit = page.limit;
        let rows = self
            .db
            .run(Scope::of(by), move |store| {
                store.events(tenant_id, &filter, &page, after)
            })
            .await?;
        Ok(Page::from_rows(rows, limit, |event| {
            (event.created_at.unix_timestamp_nanos(), event.id)
        }))
    }
}
