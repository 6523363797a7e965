//! The REST API over HTTP: the production wiring on a database of its own, one file a resource.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop"
)]

extern crate plinth_rest as rest;

mod billing_entitlements;
mod billing_invoices;
mod billing_limits;
mod billing_overrides;
mod billing_plans;
mod billing_resources;
mod errors;
mod harness;
mod idempotency;
mod identity_api_keys;
mod identity_auth;
mod identity_client;
mod identity_issuers;
mod identity_key_ends;
mod identity_project_keys;
mod identity_tenant;
mod input;
mod invitation_accept;
mod invitations;
mod isolation;
mod members;
mod openapi;
mod openapi_matrix;
mod projects;
mod tenants;
mod usage_dimensions;
mod usage_events;
mod usage_meters;
mod usage_raw;
mod usage_reads;
