//! Everything that a handler may call. Built by the binary, shared by all workers.

use std::sync::Arc;

use app::idempotency::Idempotency;

use crate::{health::Database, metrics::Metrics};

/// What the deployment decides about the API.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Show invitation tokens in answers. For development: elsewhere they leave by mail only.
    pub expose_invitation_tokens: bool,
    /// Take the client's address from the last entry of `X-Forwarded-For`.
    pub trust_proxy: bool,
}

/// The façades of the domains, and what the edge itself needs.
#[derive(Clone)]
pub struct Services {
    /// Tenants, members, invitations, projects.
    pub tenancy: tenancy::Tenancy,
    /// The audit trail.
    pub audit: audit::Audit,
    /// Use cases over several domains: registration, first sight, off-boarding.
    pub app: app::App,
    /// `Idempotency-Key`s.
    pub idempotency: Idempotency,
    /// Health of the database.
    pub database: Arc<dyn Database>,
    /// Counters.
    pub metrics: Metrics,
    /// What the deployment decides.
    pub settings: Settings,
}
