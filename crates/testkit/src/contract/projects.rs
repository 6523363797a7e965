//! `tenancy::ProjectStore`.

use kernel::{EnvironmentId, Name, ProjectId, Scope, StoreError, TenantId};
use tenancy::{Environment, EnvironmentKind, Project, Slug};

use super::{Backend, Seed, fixture, run};

/// A project that is nowhere yet.
pub(super) fn project(tenant_id: TenantId, slug: &str) -> Project {
    Project {
        id: ProjectId::new(fixture::at(0)),
        tenant_id,
        slug: Slug::parse(slug).unwrap(),
        name: Name::parse("name", slug).unwrap(),
        is_default: false,
        is_archived: false,
        version: 1,
        created_at: fixture::at(0),
    }
}

/// An environment that is nowhere yet.
pub(super) fn environment(project_id: ProjectId, name: &str) -> Environment {
    Environment {
        id: EnvironmentId::new(fixture::at(0)),
        project_id,
        name: name.to_owned(),
        kind: EnvironmentKind::Staging,
        created_at: fixture::at(0),
    }
}

pub(super) async fn insert(backend: &impl Backend, project: &Project) -> Result<(), StoreError> {
    let row = project.clone();
    run(
        backend.tenancy(),
        Scope::tenant(row.tenant_id),
        move |store| store.insert_project(&row),
    )
    .await
}

/// A project that is there.
pub(super) async fn stored_project(
    backend: &impl Backend,
    tenant_id: TenantId,
    slug: &str,
) -> Project {
    let project = project(tenant_id, slug);
    insert(backend, &project).await.unwrap();
    project
}

/// Adds an environment to the tenant.
pub(super) async fn add_environment(
    backend: &impl Backend,
    tenant_id: TenantId,
    environment: &Environment,
) -> Result<EnvironmentId, StoreError> {
    let row = environment.clone();
    run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
        store.insert_environment(tenant_id, &row)
    })
    .await
}

pub(super) async fn update(backend: &impl Backend, project: &Project) -> Result<(), StoreError> {
    let row = project.clone();
    run(
        backend.tenancy(),
        Scope::tenant(row.tenant_id),
        move |store| store.update_project(&row),
    )
    .await
}

async fn read(backend: &impl Backend, of: &Project) -> Option<Project> {
    let (tenant_id, id) = (of.tenant_id, of.id);
    run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
        store.project(tenant_id, id)
    })
    .await
    .unwrap()
}

async fn environments(
    backend: &impl Backend,
    tenant_id: TenantId,
    project: ProjectId,
) -> Vec<Environment> {
    run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
        store.environments(tenant_id, project)
    })
    .await
    .unwrap()
}

/// Every field survives, archived or not; an update leaves what it does not name.
pub async fn a_project_is_read_back_as_it_was_written(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut project = project(tenant, "rockets");
    project.is_default = true;
    insert(backend, &project).await.unwrap();
    assert_eq!(read(backend, &project).await, Some(project.clone()));

    for is_archived in [true, false] {
        project.name = Name::parse("name", "Rockets & Söhne").unwrap();
        project.slug = Slug::parse("rocket-sons").unwrap();
        project.is_archived = is_archived;
        project.version += 1;
        let mut row = project.clone();
        row.is_default = false;
        row.created_at = fixture::at(9);
        update(backend, &row).await.unwrap();
        assert_eq!(read(backend, &project).await, Some(project.clone()));
    }
}

/// An archived project keeps its slug; another tenant may have the same.
pub async fn a_slug_is_one_projects_in_its_tenant(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let mut first = stored_project(backend, tenant, "rockets").await;
    let mut second = stored_project(backend, tenant, "boats").await;
    first.is_archived = true;
    update(backend, &first).await.unwrap();
    let inserted = insert(backend, &project(tenant, "rockets")).await;
    second.slug = first.slug.clone();
    let updated = update(backend, &second).await;
    for outcome in [inserted, updated] {
        assert!(
            matches!(&outcome, Err(error) if error.conflicts_with("projects_tenant_id_slug_key")),
            "{outcome:?}"
        );
    }
    let taken = |tenant: TenantId, slug: &str| {
        let slug = Slug::parse(slug).unwrap();
        run(backend.tenancy(), Scope::tenant(tenant), move |store| {
            store.project_slug_taken(tenant, &slug)
        })
    };
    assert_eq!(taken(tenant, "rockets").await, Ok(true));
    assert_eq!(taken(tenant, "cars").await, Ok(false));
    assert_eq!(taken(other, "rockets").await, Ok(false));
    stored_project(backend, other, "rockets").await;
}

/// Each tenant has its own.
pub async fn a_tenant_has_one_default_project(backend: &impl Backend) {
    for slug in ["acme", "other"] {
        let tenant = fixture::stored_tenant(backend, slug).await.id;
        let default = |slug: &str| Project {
            is_default: true,
            ..project(tenant, slug)
        };
        insert(backend, &default("first")).await.unwrap();
        let second = insert(backend, &default("second")).await;
        assert!(
            matches!(&second, Err(error) if error.conflicts_with("projects_default_key")),
            "{second:?}"
        );
    }
}

