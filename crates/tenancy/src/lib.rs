//! Tenants, and who belongs to them.
//!
//! | file | what is in it |
//! |---|---|
//! | [`slug`] | the name of a tenant or a project in a URL |
//! | [`tenant`] | the root of isolation: create, rename, and the states of its life |
//! | [`membership`] | a person in a tenant, with roles |
//! | [`role`] | what a role allows; the permission catalogue |
//! | [`invitation`] | asking a person to join; the token that proves it |
//! | [`project`] | sub-tenancy: projects and their environments |
//! | [`permissions`] | the codes that this domain asks for |
//! | [`ports`] | what it needs: [`Store`], split by noun, and [`Mailer`] |
//! | [`service`] | [`Tenancy`]: one method per use case |
//!
//! Invariants:
//! - A tenant that is in use has at least one active owner. The rule is checked here and by a deferred trigger.
//! - Members and pending invitations together never exceed `max_members`: both are counted under the tenant's lock.
//! - Nobody gives a role that allows more than they may do themselves.

pub mod invitation;
pub mod membership;
pub mod permissions;
pub mod ports;
pub mod project;
pub mod role;
pub mod service;
pub mod slug;
pub mod tenant;

pub use invitation::{Invitation, InvitationStatus, InvitationTokens};
pub use membership::{Member, Membership};
pub use ports::{
    InvitationStore, MailError, Mailer, MemberStore, Message, ProjectStore, Store, TenantStore,
};
pub use project::{Environment, EnvironmentKind, Project};
pub use role::{PermissionInfo, Role};
pub use service::Tenancy;
pub use slug::Slug;
pub use tenant::{Tenant, TenantKind};
