//! Projects, within the plan and within the tenant.

use kernel::{Grant, LimitReached, Name, PageRequest, Principal, ProjectId};
use plinth_tenancy::{
    EnvironmentKind, Slug,
    project::{ProjectChange, ProjectError},
};

use crate::memory::World;

async fn acme(world: &World, plan: &'static str) -> Principal {
    let ann = world.person("ann").await;
    let acme = world.tenant("acme", plan, &ann).await;
    world.within(acme, &ann).await
}

fn name(name: &str) -> Name {
    Name::parse("name", name).unwrap()
}

/// The same principal, held to one project.
fn held_to(by: &Principal, project: ProjectId) -> Principal {
    let grant = by.grant.clone().map(|grant| Grant {
        project_id: Some(project),
        ..grant
    });
    Principal {
        grant,
        ..by.clone()
    }
}

#[tokio::test]
async fn a_project_has_three_environments_from_the_start() {
    let world = World::new();
    let by = acme(&world, "free").await;
    let tenancy = &world.tenancy;
    let made = tenancy.create_project(&by, name("Big Rockets"), None).await;
    let project = made.unwrap();
    assert_eq!(project.slug.as_str(), "big-rockets");
    let added = tenancy.add_environment(&by, project.id, "qa".to_owned(), EnvironmentKind::Staging);
    added.await.unwrap();
    let again = tenancy.add_environment(&by, project.id, "qa".to_owned(), EnvironmentKind::Dev);
    assert!(matches!(
        again.await,
        Err(ProjectError::EnvironmentTaken(name)) if name == "qa"
    ));
    let environments = tenancy.environments(&by, project.id).await.unwrap();
    let names: Vec<&str> = environments.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["dev", "prod", "qa", "staging"]);
}

#[tokio::test]
async fn a_closed_project_gives_its_place_back() {
    let world = World::new();
    let by = acme(&world, "free").await;
    let tenancy = &world.tenancy;
    let first = tenancy.create_project(&by, name("First"), None).await;
    let first = first.unwrap();
    let full = LimitReached {
        limit: "max_projects".to_owned(),
        max: 1,
        used: 1,
        plan: "free".to_owned(),
    };
    let refused = tenancy.create_project(&by, name("Second"), None).await;
    assert!(
        matches!(&refused, Err(ProjectError::Limit(limit)) if *limit == full),
        "{refused:?}"
    );
    tenancy.archive_project(&by, first.id).await.unwrap();
    let gone = tenancy.project(&by, first.id).await;
    assert!(matches!(gone, Err(ProjectError::NotFound)));
    let second = tenancy.create_project(&by, name("Second"), None).await;
    let listed = tenancy.projects(&by, PageRequest::first()).await.unwrap();
    assert_eq!(listed.data, [second.unwrap()]);
}

#[tokio::test]
async fn a_slug_that_is_asked_for_is_had_or_refused() {
    let world = World::new();
    let by = acme(&world, "starter").await;
    let tenancy = &world.tenancy;
    let slug = Slug::parse("rockets").unwrap();
    let first = tenancy.create_project(&by, name("Rockets"), None).await;
    assert_eq!(first.unwrap().slug, slug);
    let another = tenancy.create_project(&by, name("Rockets"), None).await;
    let another = another.unwrap();
    assert_ne!(another.slug, slug, "one is made up when nobody asks");
    let asked = tenancy.create_project(&by, name("Third"), Some(slug.clone()));
    let change = ProjectChange {
        slug: Some(slug.clone()),
        ..ProjectChange::default()
    };
    let renamed = tenancy.change_project(&by, another.id, change, None);
    for outcome in [asked.await, renamed.await] {
        assert!(
            matches!(&outcome, Err(ProjectError::SlugTaken { slug: taken }) if *taken == slug),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_change_names_the_version_that_it_is_of() {
    let world = World::new();
    let by = acme(&world, "free").await;
    let tenancy = &world.tenancy;
    let made = tenancy.create_project(&by, name("Rockets"), None).await;
    let id = made.unwrap().id;
    let change = |to: &str| ProjectChange {
        name: Some(name(to)),
        ..ProjectChange::default()
    };
    let first = tenancy.change_project(&by, id, change("Boats"), Some(1));
    assert_eq!(first.await.unwrap().version, 2);
    let late = tenancy
        .change_project(&by, id, change("Cars"), Some(1))
        .await;
    assert!(matches!(late, Err(ProjectError::Stale)));
    let kept = tenancy.project(&by, id).await.unwrap();
    assert_eq!(kept.name.as_str(), "Boats");
}

#[tokio::test]
async fn whoever_is_held_to_a_project_sees_no_other() {
    let world = World::new();
    let by = acme(&world, "starter").await;
    let tenancy = &world.tenancy;
    let mut ids = Vec::new();
    for title in ["Rockets", "Boats"] {
        let made = tenancy.create_project(&by, name(title), None).await;
        ids.push(made.unwrap().id);
    }
    let held = held_to(&by, ids[0]);
    let listed = tenancy.projects(&held, PageRequest::first()).await.unwrap();
    let listed: Vec<ProjectId> = listed.data.iter().map(|project| project.id).collect();
    assert_eq!(listed, ids[..1]);
    let other = tenancy.project(&held, ids[1]).await;
    assert!(matches!(other, Err(ProjectError::NotFound)));
    let made = tenancy.create_project(&held, name("Cars"), None).await;
    assert!(matches!(made, Err(ProjectError::Denied(_))));
}
