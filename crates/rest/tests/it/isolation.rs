//! A tenant is chosen by what the request says, and by nothing else.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{TestApp, read, text};

#[actix_web::test]
async fn two_different_answers_are_one_too_many() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    let (status, key) = ann
        .post("/v1/api-keys", json!({ "name": "ci", "scopes": ["*"] }))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{key}");
    let key = text(&key["key"]);
    let ask = |name: &'static str, tenant: &str| {
        app.request(Method::GET, "/v1/projects")
            .header("X-API-Key", &key)
            .header(name, tenant)
    };
    for name in ["X-Tenant-ID", "X-Workspace-ID"] {
        let (status, problem) = read(ask(name, &bob.tenant_id).send().await.unwrap()).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("tenancy.ambiguous"))
        );
        assert_eq!(
            ask(name, &ann.tenant_id).send().await.unwrap().status(),
            StatusCode::OK
        );
    }
    let both = ask("X-Tenant-ID", &ann.tenant_id).header("X-Workspace-ID", &bob.tenant_id);
    assert_eq!(both.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn a_person_with_two_tenants_chooses_with_a_header_and_is_remembered() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, acme) = ann.post("/v1/tenants", json!({ "name": "Acme" })).await;
    let acme = text(&acme["id"]);
    let request = ann
        .request(Method::POST, "/v1/projects")
        .header("X-Tenant-ID", &acme);
    let (status, project) = read(
        request
            .json(&json!({ "name": "Rockets" }))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED, "{project}");
    let listed = |tenant: String| {
        let request = ann
            .request(Method::GET, "/v1/projects")
            .header("X-Workspace-ID", tenant);
        async move {
            read(request.send().await.unwrap()).await.1["data"]
                .as_array()
                .unwrap()
                .len()
        }
    };
    assert_eq!(listed(acme).await, 1);
    assert_eq!(listed(ann.tenant_id.clone()).await, 0);
}

#[actix_web::test]
async fn every_401_looks_the_same() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, key) = ann
        .post("/v1/api-keys", json!({ "name": "ci", "scopes": ["*"] }))
        .await;
    let key = text(&key["key"]);
    let truncated = &key[..key.len() - 1];
    let foreign = format!("{}x", &ann.token[..ann.token.len() - 1]);
    let mut told = Vec::new();
    for credential in [
        "garbage",
        truncated,
        "plk_live_x_y",
        foreign.as_str(),
        "eyJhbGciOiJub25lIn0.e30.",
    ] {
        let response = app
            .request(Method::GET, "/v1/projects")
            .bearer_auth(credential)
            .send()
            .await
            .unwrap();
        let challenge = response.headers()["www-authenticate"].clone();
        let (status, mut problem) = read(response).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{credential}");
        problem["request_id"] = json!(null);
        told.push((challenge, problem));
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:#?}");
}
