//! Keys that are bound to one project.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Person, TestApp, read, text};

/// A person with a paid plan and two projects.
async fn two_projects(app: &TestApp) -> (Person<'_>, String, String) {
    let ann = app.register("ann@example.com").await;
    ann.upgrade("pro").await;
    let mut ids = Vec::new();
    for name in ["Mine", "Other"] {
        let (status, project) = ann.post("/v1/projects", json!({ "name": name })).await;
        assert_eq!(status, StatusCode::CREATED, "{project}");
        ids.push(text(&project["id"]));
    }
    let other = ids.remove(1);
    (ann, ids.remove(0), other)
}

async fn make(ann: &Person<'_>, name: &str, project: Option<&str>) -> Value {
    let body = json!({ "name": name, "project_id": project, "scopes": ["*"] });
    let (status, made) = ann.post("/v1/api-keys", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made
}

/// What a key gets for a request.
async fn ask(
    app: &TestApp,
    key: &Value,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let request = app.request(method, path).bearer_auth(text(&key["key"]));
    let request = if body.is_null() {
        request
    } else {
        request.json(&body)
    };
    read(request.send().await.unwrap()).await
}

#[actix_web::test]
async fn a_key_of_one_project_does_nothing_to_the_tenant() {
    let app = TestApp::start().await;
    let (ann, mine, _) = two_projects(&app).await;
    let key = make(&ann, "bound", Some(&mine)).await;
    let tenant = format!("/v1/tenants/{}", ann.tenant_id);
    let member = format!("/v1/members/{}", ann.user_id);
    let project = format!("/v1/projects/{mine}");
    let invitation = json!({ "email": "eve@example.com", "role": "owner" });
    for (method, path, body, required) in [
        (Method::POST, "/v1/invitations", invitation, "user.invite"),
        (Method::GET, "/v1/members", Value::Null, "member.read"),
        (
            Method::PATCH,
            &member,
            json!({ "roles": ["viewer"] }),
            "member.write",
        ),
        (Method::GET, "/v1/audit-events", Value::Null, "audit.read"),
        (Method::GET, "/v1/subscription", Value::Null, "billing.read"),
        (
            Method::GET,
            "/v1/entitlements",
            Value::Null,
            "entitlement.read",
        ),
        (
            Method::POST,
            "/v1/projects",
            json!({ "name": "New" }),
            "project.create",
        ),
        (Method::DELETE, &project, Value::Null, "project.delete"),
        (Method::GET, &tenant, Value::Null, "tenant.read"),
        (Method::DELETE, &tenant, Value::Null, "tenant.delete"),
    ] {
        let (status, problem) = ask(&app, &key, method, path, body).await;
        assert_eq!(
            (status, &problem["code"], &problem["required"]),
            (
                StatusCode::FORBIDDEN,
                &json!("identity.forbidden"),
                &json!(required)
            ),
            "{path}: {problem}"
        );
    }
    let (_, me) = ask(&app, &key, Method::GET, "/v1/me", Value::Null).await;
    let permissions = me["memberships"][0]["permissions"].as_array().unwrap();
    assert!(permissions.contains(&json!("project.read")), "{me}");
    assert!(!permissions.contains(&json!("*")), "{me}");
}

#[actix_web::test]
async fn a_key_of_one_project_sees_that_project_and_no_other() {
    let app = TestApp::start().await;
    let (ann, mine, other) = two_projects(&app).await;
    let key = make(&ann, "bound", Some(&mine)).await;
    let path = |id: &str| format!("/v1/projects/{id}");
    let (status, project) = ask(&app, &key, Method::GET, &path(&mine), Value::Null).await;
    assert_eq!((status, &project["id"]), (StatusCode::OK, &json!(mine)));
    let (status, problem) = ask(&app, &key, Method::GET, &path(&other), Value::Null).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::NOT_FOUND, &json!("tenancy.project_not_found"))
    );
    let (_, list) = ask(&app, &key, Method::GET, "/v1/projects", Value::Null).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let change = json!({ "name": "Renamed" });
    let (status, _) = ask(&app, &key, Method::PATCH, &path(&mine), change.clone()).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = ask(&app, &key, Method::PATCH, &path(&other), change).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_verification_knows_that_a_key_is_bound() {
    let app = TestApp::start().await;
    let (ann, mine, other) = two_projects(&app).await;
    let bound = make(&ann, "bound", Some(&mine)).await;
    let beside = make(&ann, "beside", Some(&other)).await;
    let verify = |key: &Value, wanted: &str| json!({ "key": key["key"], "permissions": wanted });
    for (wanted, code) in [
        ("project.read", "VALID"),
        ("user.invite", "INSUFFICIENT_PERMISSIONS"),
        ("project.read OR billing.write", "VALID"),
        ("project.create", "INSUFFICIENT_PERMISSIONS"),
    ] {
        let (_, answer) = ann
            .post("/v1/api-keys/verify", verify(&bound, wanted))
            .await;
        assert_eq!(answer["code"], code, "{wanted}");
    }
    for (shown, code) in [(&bound, "VALID"), (&beside, "NOT_FOUND")] {
        let question = verify(shown, "project.read");
        let (_, answer) = ask(&app, &bound, Method::POST, "/v1/api-keys/verify", question).await;
        assert_eq!(answer["code"], code);
    }
}
