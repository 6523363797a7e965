//! Everything that a handler may call. Built by the binary, shared by all workers.

use std::{net::IpAddr, sync::Arc};

use app::idempotency::Idempotency;

use crate::{caller::Authenticator, health::Database, metrics::Metrics, rate_limit::RateLimits};

/// What the deployment decides about the API.
#[derive(Clone)]
pub struct Settings {
    /// Show invitation tokens in answers. For development: elsewhere they leave by mail only.
    pub expose_invitation_tokens: bool,
    /// Bytes that a body may have.
    pub max_body_bytes: usize,
    /// Whose `X-Forwarded-For` is believed.
    pub trusts_proxy: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

/// The façades of the domains, and what the edge itself needs.
#[derive(Clone)]
pub struct Services {
    /// Tenants, members, invitations, projects.
    pub tenancy: tenancy::Tenancy,
    /// Log-in, sessions and API keys.
    pub identity: identity::Identity,
    /// Who makes a request.
    pub authenticator: Authenticator,
    /// The public keys of the built-in issuer: a JSON Web Key Set, empty when there is none.
    pub published_keys: serde_json::Value,
    /// Events, usage and meters.
    pub usage: usage::Usage,
    /// Plans, subscriptions, entitlements, resources, reservations, invoices.
    pub billing: billing::Billing,
    /// The audit trail.
    pub audit: audit::Audit,
    /// Use cases over several domains: registration, first sight, off-boarding.
    pub app: app::App,
    /// `Idempotency-Key`s.
    pub idempotency: Idempotency,
    /// Health of the database.
    pub database: Arc<dyn Database>,
    /// How fast callers may be.
    pub limits: RateLimits,
    /// Counters.
    pub metrics: Metrics,
    /// What the deployment decides.
    pub settings: Settings,
}
