//! Sub-tenancy: projects, and their environments.

use audit::{Crud, NewEvent, Target};
use kernel::{
    Denied, EnvironmentId, FieldError, LimitReached, Name, Page, PageRequest, Principal, ProjectId,
    StoreError, TenantId,
};
use time::OffsetDateTime;

use crate::{ProjectStore, Slug, Store, membership::ListError, permissions};

/// A project of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its name in URLs, unique in the tenant.
    pub slug: Slug,
    /// Its name.
    pub name: Name,
    /// Whether it is the one that the host product gave the tenant unasked. It counts against no limit, and cannot be closed.
    pub is_default: bool,
    /// Whether it is closed.
    pub is_archived: bool,
    /// Goes up with each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

impl Project {
    fn target(&self) -> Target {
        Target::new("project", self.id, self.name.as_str())
    }
}

/// What an environment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentKind {
    /// Development.
    Dev,
    /// Rehearsal.
    Staging,
    /// The real thing.
    Prod,
}

impl EnvironmentKind {
    /// The three that each project has from the start.
    pub const ALL: [Self; 3] = [Self::Dev, Self::Staging, Self::Prod];

    /// The kind as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }

    /// Reads the text of [`EnvironmentKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An environment of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// The project.
    pub project_id: ProjectId,
    /// Its name, unique in the project.
    pub name: String,
    /// What it is for.
    pub kind: EnvironmentKind,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// Why a project was not made, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Another project of the tenant has the slug.
    #[error("the slug {slug} is taken in this tenant")]
    SlugTaken {
        /// The slug.
        slug: Slug,
    },
    /// There is no such project.
    #[error("there is no such project")]
    NotFound,
    /// The tenant's default project stays for as long as the tenant does.
    #[error("the default project cannot be closed")]
    IsDefault,
    /// Somebody else changed it first: `If-Match` names an older version.
    #[error("the project has changed since it was read")]
    Stale,
    /// The project has an environment of this name.
    #[error("the project has an environment named {0}")]
    EnvironmentTaken(String),
    /// The plan has no project left.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// A value breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a project with its three environments, if the plan has one left. Projects are counted under the tenant's lock.
///
/// # Errors
/// See [`ProjectError`].
pub fn create(
    store: &mut dyn Store,
    name: Name,
    slug: Option<Slug>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Project, ProjectError> {
    let tenant_id = by.may(&permissions::PROJECT_CREATE)?;
    let (allowance, used) = store.project_allowance(tenant_id)?;
    allowance.admit("max_projects", used)?;
    let asked = slug.is_some();
    let mut slug = slug.unwrap_or_else(|| Slug::suggest(name.as_str(), None));
    if !asked && store.project_slug_taken(tenant_id, &slug)? {
        slug = Slug::suggest_another(name.as_str());
    }
    add(store, tenant_id, name, slug, by, now)
}

fn add(
    store: &mut dyn Store,
    tenant_id: TenantId,
    name: Name,
    slug: Slug,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Project, ProjectError> {
    let project = Project {
        id: ProjectId::new(now),
        tenant_id,
        slug: slug.clone(),
        name,
        is_default: false,
        is_archived: false,
        version: 1,
        created_at: now,
    };
    store
        .insert_project(&project)
        .map_err(|error| slug_taken(error, slug))?;
    store.project_taken(tenant_id, now)?;
    for kind in EnvironmentKind::ALL {
        let environment = Environment {
            id: EnvironmentId::new(now),
            project_id: project.id,
            name: kind.as_str().to_owned(),
            kind,
            created_at: now,
        };
        store.insert_environment(tenant_id, &environment)?;
    }
    store.record(
        NewEvent::new(
            tenant_id,
            "project.created",
            Crud::Create,
            project.target(),
            by,
            now,
        )
        .in_project(project.id)
        .field("slug", &project.slug),
    )?;
    Ok(project)
}

fn slug_taken(error: StoreError, slug: Slug) -> ProjectError {
    if error.conflicts_with("projects_tenant_id_slug_key") {
        ProjectError::SlugTaken { slug }
    } else {
        error.into()
    }
}

/// What may change about a project. `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct ProjectChange {
    /// A new name.
    pub name: Option<Name>,
    /// A new slug.
    pub slug: Option<Slug>,
}

/// Changes a project. With `expected`, only when it still has that version.
///
/// # Errors
/// See [`ProjectError`].
pub fn change(
    store: &mut dyn Store,
    id: ProjectId,
    change: ProjectChange,
    expected: Option<i64>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Project, ProjectError> {
    let tenant_id = by.may(&permissions::PROJECT_WRITE)?;
    store.tenant_for_update(tenant_id)?;
    let before = visible(store.project(tenant_id, id)?, by)?;
    if expected.is_some_and(|version| version != before.version) {
        return Err(ProjectError::Stale);
    }
    let mut after = before.clone();
    after.name = change.name.unwrap_or(after.name);
    after.slug = change.slug.unwrap_or(after.slug);
    if after == before {
        return Ok(before);
    }
    after.version += 1;
    store
        .update_project(&after)
        .map_err(|error| slug_taken(error, after.slug.clone()))?;
    let mut event = NewEvent::new(
        tenant_id,
        "project.updated",
        Crud::Update,
        after.target(),
        by,
        now,
    )
    .in_project(id);
    for (field, old, new) in [
        ("name", before.name.as_str(), after.name.as_str()),
        ("slug", before.slug.as_str(), after.slug.as_str()),
    ] {
        if old != new {
            event = event.changed(field, old, new);
        }
    }
    store.record(event)?;
    Ok(after)
}

/// Closes a project: it gives its place in the plan back, and keeps its history. Closing twice is the same as once.
///
/// # Errors
/// See [`ProjectError`].
pub fn archive(
    store: &mut dyn Store,
    id: ProjectId,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<(), ProjectError> {
    let tenant_id = by.may(&permissions::PROJECT_DELETE)?;
    store.tenant_for_update(tenant_id)?;
    let mut project = visible(store.project(tenant_id, id)?, by)?;
    if project.is_default {
        return Err(ProjectError::IsDefault);
    }
    project.is_archived = true;
    project.version += 1;
    store.update_project(&project)?;
    store.record(
        NewEvent::new(
            tenant_id,
            "project.archived",
            Crud::Delete,
            project.target(),
            by,
            now,
        )
        .in_project(id),
    )?;
    Ok(())
}

/// A project that is there, and that `by` may see: a key of one project sees that project only.
fn visible(project: Option<Project>, by: &Principal) -> Result<Project, ProjectError> {
    let only = by.grant.as_ref().and_then(|grant| grant.project_id);
    project
        .filter(|project| !project.is_archived && only.is_none_or(|only| only == project.id))
        .ok_or(ProjectError::NotFound)
}

/// Reads a project.
///
/// # Errors
/// See [`ProjectError`].
pub fn read(
    store: &mut dyn ProjectStore,
    id: ProjectId,
    by: &Principal,
) -> Result<Project, ProjectError> {
    let tenant_id = by.may(&permissions::PROJECT_READ)?;
    visible(store.project(tenant_id, id)?, by)
}

/// A page of the tenant's projects, by id.
///
/// # Errors
/// See [`ListError`].
pub fn list(
    store: &mut dyn ProjectStore,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<Project>, ListError> {
    let tenant_id = by.may(&permissions::PROJECT_READ)?;
    let only = by.grant.as_ref().and_then(|grant| grant.project_id);
    let rows = store.projects(tenant_id, only, page.key()?, page.limit)?;
    Ok(Page::from_rows(rows, page.limit, |project| project.id))
}

/// The environments of a project, by name.
///
/// # Errors
/// See [`ProjectError`].
pub fn environments(
    store: &mut dyn ProjectStore,
    id: ProjectId,
    by: &Principal,
) -> Result<Vec<Environment>, ProjectError> {
    let project = read(store, id, by)?;
    Ok(store.environments(project.tenant_id, id)?)
}

/// Adds an environment to a project.
///
/// # Errors
/// See [`ProjectError`].
pub fn add_environment(
    store: &mut dyn Store,
    id: ProjectId,
    name: String,
    kind: EnvironmentKind,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Environment, ProjectError> {
    let tenant_id = by.may(&permissions::PROJECT_WRITE)?;
    let project = visible(store.project(tenant_id, id)?, by)?;
    let word = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !word
        || name.len() > 39
        || !name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
    {
        return Err(FieldError::new(
            "name",
            "invalid_characters",
            "must be 1 to 39 lower-case letters, digits and dashes, and start with a letter",
        )
        .into());
    }
    let environment = Environment {
        id: EnvironmentId::new(now),
        project_id: id,
        name,
        kind,
        created_at: now,
    };
    store
        .insert_environment(tenant_id, &environment)
        .map_err(|error| {
            if error.conflicts_with("environments_tenant_id_project_id_name_key") {
                ProjectError::EnvironmentTaken(environment.name.clone())
            } else {
                error.into()
            }
        })?;
    let target = Target::new("environment", environment.id, &environment.name);
    store.record(
        NewEvent::new(
            tenant_id,
            "environment.created",
            Crud::Create,
            target,
            by,
            now,
        )
        .in_project(project.id),
    )?;
    Ok(environment)
}
