//! The façade that the API and embedders hold: one method per use case, one transaction per method.

use std::sync::Arc;

use kernel::{
    Clock, Email, InvitationId, Name, Page, PageRequest, Principal, ProjectId, Scope, StoreError,
    TenantId, UnitOfWork, UserId,
};
use time::OffsetDateTime;

use crate::{
    Environment, EnvironmentKind, Invitation, InvitationTokens, Member, Membership, PermissionInfo,
    Project, Role, Slug, Store, Tenant,
    invitation::{self, AcceptError, InviteError},
    membership::{self, ChangeMemberError, ListError},
    permissions,
    project::{self, ProjectChange, ProjectError},
    role,
    tenant::{self, ChangeTenantError, TenantChange, Transition},
};

/// Tenants, members, invitations and projects.
#[derive(Clone)]
pub struct Tenancy {
    db: Arc<dyn UnitOfWork<dyn Store>>,
    clock: Arc<dyn Clock>,
    tokens: InvitationTokens,
}

impl Tenancy {
    /// A façade over `db`; `tokens` signs invitations.
    #[must_use]
    pub fn new(
        db: Arc<dyn UnitOfWork<dyn Store>>,
        clock: Arc<dyn Clock>,
        tokens: InvitationTokens,
    ) -> Self {
        Self { db, clock, tokens }
    }

    /// Runs a use case in the principal's scope.
    async fn run<T, E>(
        &self,
        by: &Principal,
        work: impl FnOnce(&mut dyn Store, &Principal, OffsetDateTime) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (by, now) = (by.clone(), self.clock.now());
        self.db
            .run(Scope::of(&by), move |store| work(store, &by, now))
            .await
    }

    /// Reads the tenant in scope.
    ///
    /// # Errors
    /// See [`ChangeTenantError`].
    pub async fn tenant(&self, by: &Principal) -> Result<Tenant, ChangeTenantError> {
        self.run(by, |store, by, _| {
            let id = by.may(&permissions::TENANT_READ)?;
            store.tenant(id)?.ok_or(ChangeTenantError::NotFound)
        })
        .await
    }

    /// Changes the tenant in scope.
    ///
    /// # Errors
    /// See [`ChangeTenantError`].
    pub async fn change_tenant(
        &self,
        by: &Principal,
        change: TenantChange,
        expected: Option<i64>,
    ) -> Result<Tenant, ChangeTenantError> {
        self.run(by, move |store, by, now| {
            tenant::change(store, change, expected, by, now)
        })
        .await
    }

    /// Archives the tenant in scope.
    ///
    /// # Errors
    /// See [`ChangeTenantError`].
    pub async fn archive_tenant(&self, by: &Principal) -> Result<Tenant, ChangeTenantError> {
        self.run(by, tenant::archive).await
    }

    /// For operators: moves any tenant to another state.
    ///
    /// # Errors
    /// See [`ChangeTenantError`].
    pub async fn administer(
        &self,
        by: &Principal,
        id: TenantId,
        verb: Transition,
        reason: Option<String>,
    ) -> Result<Tenant, ChangeTenantError> {
        let (by, now) = (by.clone(), self.clock.now());
        let scope = Scope {
            tenant_id: Some(id),
            ..Scope::of(&by)
        };
        self.db
            .run(scope, move |store| {
                tenant::administer(store, id, verb, reason, &by, now)
            })
            .await
    }

