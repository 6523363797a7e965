//! Projects and environments.

use diesel::{dsl::exists, prelude::*, select};
use kernel::{Allowance, EnvironmentId, Name, ProjectId, StoreError, TenantId};
use pg_schema::schema::{environments, projects};
use tenancy::{Environment, EnvironmentKind, Project, ProjectStore, Slug};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    PgTx,
    billing::counts,
    error::{store_error, unreadable},
};

impl ProjectStore for PgTx {
    fn project_allowance(&mut self, tenant_id: TenantId) -> Result<(Allowance, i64), StoreError> {
        let allowance = billing::entitlement::allowance(self, tenant_id, "max_projects")?;
        Ok((allowance, counts::counted_projects(self.conn(), tenant_id)?))
    }

    fn project_taken(
        &mut self,
        tenant_id: TenantId,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        billing::take::taken(self, tenant_id, "max_projects", now)
    }

    fn insert_project(&mut self, project: &Project) -> Result<(), StoreError> {
        diesel::insert_into(projects::table)
            .values((
                projects::tenant_id.eq(project.tenant_id.as_uuid()),
                projects::id.eq(project.id.as_uuid()),
                projects::slug.eq(project.slug.as_str()),
                projects::name.eq(project.name.as_str()),
                projects::is_default.eq(project.is_default),
                projects::version.eq(project.version),
                projects::created_at.eq(project.created_at),
            ))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn project(
        &mut self,
        tenant_id: TenantId,
        id: ProjectId,
    ) -> Result<Option<Project>, StoreError> {
        projects::table
            .find((tenant_id.as_uuid(), id.as_uuid()))
            .select(ProjectRow::as_select())
            .first(self.conn())
            .optional()
            .map(|row| row.map(Project::from))
            .map_err(store_error)
    }

    fn project_slug_taken(&mut self, tenant_id: TenantId, slug: &Slug) -> Result<bool, StoreError> {
        let same = projects::table
            .filter(projects::tenant_id.eq(tenant_id.as_uuid()))
            .filter(projects::slug.eq(slug.as_str()));
        select(exists(same))
            .get_result(self.conn())
            .map_err(store_error)
    }

    fn projects(
        &mut self,
        tenant_id: TenantId,
        only: Option<ProjectId>,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError> {
        let mut query = projects::table
            .filter(projects::tenant_id.eq(tenant_id.as_uuid()))
            .filter(projects::status.eq("active"))
            .select(ProjectRow::as_select())
            .order(projects::id)
            .limit(i64::from(limit) + 1)
            .into_boxed();
        if let Some(only) = only {
            query = query.filter(projects::id.eq(only.as_uuid()));
        }
        if let Some(after) = after {
            query = query.filter(projects::id.gt(after.as_uuid()));
        }
        query
            .load(self.conn())
            .map(|rows| rows.into_iter().map(Project::from).collect())
            .map_err(store_error)
    }

    fn update_project(&mut self, project: &Project) -> Result<(), StoreError> {
        let status = if project.is_archived {
            "archived"
        } else {
            "active"
        };
        diesel::update(projects::table.find((project.tenant_id.as_uuid(), project.id.as_uuid())))
            .set((
                projects::name.eq(project.name.as_str()),
                projects::slug.eq(project.slug.as_str()),
                projects::status.eq(status),
                projects::version.eq(project.version),
            ))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn insert_environment(
        &mut self,
        tenant_id: TenantId,
        environment: &Environment,
    ) -> Result<EnvironmentId, StoreError> {
        diesel::insert_into(environments::table)
            .values((
                environments::tenant_id.eq(tenant_id.as_uuid()),
                environments::id.eq(environment.id.as_uuid()),
                environments::project_id.eq(environment.project_id.as_uuid()),
                environments::name.eq(&environment.name),
                environments::kind.eq(environment.kind.as_str()),
                environments::created_at.eq(environment.created_at),
            ))
            .execute(self.conn())
            .map(|_| environment.id)
            .map_err(store_error)
    }

    fn environments(
        &mut self,
        tenant_id: TenantId,
        project: ProjectId,
    ) -> Result<Vec<Environment>, StoreError> {
        let rows = environments::table
            .filter(environments::tenant_id.eq(tenant_id.as_uuid()))
            .filter(environments::project_id.eq(project.as_uuid()))
            .select(EnvironmentRow::as_select())
            .order(environments::name)
            .load(self.conn())
            .map_err(store_error)?;
        rows.into_iter().map(Environment::try_from).collect()
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = projects, check_for_backend(diesel::pg::Pg))]
struct ProjectRow {
    tenant_id: Uuid,
    id: Uuid,
    slug: String,
    name: String,
    is_default: bool,
    status: String,
    version: i64,
    created_at: OffsetDateTime,
}

impl From<ProjectRow> for Project {
    fn from(row: ProjectRow) -> Self {
        Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            slug: Slug::stored(row.slug),
            name: Name::stored(row.name),
            is_default: row.is_default,
            is_archived: row.status == "archived",
            version: row.version,
            created_at: row.created_at,
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = environments, check_for_backend(diesel::pg::Pg))]
struct EnvironmentRow {
    id: Uuid,
    project_id: Uuid,
    name: String,
    kind: String,
    created_at: OffsetDateTime,
}

impl TryFrom<EnvironmentRow> for Environment {
    type Error = StoreError;

    fn try_from(row: EnvironmentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            name: row.name,
            kind: EnvironmentKind::parse(&row.kind)
                .ok_or_else(|| unreadable("environment kind", &row.kind))?,
            created_at: row.created_at,
        })
    }
}
