//! `tenancy` on PostgreSQL: one file a noun, and the look-ups that come before a tenant in SQL functions.

mod invitations;
mod members;
mod projects;
mod roles;
mod tenants;

pub(crate) use tenants::has_tenant;
