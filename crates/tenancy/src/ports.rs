//! What this domain needs from a store, split by noun, and from a mail service.
//!
//! Every method of a store runs inside the caller's transaction, in the scope of one tenant unless it says otherwise. What belongs to another
//! tenant is not there: it is not found, and to change it changes nothing and is no error; to add to it is one.

use kernel::{
    Allowance, BoxFuture, EnvironmentId, InvitationId, ProjectId, StoreError, TenantId, UserId,
};
use time::OffsetDateTime;

use crate::{
    Environment, Invitation, Member, Membership, PermissionInfo, Project, Role, Slug, Tenant,
};

/// Tenants.
pub trait TenantStore: audit::Trail {
    /// Adds a tenant. MUST fail with a conflict on `tenants_slug_key` when the slug is in use.
    ///
    /// # Errors
    /// [`StoreError`].
    fn insert_tenant(&mut self, tenant: &Tenant) -> Result<(), StoreError>;

    /// The tenant in scope; `None` when it does not exist or is deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tenant(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError>;

    /// As [`TenantStore::tenant`]. MUST lock the tenant until the transaction ends, so that those who count or change its parts take turns.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tenant_for_update(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError>;

    /// Writes name, slug, time zone and version.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict on `tenants_slug_key` when the slug is in use.
    fn update_tenant(&mut self, tenant: &Tenant) -> Result<(), StoreError>;

    /// Writes status, reason and version.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_tenant_status(&mut self, tenant: &Tenant, now: OffsetDateTime)
    -> Result<(), StoreError>;

    /// Whether `tenant` may take `slug`: no other tenant has it, or gave it up less than 90 days ago. Looks beyond the scope.
    ///
    /// # Errors
    /// [`StoreError`].
    fn slug_is_free(&mut self, slug: &Slug, tenant: TenantId) -> Result<bool, StoreError>;

    /// Remembers a slug that the tenant gives up.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release_slug(
        &mut self,
        id: TenantId,
        slug: &Slug,
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// For operators: tenants of the deployment behind `after`, by id, at most `limit + 1`. Looks beyond the scope.
    ///
    /// # Errors
    /// [`StoreError`].
    fn all_tenants(
        &mut self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError>;
}

/// Members and roles.
///
/// A transaction that takes a member or a role from a tenant in use, and leaves it without an active owner, MUST fail with a conflict on
/// `tenant_has_an_owner` when it commits. It may pass through such a state.
pub trait MemberStore: audit::Trail {
    /// Every tenant that `user` is an active member of and that is not deleted, oldest membership first. Looks beyond the scope's tenant, and
    /// MUST find nothing for anybody but the scope's own person.
    ///
    /// # Errors
    /// [`StoreError`].
    fn memberships_of(&mut self, user: UserId) -> Result<Vec<Membership>, StoreError>;

    /// Makes `user` an active member with exactly these roles, whatever they were before.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict on `memberships_user_id_fkey` when there is no such person.
    fn put_membership(
        &mut self,
        tenant_id: TenantId,
        user: UserId,
        roles: &[String],
        invited_by: Option<UserId>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// A member who was not removed.
    ///
    /// # Errors
    /// [`StoreError`].
    fn member(&mut self, tenant_id: TenantId, user: UserId) -> Result<Option<Member>, StoreError>;

    /// Members who were not removed, suspended ones included, behind `after`, by id, at most `limit + 1`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn members(
        &mut self,
        tenant_id: TenantId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError>;

    /// Whether a person with this address (in lower case) is a member who was not removed.
    ///
    /// # Errors
    /// [`StoreError`].
    fn is_member(&mut self, tenant_id: TenantId, email: &str) -> Result<bool, StoreError>;

    /// Active members with the role `owner`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn count_owners(&mut self, tenant_id: TenantId) -> Result<i64, StoreError>;

    /// Gives a member exactly these roles.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict on `membership_roles_tenant_id_user_id_fkey` when the person never was one.
    fn set_member_roles(
        &mut self,
        tenant_id: TenantId,
        user: UserId,
        roles: &[String],
    ) -> Result<(), StoreError>;

    /// Removes a member and their roles. The row stays as a tombstone, so that a late message cannot bring them back.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove_membership(&mut self, tenant_id: TenantId, user: UserId) -> Result<(), StoreError>;

    /// A role of the system or of the tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    fn role(&mut self, tenant_id: TenantId, key: &str) -> Result<Option<Role>, StoreError>;

    /// The roles that can be given in the tenant: those of the system but for the global ones, and its own. By key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn roles(&mut self, tenant_id: TenantId) -> Result<Vec<Role>, StoreError>;

    /// Every permission code, by code.
    ///
    /// # Errors
    /// [`StoreError`].
    fn permission_catalogue(&mut self) -> Result<Vec<PermissionInfo>, StoreError>;
}

/// Invitations.
pub trait InvitationStore: audit::Trail {
    /// What the plan allows of members, and how many there are: active members and pending invitations that are not over at `now`.
    /// MUST lock the tenant until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    fn seats(
        &mut self,
        tenant_id: TenantId,
        now: OffsetDateTime,
    ) -> Result<(Allowance, i64), StoreError>;

