//! Projects and environments in memory.

use kernel::{Allowance, EnvironmentId, ProjectId, StoreError, TenantId};
use tenancy::{Environment, Project, ProjectStore, Slug};
use time::OffsetDateTime;

use crate::memory::{MemoryTx, conflict, must_exist};

impl MemoryTx {
    /// Projects of the tenant in scope, archived or not, by id.
    fn own_projects(&self, tenant_id: TenantId) -> impl Iterator<Item = &Project> {
        let rows = self.tables.tenancy.projects.values();
        rows.filter(move |row| row.tenant_id == tenant_id && self.sees(tenant_id))
    }

    fn refuse_taken_project_slug(&self, project: &Project) -> Result<(), StoreError> {
        let mut others = self.own_projects(project.tenant_id);
        if others.any(|other| other.slug == project.slug && other.id != project.id) {
            return Err(conflict("projects_tenant_id_slug_key"));
        }
        Ok(())
    }

    /// Projects that count against the plan: not archived, the default one left out.
    pub(in crate::memory) fn projects_counted(&self, tenant_id: TenantId) -> i64 {
        let rows = self.own_projects(tenant_id);
        rows.map(|row| i64::from(!row.is_archived && !row.is_default))
            .sum()
    }
}

impl ProjectStore for MemoryTx {
    fn project_allowance(&mut self, tenant_id: TenantId) -> Result<(Allowance, i64), StoreError> {
        let allowance = self.allowance(tenant_id, "max_projects", self.now)?;
        Ok((allowance, self.projects_counted(tenant_id)))
    }

    fn project_taken(
        &mut self,
        tenant_id: TenantId,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        billing::take::taken(self, tenant_id, "max_projects", now)
    }

    fn insert_project(&mut self, project: &Project) -> Result<(), StoreError> {
        self.must_see(project.tenant_id)?;
        let key = (project.tenant_id, project.id);
        if self.tables.tenancy.projects.contains_key(&key) {
            return Err(conflict("projects_pkey"));
        }
        self.refuse_taken_project_slug(project)?;
        let has_default = self
            .own_projects(project.tenant_id)
            .any(|other| other.is_default);
        if project.is_default && has_default {
            return Err(conflict("projects_default_key"));
        }
        must_exist(
            self.tables.tenancy.tenants.contains_key(&project.tenant_id),
            "projects_tenant_id_fkey",
        )?;
        let row = Project {
            is_archived: false,
            ..project.clone()
        };
        self.tables.tenancy.projects.insert(key, row);
        Ok(())
    }

    fn project(
        &mut self,
        tenant_id: TenantId,
        id: ProjectId,
    ) -> Result<Option<Project>, StoreError> {
        let mut rows = self.own_projects(tenant_id);
        Ok(rows.find(|row| row.id == id).cloned())
    }

    fn project_slug_taken(&mut self, tenant_id: TenantId, slug: &Slug) -> Result<bool, StoreError> {
        let mut rows = self.own_projects(tenant_id);
        Ok(rows.any(|row| row.slug == *slug))
    }

    fn projects(
        &mut self,
        tenant_id: TenantId,
        only: Option<ProjectId>,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError> {
        let rows = self.own_projects(tenant_id);
        let found = rows
            .filter(|row| !row.is_archived)
            .filter(|row| only.is_none_or(|only| row.id == only))
            .filter(|row| after.is_none_or(|after| row.id > after));
        Ok(found.take(limit as usize + 1).cloned().collect())
    }

    fn update_project(&mut self, project: &Project) -> Result<(), StoreError> {
        if self.project(project.tenant_id, project.id)?.is_none() {
            return Ok(());
        }
        self.refuse_taken_project_slug(project)?;
        let key = (project.tenant_id, project.id);
        if let Some(row) = self.tables.tenancy.projects.get_mut(&key) {
            row.name = project.name.clone();
            row.slug = project.slug.clone();
            row.is_archived = project.is_archived;
            row.version = project.version;
        }
        Ok(())
    }

    fn insert_environment(
        &mut self,
        tenant_id: TenantId,
        environment: &Environment,
    ) -> Result<EnvironmentId, StoreError> {
        self.must_see(tenant_id)?;
        let key = (tenant_id, environment.id);
        if self.tables.tenancy.environments.contains_key(&key) {
            return Err(conflict("environments_pkey"));
        }
        let beside = self.environments(tenant_id, environment.project_id)?;
        if beside.iter().any(|other| other.name == environment.name) {
            return Err(conflict("environments_tenant_id_project_id_name_key"));
        }
        must_exist(
            self.project(tenant_id, environment.project_id)?.is_some(),
            "environments_tenant_id_project_id_fkey",
        )?;
        let rows = &mut self.tables.tenancy.environments;
        rows.insert(key, environment.clone());
        Ok(environment.id)
    }

    fn environments(
        &mut self,
        tenant_id: TenantId,
        project: ProjectId,
    ) -> Result<Vec<Environment>, StoreError> {
        if !self.sees(tenant_id) {
            return Ok(Vec::new());
        }
        let rows = self.tables.tenancy.environments.iter();
        let own = rows.filter(|((tenant, _), _)| *tenant == tenant_id);
        let mut own: Vec<Environment> = own
            .filter(|(_, row)| row.project_id == project)
            .map(|(_, row)| row.clone())
            .collect();
        own.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(own)
    }
}
