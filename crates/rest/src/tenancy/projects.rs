//! Projects and their environments.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::StatusCode,
    patch, post,
    web::{Data, Json},
};
use kernel::{FieldError, Name, ProjectId};
use serde::{Deserialize, Serialize};
use tenancy::{
    Environment, EnvironmentKind, Project, Slug,
    project::{ProjectChange, ProjectError},
};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::{
    Caller, Problem, Services,
    body::{Body, Params, PathId, etag, if_match},
    openapi::texts::{self, EnvironmentName, ProjectSlug},
    page::{ListBody, PageQuery},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(list)
        .service(create)
        .service(read)
        .service(change)
        .service(archive)
        .service(environments)
        .service(add_environment);
}

impl From<ProjectError> for Problem {
    fn from(error: ProjectError) -> Self {
        let detail = format!("{error}.");
        match error {
            ProjectError::SlugTaken { slug } => {
                Self::conflict("tenancy.project_slug_taken", detail).with("slug", slug.as_str())
            }
            ProjectError::EnvironmentTaken(_) => {
                Self::conflict("tenancy.environment_taken", detail)
            }
            ProjectError::NotFound => Self::not_found("tenancy.project_not_found", "project"),
            ProjectError::IsDefault => Self::conflict("tenancy.default_project", detail),
            ProjectError::Stale => Self::stale(),
            ProjectError::Limit(error) => error.into(),
            ProjectError::Invalid(error) => error.into(),
            ProjectError::Denied(error) => error.into(),
            ProjectError::Store(error) => error.into(),
        }
    }
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectBody {
    id: Uuid,
    /// Its name in URLs, unique in the tenant.
    slug: String,
    name: String,
    /// Whether it is the one that the tenant has without asking.
    is_default: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Project> for ProjectBody {
    fn from(project: Project) -> Self {
        Self {
            id: project.id.into(),
            slug: project.slug.to_string(),
            name: project.name.to_string(),
            is_default: project.is_default,
            created_at: project.created_at,
        }
    }
}

/// A project to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProjectBody {
    /// 1 to 255 characters.
    #[schema(value_type = texts::Name)]
    name: String,
    /// 2 to 40 lower-case letters, digits and single dashes; made of the name when not given.
    #[schema(value_type = Option<ProjectSlug>)]
    slug: Option<String>,
}

/// What may change about a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProjectChangeBody {
    /// 1 to 255 characters.
    #[schema(value_type = Option<texts::Name>)]
    name: Option<String>,
    /// 2 to 40 lower-case letters, digits and single dashes.
    #[schema(value_type = Option<ProjectSlug>)]
    slug: Option<String>,
}

/// An environment.
#[derive(Debug, Serialize, ToSchema)]
struct EnvironmentBody {
    id: Uuid,
    project_id: Uuid,
    /// Unique in the project.
    name: String,
    /// `dev`, `staging` or `prod`.
    kind: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl From<Environment> for EnvironmentBody {
    fn from(environment: Environment) -> Self {
        Self {
            id: environment.id.into(),
            project_id: environment.project_id.into(),
            name: environment.name,
            kind: environment.kind.as_str(),
            created_at: environment.created_at,
        }
    }
}

/// An environment to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEnvironmentBody {
    /// 1 to 39 lower-case letters, digits and dashes.
    #[schema(value_type = EnvironmentName)]
    name: String,
    /// `dev`, `staging` or `prod`.
    #[schema(pattern = "^(dev|staging|prod)$")]
    kind: String,
}

fn shown(project: Project, status: StatusCode) -> HttpResponse {
    let version = etag(project.version);
    HttpResponse::build(status)
        .insert_header(version)
        .json(ProjectBody::from(project))
}

fn parse_slug(slug: Option<&str>) -> Result<Option<Slug>, FieldError> {
    slug.map(Slug::parse_project).transpose()
}

/// The tenant's projects. Needs `project.read`.
#[utoipa::path(
    tag = "projects",
    params(PageQuery),
    responses((status = 200, description = "A page of projects", body = ListBody<ProjectBody>))
)]
#[get("/v1/projects")]
async fn list(
    services: Data<Services>,
    caller: Caller,
    Params(query): Params<PageQuery>,
) -> Result<Json<ListBody<ProjectBody>>, Problem> {
    let projects = services.tenancy.projects(&caller, query.parse()?).await?;
    Ok(Json(ListBody::of(projects, ProjectBody::from)))
}