    /// A seat was taken, in this transaction and under the lock of [`InvitationStore::seats`]: what follows from the use of the limit, such
    /// as others being told that it is nearly reached, MUST commit with it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn seat_taken(&mut self, tenant_id: TenantId, now: OffsetDateTime) -> Result<(), StoreError>;

    /// Adds an invitation. MUST fail with a conflict on `invitations_pending_key` when the address has a pending one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn insert_invitation(&mut self, invitation: &Invitation) -> Result<(), StoreError>;

    /// The tenant that an invitation invites to. Looks beyond the scope.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tenant_of_invitation(&mut self, id: InvitationId) -> Result<Option<TenantId>, StoreError>;

    /// An invitation of the tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    fn invitation(
        &mut self,
        tenant_id: TenantId,
        id: InvitationId,
    ) -> Result<Option<Invitation>, StoreError>;

    /// Invitations of the tenant before `before`, newest first, at most `limit + 1`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn invitations(
        &mut self,
        tenant_id: TenantId,
        before: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError>;

    /// Writes status, sends, deadline and who accepted.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict on `invitations_pending_key` when it becomes pending again and the address has another pending one.
    fn update_invitation(
        &mut self,
        invitation: &Invitation,
        now: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Marks a pending invitation to `email` whose deadline has passed as expired. Says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn expire_invitation_to(
        &mut self,
        tenant_id: TenantId,
        email: &str,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError>;
}

/// Projects and environments.
pub trait ProjectStore: audit::Trail {
    /// What the plan allows of projects, and how many there are: not archived, the default one left out.
    /// MUST lock the tenant until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    fn project_allowance(&mut self, tenant_id: TenantId) -> Result<(Allowance, i64), StoreError>;

    /// A project was added, in this transaction and under the lock of [`ProjectStore::project_allowance`]. As
    /// [`InvitationStore::seat_taken`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn project_taken(&mut self, tenant_id: TenantId, now: OffsetDateTime)
    -> Result<(), StoreError>;

    /// Adds a project, which is open whatever it says. MUST fail with a conflict on `projects_tenant_id_slug_key` when the slug is in use in
    /// the tenant, by an archived project too, and on `projects_default_key` when it is a second default one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn insert_project(&mut self, project: &Project) -> Result<(), StoreError>;

    /// A project of the tenant, archived or not.
    ///
    /// # Errors
    /// [`StoreError`].
    fn project(
        &mut self,
        tenant_id: TenantId,
        id: ProjectId,
    ) -> Result<Option<Project>, StoreError>;

    /// Whether a project of the tenant, archived or not, has the slug.
    ///
    /// # Errors
    /// [`StoreError`].
    fn project_slug_taken(&mut self, tenant_id: TenantId, slug: &Slug) -> Result<bool, StoreError>;

    /// Projects that are not archived, behind `after`, by id, at most `limit + 1`; only `only` when it is given.
    ///
    /// # Errors
    /// [`StoreError`].
    fn projects(
        &mut self,
        tenant_id: TenantId,
        only: Option<ProjectId>,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError>;

    /// Writes name, slug, archived and version.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict on `projects_tenant_id_slug_key`.
    fn update_project(&mut self, project: &Project) -> Result<(), StoreError>;

    /// Adds an environment. MUST fail with a conflict on `environments_tenant_id_project_id_name_key` when the name is in use.
    ///
    /// # Errors
    /// [`StoreError`]; a conflict on `environments_tenant_id_project_id_fkey` when the tenant has no such project.
    fn insert_environment(
        &mut self,
        tenant_id: TenantId,
        environment: &Environment,
    ) -> Result<EnvironmentId, StoreError>;

    /// Environments of a project, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    fn environments(
        &mut self,
        tenant_id: TenantId,
        project: ProjectId,
    ) -> Result<Vec<Environment>, StoreError>;
}

/// Everything that tenancy keeps. Implemented by whatever implements its parts.
pub trait Store: TenantStore + MemberStore + InvitationStore + ProjectStore {}
impl<S: TenantStore + MemberStore + InvitationStore + ProjectStore> Store for S {}

/// A mail to one person, as plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Tells this mail from every other, so that a retry can be recognised: becomes the `Message-ID`.
    pub id: String,
    /// The address.
    pub to: String,
    /// The subject, without line breaks.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Not now: the server is away or busy. The same mail may be tried again.
    #[error("the mail was not taken for now: {0}")]
    Transient(String),
    /// Never: the address or the mail is refused.
    #[error("the mail was refused: {0}")]
    Permanent(String),
}

/// Takes mails to where they are read.
pub trait Mailer: Send + Sync {
    /// Hands over one mail. `Ok` means that the other side took responsibility for it. `Err(Transient)` means unknown: it may have
    /// been taken, and sending it again with the same id is the right thing to do.
    fn send(&self, message: Message) -> BoxFuture<'_, Result<(), MailError>>;
}
