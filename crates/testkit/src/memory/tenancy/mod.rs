//! Tenancy in memory, one file a port as in `plinth-pg`.

mod invitations;
mod members;
mod projects;
mod roles;
mod tenants;

use std::collections::BTreeMap;

use kernel::{EnvironmentId, InvitationId, ProjectId, TenantId, UserId};
use tenancy::{Environment, Invitation, Project, Role, Tenant};
use time::OffsetDateTime;

pub(super) use self::members::{MemberRow, Standing};

#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) tenants: BTreeMap<TenantId, Tenant>,
    /// Since when a tenant's status is what it is.
    pub(super) status_since: BTreeMap<TenantId, OffsetDateTime>,
    /// When a tenant's trial ends.
    pub(super) trial_ends: BTreeMap<TenantId, OffsetDateTime>,
    /// When a tenant gave a slug up.
    released_slugs: BTreeMap<(TenantId, String), OffsetDateTime>,
    /// What a tenant is called elsewhere: kind and name.
    pub(super) external_refs: BTreeMap<(String, String), TenantId>,
    pub(super) custom_roles: BTreeMap<(TenantId, String), Role>,
    pub(super) memberships: BTreeMap<(TenantId, UserId), MemberRow>,
    invitations: BTreeMap<(TenantId, InvitationId), Invitation>,
    pub(super) projects: BTreeMap<(TenantId, ProjectId), Project>,
    pub(super) environments: BTreeMap<(TenantId, EnvironmentId), Environment>,
}
