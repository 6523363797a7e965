//! Who makes a request, in which tenant, with which permissions.
//!
//! A token or a key proves identity only. What its holder may do comes from the database, and arrives here as a [`Grant`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CommandRef, Permission, PermissionSet, ProjectId, TenantId, UserId};

/// The kinds of principal, as they are written in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// An API key.
    ApiKey,
    /// A machine identity of a tenant.
    ServiceAccount,
    /// An operator of the deployment.
    Support,
    /// Plinth itself: jobs and migrations.
    System,
    /// Nobody yet: a request that registers or logs in.
    Anonymous,
}

impl PrincipalKind {
    /// The kind as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::ServiceAccount => "service_account",
            Self::Support => "support",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }
}

/// Where a tenant stands in its life. The transitions are in `tenancy::tenant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Being set up.
    Provisioning,
    /// A shared demonstration, reset every night and never billed.
    Demo,
    /// Evaluates the product until its trial ends.
    Trial,
    /// In use.
    Active,
    /// An invoice is overdue: reads, does not write.
    PastDue,
    /// Cancelled or unpaid: reads, does not write, and is archived after 30 days.
    Frozen,
    /// Stopped by an operator: neither reads nor writes.
    Suspended,
    /// Closed: only its owner's export and its audit trail remain.
    Archived,
    /// Erased; the row is a tombstone.
    Deleted,
}

impl TenantStatus {
    /// Every status, in the order of a tenant's life.
    pub const ALL: [Self; 9] = [
        Self::Provisioning,
        Self::Demo,
        Self::Trial,
        Self::Active,
        Self::PastDue,
        Self::Frozen,
        Self::Suspended,
        Self::Archived,
        Self::Deleted,
    ];

