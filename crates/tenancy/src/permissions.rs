//! The codes that this domain asks for. `GET /v1/permissions` lists them all, in words.

use kernel::Permission;

/// Read the tenant.
pub const TENANT_READ: Permission = Permission::of("tenant.read");
/// Rename the tenant and change its settings.
pub const TENANT_WRITE: Permission = Permission::of("tenant.write");
/// Archive the tenant.
pub const TENANT_DELETE: Permission = Permission::of("tenant.delete");
/// Invite people.
pub const USER_INVITE: Permission = Permission::of("user.invite");
/// Remove people.
pub const USER_REMOVE: Permission = Permission::of("user.remove");
/// List members and invitations.
pub const MEMBER_READ: Permission = Permission::of("member.read");
/// Change the roles of members.
pub const MEMBER_WRITE: Permission = Permission::of("member.write");
/// List roles.
pub const ROLE_READ: Permission = Permission::of("role.read");
/// Create projects.
pub const PROJECT_CREATE: Permission = Permission::of("project.create");
/// Read projects and environments.
pub const PROJECT_READ: Permission = Permission::of("project.read");
/// Change projects and environments.
pub const PROJECT_WRITE: Permission = Permission::of("project.write");
/// Archive projects.
pub const PROJECT_DELETE: Permission = Permission::of("project.delete");
/// For operators: change the state of any tenant. Held through a role over the whole deployment.
pub const ADMIN_TENANTS: Permission = Permission::of("tenant.admin");