    /// For operators: a page of all tenants, by id.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn all_tenants(
        &self,
        by: &Principal,
        page: PageRequest,
    ) -> Result<Page<Tenant>, ListError> {
        self.run(by, move |store, by, _| {
            by.may_globally(&permissions::ADMIN_TENANTS)?;
            let rows = store.all_tenants(page.key()?, page.limit)?;
            Ok(Page::from_rows(rows, page.limit, |tenant| tenant.id))
        })
        .await
    }

    /// Every tenant of a person, oldest membership first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn memberships_of(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        self.db
            .run(Scope::user(user), move |store| store.memberships_of(user))
            .await
    }

    /// A page of the tenant's members.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn members(
        &self,
        by: &Principal,
        page: PageRequest,
    ) -> Result<Page<Member>, ListError> {
        self.run(by, move |store, by, _| membership::list(store, &page, by))
            .await
    }

    /// Gives a member other roles.
    ///
    /// # Errors
    /// See [`ChangeMemberError`].
    pub async fn set_roles(
        &self,
        by: &Principal,
        user: UserId,
        roles: Vec<String>,
    ) -> Result<Member, ChangeMemberError> {
        self.run(by, move |store, by, now| {
            membership::set_roles(store, user, &roles, by, now)
        })
        .await
    }

    /// The roles that can be given in the tenant.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn roles(&self, by: &Principal) -> Result<Vec<Role>, ListError> {
        self.run(by, |store, by, _| role::list(store, by)).await
    }

    /// The permission catalogue.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn permission_catalogue(
        &self,
        by: &Principal,
    ) -> Result<Vec<PermissionInfo>, ListError> {
        self.run(by, |store, _, _| role::catalogue(store)).await
    }

    /// Invites a person. The mail is sent by the worker.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn invite(
        &self,
        by: &Principal,
        email: Email,
        role: String,
    ) -> Result<Invitation, InviteError> {
        self.run(by, move |store, by, now| {
            invitation::invite(store, &email, &role, by, now)
        })
        .await
    }

    /// Sends an invitation again.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn resend(
        &self,
        by: &Principal,
        id: InvitationId,
    ) -> Result<Invitation, InviteError> {
        self.run(by, move |store, by, now| {
            invitation::resend(store, id, by, now)
        })
        .await
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub async fn revoke(
        &self,
        by: &Principal,
        id: InvitationId,
    ) -> Result<Invitation, InviteError> {
        self.run(by, move |store, by, now| {
            invitation::revoke(store, id, by, now)
        })
        .await
    }

    /// A page of the tenant's invitations.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn invitations(
        &self,
        by: &Principal,
        page: PageRequest,
    ) -> Result<Page<Invitation>, ListError> {
        self.run(by, move |store, by, _| invitation::list(store, &page, by))
            .await
    }

    /// The token of an invitation, for mails and for development.
    #[must_use]
    pub fn token_of(&self, invitation: &Invitation) -> String {
        self.tokens.issue(invitation.id, invitation.sends)
    }

    /// The person behind `by`, whose address is `email`, joins the tenant that the token is for. Nothing else has to verify the address: the
    /// token was sent there and nowhere else, so showing it is the proof.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept(
        &self,
        by: &Principal,
        email: String,
        token: &str,
    ) -> Result<Tenant, AcceptError> {
        let user = by.user()?;
        let (id, sends) = self.tokens.open(token).ok_or(AcceptError::NotFound)?;
        let tenant_id = self
            .db
            .run(Scope::user(user), move |store| {
                store.tenant_of_invitation(id)
            })
            .await?
            .ok_or(AcceptError::NotFound)?;
        let (by, now) = (by.clone(), self.clock.now());
        let scope = Scope {
            tenant_id: Some(tenant_id),
            ..Scope::of(&by)
        };
        self.db
            .run(scope, move |store| {
                invitation::accept(store, (tenant_id, id, sends), &email, &by, now)
            })
            .await
    }

    /// Makes a project.
    ///
    /// # Errors
    /// See [`ProjectError`].
    pub async fn create_project(
        &self,
        by: &Principal,
        name: Name,
        slug: Option<Slug>,
    ) -> Result<Project, ProjectError> {
        self.run(by, move |store, by, now| {
            project::create(store, name, slug, by, now)
        })
        .await
    }

    /// A page of the tenant's projects.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn projects(
        &self,
        by: &Principal,
        page: PageRequest,
    ) -> Result<Page<Project>, ListError> {
        self.run(by, move |store, by, _| project::list(store, &page, by))
            .await
    }

    /// Reads a project.
    ///
    /// # Errors
    /// See [`ProjectError`].
    pub async fn project(&self, by: &Principal, id: ProjectId) -> Result<Project, ProjectError> {
        self.run(by, move |store, by, _| project::read(store, id, by))
            .await
    }

    /// Changes a project.
    ///
    /// # Errors
    /// See [`ProjectError`].
    pub async fn change_project(
        &self,
        by: &Principal,
        id: ProjectId,
        change: ProjectChange,
        expected: Option<i64>,
    ) -> Result<Project, ProjectError> {
        self.run(by, move |store, by, now| {
            project::change(store, id, change, expected, by, now)
        })
        .await
    }

    /// Closes a project.
    ///
    /// # Errors
    /// See [`ProjectError`].
    pub async fn archive_project(&self, by: &Principal, id: ProjectId) -> Result<(), ProjectError> {
        self.run(by, move |store, by, now| {
            project::archive(store, id, by, now)
        })
        .await
    }

    /// The environments of a project.
    ///
    /// # Errors
    /// See [`ProjectError`].
    pub async fn environments(
        &self,
        by: &Principal,
        id: ProjectId,
    ) -> Result<Vec<Environment>, ProjectError> {
        self.run(by, move |store, by, _| project::environments(store, id, by))
            .await
    }

    /// Adds an environment to a project.
    ///
    /// # Errors
    /// See [`ProjectError`].
    pub async fn add_environment(
        &self,
        by: &Principal,
        id: ProjectId,
        name: String,
        kind: EnvironmentKind,
    ) -> Result<Environment, ProjectError> {
        self.run(by, move |store, by, now| {
            project::add_environment(store, id, name, kind, by, now)
        })
        .await
    }
}
