//! What the use cases of this domain demand.

use kernel::Permission;

/// Reads the subscription and the invoices.
pub const BILLING_READ: Permission = Permission::of("billing.read");
/// Changes the subscription.
pub const BILLING_WRITE: Permission = Permission::of("billing.write");
/// Reads what the plan allows and how much of it is used.
pub const ENTITLEMENT_READ: Permission = Permission::of("entitlement.read");
/// Lists counted things.
pub const RESOURCE_READ: Permission = Permission::of("resource.read");
/// Adds and removes counted things, and reserves quota.
pub const RESOURCE_WRITE: Permission = Permission::of("resource.write");
/// Gives tenants what their plan does not. Over the deployment: in a tenant it allows nothing.
pub const ENTITLEMENT_OVERRIDE: Permission = Permission::of("entitlement.override");
