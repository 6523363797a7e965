//! `Idempotency-Key`.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Person, TestApp, read, text};

async fn send(
    person: &Person<'_>,
    key: &str,
    path: &str,
    body: Value,
) -> (StatusCode, bool, Value) {
    let request = person
        .request(Method::POST, path)
        .header("Idempotency-Key", key);
    let response = request.json(&body).send().await.unwrap();
    let replayed = response
        .headers()
        .get("idempotent-replayed")
        .is_some_and(|value| value == "true");
    let (status, body) = read(response).await;
    (status, replayed, body)
}

#[actix_web::test]
async fn the_same_request_gets_the_same_answer_and_happens_once() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("pro").await;
    let body = json!({ "name": "Rockets" });
    let (status, replayed, first) = send(&ann, "k1", "/v1/projects", body.clone()).await;
    assert_eq!((status, replayed), (StatusCode::CREATED, false), "{first}");
    let (status, replayed, second) = send(&ann, "k1", "/v1/projects", body).await;
    assert_eq!(
        (status, replayed, &second),
        (StatusCode::CREATED, true, &first)
    );
    let (_, list) = ann.get("/v1/projects").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn another_request_under_the_same_key_is_refused() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    ann.upgrade("pro").await;
    send(&ann, "k1", "/v1/projects", json!({ "name": "One" })).await;
    let (status, _, problem) = send(&ann, "k1", "/v1/projects", json!({ "name": "Two" })).await;
    assert_eq!(
        (status, &problem["code"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("idempotency.key_reused")
        )
    );
    // Keys belong to a principal.
    let (status, _, _) = send(&bob, "k1", "/v1/projects", json!({ "name": "Two" })).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(!text(&problem["request_id"]).is_empty(), "{problem}");
}

#[actix_web::test]
async fn a_key_that_cannot_be_one_is_refused() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for key in ["k".repeat(256).as_str(), "two words", "a\tb", ""] {
        let (status, _, problem) = send(&ann, key, "/v1/projects", json!({ "name": "X" })).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("idempotency.key_invalid")),
            "{key:?}"
        );
    }
}

#[actix_web::test]
async fn many_at_once_happen_once() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("pro").await;
    let answers =
        join_all((0..12).map(|_| send(&ann, "k1", "/v1/projects", json!({ "name": "One" })))).await;
    for (status, _, body) in &answers {
        let running = *status == StatusCode::CONFLICT && body["code"] == "idempotency.in_progress";
        assert!(*status == StatusCode::CREATED || running, "{status} {body}");
    }
    let (_, list) = ann.get("/v1/projects").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_refusal_is_replayed_too_and_bad_json_can_be_mended() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.post("/v1/projects", json!({ "name": "One" })).await;
    let (status, replayed, first) =
        send(&ann, "k1", "/v1/projects", json!({ "name": "Two" })).await;
    assert_eq!((status, replayed), (StatusCode::PAYMENT_REQUIRED, false));
    let (status, replayed, second) =
        send(&ann, "k1", "/v1/projects", json!({ "name": "Two" })).await;
    assert_eq!((status, replayed), (StatusCode::PAYMENT_REQUIRED, true));
    assert_eq!(first["used"], second["used"]);
}

#[actix_web::test]
async fn a_replayed_key_has_no_secret() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let body = json!({ "name": "ci", "scopes": ["project.read"] });
    let (status, _, first) = send(&ann, "k1", "/v1/api-keys", body.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    assert!(text(&first["key"]).starts_with("plk_"));
    let (status, replayed, second) = send(&ann, "k1", "/v1/api-keys", body).await;
    assert_eq!((status, replayed), (StatusCode::CREATED, true));
    assert_eq!(
        (&second["key"], &second["id"]),
        (&Value::Null, &first["id"])
    );
}

#[actix_web::test]
async fn a_registration_is_not_done_twice() {
    let app = TestApp::start().await;
    let register = || {
        let body = json!({ "email": "ann@example.com", "password": "correct horse battery" });
        app.request(Method::POST, "/v1/auth/register")
            .header("Idempotency-Key", "k1")
            .json(&body)
            .send()
    };
    let (status, first) = read(register().await.unwrap()).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    let (status, second) = read(register().await.unwrap()).await;
    assert_eq!(
        (status, &second["user"]),
        (StatusCode::CREATED, &first["user"])
    );
    assert_eq!(
        (&second["access_token"], &second["refresh_token"]),
        (&Value::Null, &Value::Null)
    );
}

#[actix_web::test]
async fn the_same_request_to_another_tenant_is_another_request() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, acme) = ann.post("/v1/tenants", json!({ "name": "Acme" })).await;
    let make = |tenant: String| {
        let request = ann.request(Method::POST, "/v1/projects");
        let request = request
            .header("Idempotency-Key", "k1")
            .header("X-Tenant-ID", tenant);
        request.json(&json!({ "name": "One" })).send()
    };
    let first = make(ann.tenant_id.clone()).await.unwrap();
    assert_eq!(first.status(), StatusCode::CREATED);
    let (status, problem) = read(make(text(&acme["id"])).await.unwrap()).await;
    assert_eq!(
        (status, &problem["code"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("idempotency.key_reused")
        )
    );
}
