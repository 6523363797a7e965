//! Tenants, memberships, invitations, roles, projects and environments.