/// Makes a project with the environments dev, staging and prod. Needs `project.create`.
#[utoipa::path(
    tag = "projects",
    request_body = NewProjectBody,
    responses(
        (status = 201, description = "The project", body = ProjectBody),
        (status = 402, description = "`billing.limit_reached`"),
        (status = 409, description = "`tenancy.project_slug_taken`")
    )
)]
#[post("/v1/projects")]
async fn create(
    services: Data<Services>,
    caller: Caller,
    Body(body): Body<NewProjectBody>,
) -> Result<HttpResponse, Problem> {
    let name = Name::parse("name", &body.name)?;
    let slug = parse_slug(body.slug.as_deref())?;
    let project = services.tenancy.create_project(&caller, name, slug).await?;
    Ok(shown(project, StatusCode::CREATED))
}

/// Reads a project. Needs `project.read`.
#[utoipa::path(
    tag = "projects",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The project, with its ETag", body = ProjectBody),
        (status = 404, description = "`tenancy.project_not_found`")
    )
)]
#[get("/v1/projects/{id}")]
async fn read(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ProjectId>,
) -> Result<HttpResponse, Problem> {
    Ok(shown(
        services.tenancy.project(&caller, id).await?,
        StatusCode::OK,
    ))
}

/// Changes a project. Needs `project.write`; honours `If-Match`.
#[utoipa::path(
    tag = "projects",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body = ProjectChangeBody,
    responses(
        (status = 200, description = "The project, with its new ETag", body = ProjectBody),
        (status = 404, description = "`tenancy.project_not_found`"),
        (status = 409, description = "`tenancy.project_slug_taken`"),
        (status = 412, description = "`request.stale`")
    )
)]
#[patch("/v1/projects/{id}")]
async fn change(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ProjectId>,
    request: HttpRequest,
    Body(body): Body<ProjectChangeBody>,
) -> Result<HttpResponse, Problem> {
    let change = ProjectChange {
        name: body
            .name
            .as_deref()
            .map(|name| Name::parse("name", name))
            .transpose()?,
        slug: parse_slug(body.slug.as_deref())?,
    };
    let expected = if_match(&request)?;
    Ok(shown(
        services
            .tenancy
            .change_project(&caller, id, change, expected)
            .await?,
        StatusCode::OK,
    ))
}

/// Closes a project; it gives its place in the plan back. Needs `project.delete`.
#[utoipa::path(
    tag = "projects",
    params(("id" = Uuid, Path)),
    responses(
        (status = 204, description = "Closed"),
        (status = 404, description = "`tenancy.project_not_found`"),
        (status = 409, description = "`tenancy.default_project`")
    )
)]
#[delete("/v1/projects/{id}")]
async fn archive(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ProjectId>,
) -> Result<HttpResponse, Problem> {
    services.tenancy.archive_project(&caller, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The environments of a project, by name. Needs `project.read`.
#[utoipa::path(
    tag = "projects",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The environments", body = ListBody<EnvironmentBody>),
        (status = 404, description = "`tenancy.project_not_found`")
    )
)]
#[get("/v1/projects/{id}/environments")]
async fn environments(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ProjectId>,
) -> Result<Json<ListBody<EnvironmentBody>>, Problem> {
    let environments = services.tenancy.environments(&caller, id).await?;
    Ok(Json(ListBody::whole(
        environments.into_iter().map(Into::into).collect(),
    )))
}

/// Adds an environment to a project. Needs `project.write`.
#[utoipa::path(
    tag = "projects",
    params(("id" = Uuid, Path)),
    request_body = NewEnvironmentBody,
    responses(
        (status = 201, description = "The environment", body = EnvironmentBody),
        (status = 404, description = "`tenancy.project_not_found`"),
        (status = 409, description = "`tenancy.environment_taken`")
    )
)]
#[post("/v1/projects/{id}/environments")]
async fn add_environment(
    services: Data<Services>,
    caller: Caller,
    PathId(id): PathId<ProjectId>,
    Body(body): Body<NewEnvironmentBody>,
) -> Result<HttpResponse, Problem> {
    let kind = EnvironmentKind::parse(&body.kind)
        .ok_or_else(|| FieldError::new("kind", "unknown_value", "must be dev, staging or prod"))?;
    let environment = services
        .tenancy
        .add_environment(&caller, id, body.name, kind)
        .await?;
    Ok(HttpResponse::Created().json(EnvironmentBody::from(environment)))
}
