//! `/v1/projects`.

use std::collections::HashSet;

use reqwest::{Method, StatusCode, header};
use serde_json::json;

use crate::{
    harness::{TestApp, text},
    identity_client::Server,
};

#[actix_web::test]
async fn a_project_comes_with_three_environments_and_its_audit_event() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, project) = ann.post("/v1/projects", json!({ "name": "Rockets" })).await;
    assert_eq!(
        (status, &project["slug"]),
        (StatusCode::CREATED, &json!("rockets")),
        "{project}"
    );
    let path = format!("/v1/projects/{}", text(&project["id"]));
    let (status, read) = ann.get(&path).await;
    assert_eq!((status, &read), (StatusCode::OK, &project));
    let (_, environments) = ann.get(&format!("{path}/environments")).await;
    let names: Vec<_> = environments["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| text(&e["name"]))
        .collect();
    assert_eq!(names, ["dev", "prod", "staging"]);
    assert_eq!(ann.trail().await[0], "project.created");
}

#[actix_web::test]
async fn the_plan_limits_projects_and_a_closed_one_gives_its_place_back() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, first) = ann.post("/v1/projects", json!({ "name": "One" })).await;
    let (status, problem) = ann.post("/v1/projects", json!({ "name": "Two" })).await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(problem["code"], "billing.limit_reached");
    assert_eq!(
        (
            &problem["limit"],
            &problem["max"],
            &problem["used"],
            &problem["plan"]
        ),
        (&json!("max_projects"), &json!(1), &json!(1), &json!("free"))
    );
    let (status, _) = ann
        .delete(&format!("/v1/projects/{}", text(&first["id"])))
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = ann.post("/v1/projects", json!({ "name": "Two" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, list) = ann.get("/v1/projects").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn slugs_are_unique_in_the_tenant_only() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    ann.upgrade("pro").await;
    let body = json!({ "name": "Rockets", "slug": "rockets" });
    assert_eq!(
        ann.post("/v1/projects", body.clone()).await.0,
        StatusCode::CREATED
    );
    let (status, problem) = ann.post("/v1/projects", body.clone()).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("tenancy.project_slug_taken"))
    );
    assert_eq!(bob.post("/v1/projects", body).await.0, StatusCode::CREATED);
}

#[actix_web::test]
async fn a_name_may_repeat_however_many_projects_of_it_were_closed() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("pro").await;
    let mut slugs = HashSet::new();
    for round in 0..4 {
        let (status, project) = ann.post("/v1/projects", json!({ "name": "Rockets" })).await;
        assert_eq!(status, StatusCode::CREATED, "{project}");
        assert!(slugs.insert(text(&project["slug"])), "{project}");
        // An archived project keeps its slug, and counts no more.
        if round != 1 {
            let path = format!("/v1/projects/{}", text(&project["id"]));
            assert_eq!(ann.delete(&path).await.0, StatusCode::NO_CONTENT);
        }
    }
}

#[actix_web::test]
async fn lists_are_paged() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("pro").await;
    for number in 0..5 {
        let (status, _) = ann
            .post("/v1/projects", json!({ "name": format!("P{number}") }))
            .await;
        assert_eq!(status, StatusCode::CREATED);
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/projects?limit=2".to_owned());
    loop {
        let (status, page) = ann.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|project| text(&project["name"])),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/projects?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["P0", "P1", "P2", "P3", "P4"]);
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "cursor=zz",
        "cursor=7b7d",
    ] {
        let (status, problem) = ann.get(&format!("/v1/projects?{bad}")).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("request.invalid")),
            "{bad}"
        );
    }
}

#[actix_web::test]
async fn a_project_is_changed_under_its_etag() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, project) = ann.post("/v1/projects", json!({ "name": "One" })).await;
    let path = format!("/v1/projects/{}", text(&project["id"]));
    let change = |etag: &'static str| {
        ann.request(Method::PATCH, &path)
            .header(header::IF_MATCH, etag)
            .json(&json!({ "name": "Two" }))
            .send()
    };
    assert_eq!(change("\"1\"").await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        change("\"1\"").await.unwrap().status(),
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(
        change("nonsense").await.unwrap().status(),
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(change("*").await.unwrap().status(), StatusCode::OK);
}

#[actix_web::test]
async fn another_tenants_project_is_a_random_one() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    let (_, project) = bob.post("/v1/projects", json!({ "name": "Secret" })).await;
    let foreign = text(&project["id"]);
    for id in [foreign.as_str(), "0198a000-0000-7000-8000-000000000000"] {
        let path = format!("/v1/projects/{id}");
        for (status, problem) in [
            ann.get(&path).await,
            ann.patch(&path, json!({ "name": "Mine" })).await,
            ann.delete(&path).await,
            ann.get(&format!("{path}/environments")).await,
        ] {
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert_eq!(problem["code"], "tenancy.project_not_found");
        }
    }
    let (status, problem) = ann.get("/v1/projects/not-an-id").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][0]["code"], "invalid_uuid");
}

#[actix_web::test]
async fn the_default_project_cannot_be_closed() {
    let server = Server::start().await;
    let ann = server.register("ann").await;
    let body = json!({ "name": "Default" });
    let project = server.post("/v1/projects", &ann.token, &body).await.ok();
    let id = text(&project["id"]);
    let mark = format!("update projects set is_default = true where id = '{id}'");
    server.sql(&mark).await;
    let path = format!("/v1/projects/{id}");
    let close = server
        .request(Method::DELETE, &path)
        .bearer_auth(&ann.token);
    let refused = server.send(close).await;
    assert_eq!(
        (refused.status, refused.code()),
        (409, "tenancy.default_project")
    );
    assert_eq!(server.get(&path, &ann.token).await.status, 200);
}