    /// The status as the database and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Demo => "demo",
            Self::Trial => "trial",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Frozen => "frozen",
            Self::Suspended => "suspended",
            Self::Archived => "archived",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the text of [`TenantStatus::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the tenant's members may change things.
    #[must_use]
    pub const fn may_write(self) -> bool {
        matches!(
            self,
            Self::Provisioning | Self::Demo | Self::Trial | Self::Active
        )
    }

    /// Whether the tenant's members may read things.
    #[must_use]
    pub const fn may_read(self) -> bool {
        self.may_write() || matches!(self, Self::PastDue | Self::Frozen)
    }
}

/// What a principal may do in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Where the tenant stands.
    pub status: TenantStatus,
    /// Keys of the roles that gave the permissions, such as `owner`; empty for keys.
    pub roles: Vec<String>,
    /// What is allowed.
    pub permissions: PermissionSet,
    /// Set when the principal may only touch one project. See [`Grant::allows`].
    pub project_id: Option<ProjectId>,
}

impl Grant {
    /// Whether it holds this permission, for the whole tenant or for the one project that it is held to.
    #[must_use]
    pub fn allows(&self, permission: &Permission) -> bool {
        self.permissions.allows(permission)
            && (self.project_id.is_none() || IN_PROJECT.contains(permission))
    }
}

/// What a principal who is held to one project may do at all, whatever its scopes say: exactly what some use case narrows to the project.
///
/// A permission that is missing here acts on the whole tenant, and would make a key of one project a key of all: people, roles, money, the
/// trail, the tenant's limits and what counts against them. A project is neither made nor closed by its own keys, because how many there
/// are is the tenant's affair. What the host product guards (`dashboard`, `integration`, `secret`, `ticket`) is missing too: the answer of a
/// verification names no project, so nobody could narrow it. `meter.read` narrows nothing and stays: sending usage needs the names of the
/// meters, and they tell of no project; entitlements do, since what is used of them is counted over all projects.
const IN_PROJECT: [Permission; 10] = [
    Permission::of("api_key.create"),
    Permission::of("api_key.delete"),
    Permission::of("api_key.read"),
    Permission::of("api_key.write"),
    Permission::of("meter.read"),
    Permission::of("project.read"),
    Permission::of("project.write"),
    Permission::of("usage.backfill"),
    Permission::of("usage.read"),
    Permission::of("usage.write"),
];

/// What [`Grant::allows`] leaves of `held` for a principal that is held to `project_id`.
#[must_use]
pub fn allowed(held: PermissionSet, project_id: Option<ProjectId>) -> PermissionSet {
    match project_id {
        None => held,
        Some(_) => held.intersection(&IN_PROJECT.into_iter().collect()),
    }
}

/// What is known about the request itself. Goes into the audit trail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// `X-Request-ID`: 1 to 128 of `A-Z a-z 0-9 . _ -`.
    pub id: String,
    /// Address of the client.
    pub source_ip: Option<std::net::IpAddr>,
    /// `User-Agent`, cut to 255 characters.
    pub user_agent: Option<String>,
    /// Set when the request came with an `Idempotency-Key`: the commit marks it as carried out.
    pub command: Option<CommandRef>,
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What it is.
    pub kind: PrincipalKind,
    /// Its id: of the user, the key or the service account; nil for the system and for nobody.
    pub id: Uuid,
    /// A name for people: an e-mail address, a key's name.
    pub name: String,
    /// The person behind it: the user, or the one who created the key.
    pub user_id: Option<UserId>,
    /// What it may do in the tenant of this request; `None` when the request has no tenant.
    pub grant: Option<Grant>,
    /// Permissions over the whole deployment, for operators. They never replace a grant in a tenant.
    pub global: PermissionSet,
    /// The request.
    pub request: RequestInfo,
}

impl Principal {
    /// Plinth itself, acting in `tenant_id` when one is given: everything is allowed.
    #[must_use]
    pub fn system(job: &str, tenant_id: Option<TenantId>) -> Self {
        let everything: PermissionSet = [Permission::of("*")].into_iter().collect();
        Self {
            kind: PrincipalKind::System,
            id: Uuid::nil(),
            name: job.to_owned(),
            user_id: None,
            grant: tenant_id.map(|tenant_id| Grant {
                tenant_id,
                status: TenantStatus::Active,
                roles: Vec::new(),
                permissions: everything.clone(),
                project_id: None,
            }),
            global: everything,
            request: RequestInfo::default(),
        }
    }

    /// Somebody who has not shown who they are.
    #[must_use]
    pub fn anonymous(request: RequestInfo) -> Self {
        Self {
            kind: PrincipalKind::Anonymous,
            id: Uuid::nil(),
            name: "anonymous".to_owned(),
            user_id: None,
            grant: None,
            global: PermissionSet::default(),
            request,
        }
    }

    /// The tenant of this request.
    ///
    /// # Errors
    /// [`Denied::NoTenant`] when the request has none.
    pub fn tenant_id(&self) -> Result<TenantId, Denied> {
        self.grant
            .as_ref()
            .map(|grant| grant.tenant_id)
            .ok_or(Denied::NoTenant)
    }

    /// The person behind the request.
    ///
    /// # Errors
    /// [`Denied::NotAUser`] for keys without one and for the system.
    pub fn user(&self) -> Result<UserId, Denied> {
        self.user_id.ok_or(Denied::NotAUser)
    }

    /// Demands a permission in the tenant of this request, and that the tenant's status admits it.
    /// Every use case starts with this, so API, worker and embedders are held to the same rule.
    ///
    /// # Errors
    /// [`Denied::NoTenant`], [`Denied::Forbidden`] or [`Denied::ReadOnly`].
    pub fn may(&self, permission: &Permission) -> Result<TenantId, Denied> {
        let grant = self.grant.as_ref().ok_or(Denied::NoTenant)?;
        if !grant.allows(permission) {
            return Err(Denied::Forbidden {
                required: permission.clone(),
            });
        }
        let open = if permission.is_read() {
            // The trail outlives the tenant.
            let trail =
                grant.status == TenantStatus::Archived && permission.as_str() == "audit.read";
            grant.status.may_read() || trail
        } else {
            grant.status.may_write()
        };
        if open {
            Ok(grant.tenant_id)
        } else {
            Err(Denied::ReadOnly {
                status: grant.status,
            })
        }
    }

    /// Demands that the tenant of this request is open to changes, whatever the principal's permissions: for what anybody may do about
    /// themselves.
    ///
    /// # Errors
    /// [`Denied::NoTenant`] or [`Denied::ReadOnly`].
    pub fn may_change_themselves(&self) -> Result<TenantId, Denied> {
        let grant = self.grant.as_ref().ok_or(Denied::NoTenant)?;
        if grant.status.may_write() {
            Ok(grant.tenant_id)
        } else {
            Err(Denied::ReadOnly {
                status: grant.status,
            })
        }
    }

    /// Demands a permission over the whole deployment.
    ///
    /// # Errors
    /// [`Denied::Forbidden`].
    pub fn may_globally(&self, permission: &Permission) -> Result<(), Denied> {
        if self.global.allows(permission) {
            Ok(())
        } else {
            Err(Denied::Forbidden {
                required: permission.clone(),
            })
        }
    }
}

/// Why a principal may not do a thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request names no tenant, and none could be chosen.
    #[error("the request has no tenant: name one in X-Tenant-ID")]
    NoTenant,
    /// Only a person may do this.
    #[error("only a user may do this")]
    NotAUser,
    /// The permission is missing.
    #[error("this needs the permission {required}")]
    Forbidden {
        /// The missing permission.
        required: Permission,
    },
    /// The tenant's status does not admit it.
    #[error("the tenant is {}", status.as_str())]
    ReadOnly {
        /// The tenant's status.
        status: TenantStatus,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(status: TenantStatus, codes: &[&'static str]) -> Principal {
        let mut principal = Principal::anonymous(RequestInfo::default());
        principal.grant = Some(Grant {
            tenant_id: TenantId::from(Uuid::nil()),
            status,
            roles: vec![],
            permissions: codes.iter().map(|code| Permission::of(code)).collect(),
            project_id: None,
        });
        principal
    }

    #[test]
    fn a_frozen_tenant_reads_and_does_not_write() {
        let frozen = member(TenantStatus::Frozen, &["*"]);
        assert!(frozen.may(&Permission::of("project.read")).is_ok());
        assert_eq!(
            frozen.may(&Permission::of("project.create")),
            Err(Denied::ReadOnly {
                status: TenantStatus::Frozen
            })
        );
    }

    #[test]
    fn an_archived_tenant_keeps_its_audit_trail() {
        let archived = member(TenantStatus::Archived, &["*"]);
        assert!(archived.may(&Permission::of("audit.read")).is_ok());
        let suspended = member(TenantStatus::Suspended, &["*"]);
        assert!(suspended.may(&Permission::of("audit.read")).is_err());
        assert!(archived.may(&Permission::of("project.read")).is_err());
    }

    #[test]
    fn a_missing_permission_is_named() {
        let viewer = member(TenantStatus::Active, &["*.read"]);
        let required = Permission::of("project.create");
        assert_eq!(viewer.may(&required), Err(Denied::Forbidden { required }));
    }

    #[test]
    fn whoever_is_held_to_a_project_does_nothing_to_the_tenant() {
        let mut key = member(TenantStatus::Active, &["*"]);
        key.grant.as_mut().unwrap().project_id = Some(ProjectId::from(Uuid::nil()));
        for code in [
            "project.read",
            "usage.write",
            "api_key.create",
            "meter.read",
        ] {
            assert!(key.may(&Permission::of(code)).is_ok(), "{code}");
        }
        for code in [
            "user.invite",
            "member.read",
            "audit.read",
            "billing.read",
            "tenant.delete",
            "project.create",
            "project.delete",
            "resource.read",
            "entitlement.read",
            "meter.write",
            "secret.read",
            "*",
            "project.*",
        ] {
            let required = Permission::of(code);
            assert_eq!(key.may(&required), Err(Denied::Forbidden { required }));
        }
    }

    #[test]
    fn a_project_narrows_wildcards_to_what_it_allows() {
        let project_id = Some(ProjectId::from(Uuid::nil()));
        let held = |codes: &[&'static str]| codes.iter().map(|code| Permission::of(code)).collect();
        assert_eq!(
            allowed(
                held(&["project.*", "billing.read", "usage.read"]),
                project_id
            ),
            held(&["project.read", "project.write", "usage.read"])
        );
        assert_eq!(allowed(held(&["*"]), None), held(&["*"]));
    }

    #[test]
    fn status_text_round_trips() {
        for status in TenantStatus::ALL {
            assert_eq!(TenantStatus::parse(status.as_str()), Some(status));
        }
    }
}