/// One more than the page holds. Archived ones are left out; whoever is held to one project sees that one.
pub async fn projects_come_by_id_a_page_at_a_time(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut all = Vec::new();
    for slug in ["aaa", "bbb", "ccc", "ddd", "eee"] {
        all.push(stored_project(backend, tenant, slug).await);
    }
    all.sort_by_key(|project| project.id);
    let mut archived = all.remove(2);
    archived.is_archived = true;
    update(backend, &archived).await.unwrap();
    let page = |only: Option<ProjectId>, after: Option<ProjectId>| {
        run(backend.tenancy(), Scope::tenant(tenant), move |store| {
            store.projects(tenant, only, after, 2)
        })
    };
    assert_eq!(page(None, None).await, Ok(all[..3].to_vec()));
    assert_eq!(page(None, Some(all[1].id)).await, Ok(all[2..].to_vec()));
    assert_eq!(page(None, Some(all[3].id)).await, Ok(vec![]));
    let (one, id) = (vec![all[1].clone()], all[1].id);
    assert_eq!(page(Some(id), None).await, Ok(one));
    assert_eq!(page(Some(id), Some(id)).await, Ok(vec![]));
    assert_eq!(page(Some(archived.id), None).await, Ok(vec![]));
}

/// Neither the default project nor archived ones count; the plan says how many there may be.
pub async fn open_projects_count_against_the_plan(backend: &impl Backend) {
    for (slug, plan, max) in [("acme", "starter", Some(5)), ("large", "enterprise", None)] {
        let tenant_id = fixture::stored_tenant(backend, slug).await.id;
        backend.seed(Seed::Subscription { tenant_id, plan }).await;
        let mut default = project(tenant_id, "default");
        default.is_default = true;
        insert(backend, &default).await.unwrap();
        stored_project(backend, tenant_id, "open").await;
        let mut archived = stored_project(backend, tenant_id, "archived").await;
        archived.is_archived = true;
        update(backend, &archived).await.unwrap();
        let counted = run(backend.tenancy(), Scope::tenant(tenant_id), move |store| {
            store.project_allowance(tenant_id)
        });
        let (allowance, used) = counted.await.unwrap();
        assert_eq!(
            (allowance.max, allowance.plan.as_str(), used),
            (max, plan, 1)
        );
    }
}

/// Whoever counts projects holds the tenant until they are done, so that several at once never make more than there may be.
pub async fn projects_are_made_one_after_another(backend: &impl Backend) {
    let tenant_id = fixture::stored_tenant(backend, "acme").await.id;
    let plan = "free";
    backend.seed(Seed::Subscription { tenant_id, plan }).await;
    let making: Vec<_> = (0..4)
        .map(|number| {
            let (row, db) = (
                project(tenant_id, &format!("project-{number}")),
                backend.tenancy(),
            );
            tokio::spawn(async move {
                db.run(Scope::tenant(tenant_id), move |store| {
                    let (allowance, used) = store.project_allowance(tenant_id)?;
                    if allowance.admit("max_projects", used).is_err() {
                        return Ok::<_, StoreError>(false);
                    }
                    store.insert_project(&row)?;
                    Ok(true)
                })
                .await
            })
        })
        .collect();
    let mut made = 0;
    for outcome in making {
        made += u32::from(outcome.await.unwrap().unwrap());
    }
    assert_eq!(made, 1);
}

/// A name is one environment's in its project, and the project is one of the tenant.
pub async fn environments_come_by_name(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let rockets = stored_project(backend, tenant, "rockets").await.id;
    let boats = stored_project(backend, tenant, "boats").await.id;
    let mut written = Vec::new();
    for (name, kind) in [
        ("qa", EnvironmentKind::Staging),
        ("live", EnvironmentKind::Prod),
        ("mine", EnvironmentKind::Dev),
    ] {
        let mut environment = environment(rockets, name);
        environment.kind = kind;
        let added = add_environment(backend, tenant, &environment).await;
        assert_eq!(added, Ok(environment.id));
        written.push(environment);
    }
    written.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(environments(backend, tenant, rockets).await, written);

    let beside = environment(boats, "qa");
    add_environment(backend, tenant, &beside).await.unwrap();
    assert_eq!(environments(backend, tenant, boats).await, [beside]);
    for (tenant, project, constraint) in [
        (
            tenant,
            rockets,
            "environments_tenant_id_project_id_name_key",
        ),
        (other, rockets, "environments_tenant_id_project_id_fkey"),
    ] {
        let added = add_environment(backend, tenant, &environment(project, "qa")).await;
        assert!(
            matches!(&added, Err(error) if error.conflicts_with(constraint)),
            "{added:?}"
        );
    }
}

/// Nothing of another tenant is read, counted, added or changed.
pub async fn projects_of_another_tenant_are_out_of_reach(backend: &impl Backend) {
    let (own, other) = (
        fixture::stored_tenant(backend, "own").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let kept = stored_project(backend, other, "rockets").await;
    let qa = environment(kept.id, "qa");
    add_environment(backend, other, &qa).await.unwrap();
    for scope in [Scope::tenant(own), Scope::global()] {
        let (mut changed, id) = (kept.clone(), kept.id);
        changed.is_archived = true;
        let reached = run(backend.tenancy(), scope.clone(), move |store| {
            store.update_project(&changed)?;
            Ok::<_, StoreError>((
                store.project(other, id)?,
                store.projects(other, None, None, 9)?,
                store.project_slug_taken(other, &changed.slug)?,
                store.environments(other, id)?,
            ))
        });
        assert_eq!(reached.await, Ok((None, vec![], false, vec![])));
        let counted = run(backend.tenancy(), scope.clone(), move |store| {
            store.project_allowance(other)
        });
        let row = project(other, "boats");
        let added = run(backend.tenancy(), scope.clone(), move |store| {
            store.insert_project(&row)
        });
        let row = environment(id, "prod");
        let extended = run(backend.tenancy(), scope, move |store| {
            store.insert_environment(other, &row)
        });
        for outcome in [
            counted.await.map(drop),
            added.await,
            extended.await.map(drop),
        ] {
            assert!(
                matches!(outcome, Err(StoreError::Unexpected(_))),
                "{outcome:?}"
            );
        }
    }
    assert_eq!(read(backend, &kept).await, Some(kept.clone()));
    assert_eq!(environments(backend, other, kept.id).await, [qa]);
}
