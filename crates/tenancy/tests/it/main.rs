//! Tenancy as an embedder uses it: the façade, over stores in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod memory;
mod memory_invitations;
mod memory_members;
mod memory_projects;
mod memory_tenants;
