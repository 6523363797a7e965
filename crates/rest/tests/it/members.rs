//! `/v1/members`, `/v1/roles` and `/v1/permissions`.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Person, TestApp, read, text};

/// Bob joins Ann's tenant with a role.
async fn join(ann: &Person<'_>, bob: &Person<'_>, role: &str) {
    let (status, invitation) = ann
        .post(
            "/v1/invitations",
            json!({ "email": bob.email, "role": role }),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED, "{invitation}");
    let (status, body) = bob
        .post(
            "/v1/invitations/accept",
            json!({ "token": invitation["token"] }),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

async fn in_anns(bob: &Person<'_>, ann: &Person<'_>, method: Method, path: &str) -> StatusCode {
    let request = bob
        .request(method, path)
        .header("X-Tenant-ID", &ann.tenant_id);
    let body = match path {
        "/v1/invitations" => json!({ "email": "x@example.com", "role": "owner" }),
        _ => json!({ "roles": ["owner"] }),
    };
    request.json(&body).send().await.unwrap().status()
}

#[actix_web::test]
async fn the_last_owner_stays() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    let own = format!("/v1/members/{}", ann.user_id);
    for (status, problem) in [
        ann.patch(&own, json!({ "roles": ["member"] })).await,
        ann.delete(&own).await,
    ] {
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::CONFLICT, &json!("tenancy.last_owner"))
        );
    }
    join(&ann, &bob, "owner").await;
    assert_eq!(ann.delete(&own).await.0, StatusCode::NO_CONTENT);
}

#[actix_web::test]
async fn two_owners_who_leave_at_once_leave_one() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    join(&ann, &bob, "owner").await;
    let leave = |person: &Person<'_>| {
        let path = format!("/v1/members/{}", person.user_id);
        person
            .request(Method::DELETE, &path)
            .header("X-Tenant-ID", &ann.tenant_id)
            .send()
    };
    let (first, second) = futures_util::future::join(leave(&ann), leave(&bob)).await;
    let mut statuses = [
        first.unwrap().status().as_u16(),
        second.unwrap().status().as_u16(),
    ];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
}

#[actix_web::test]
async fn nobody_gives_or_takes_what_they_do_not_have() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    join(&ann, &bob, "admin").await;
    let ann_path = format!("/v1/members/{}", ann.user_id);
    let bob_path = format!("/v1/members/{}", bob.user_id);
    assert_eq!(
        in_anns(&bob, &ann, Method::PATCH, &bob_path).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        in_anns(&bob, &ann, Method::PATCH, &ann_path).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        in_anns(&bob, &ann, Method::DELETE, &ann_path).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        in_anns(&bob, &ann, Method::POST, "/v1/invitations").await,
        StatusCode::FORBIDDEN
    );
}

#[actix_web::test]
async fn a_removed_member_is_out_within_a_second() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    join(&ann, &bob, "viewer").await;
    assert_eq!(
        in_anns(&bob, &ann, Method::GET, "/v1/projects").await,
        StatusCode::OK
    );
    let (status, problem) = {
        let request = bob
            .request(Method::POST, "/v1/projects")
            .header("X-Tenant-ID", &ann.tenant_id);
        read(request.json(&json!({ "name": "P" })).send().await.unwrap()).await
    };
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::FORBIDDEN, &json!("identity.forbidden"))
    );
    assert_eq!(problem["required"], "project.create");
    let (status, _) = ann.delete(&format!("/v1/members/{}", bob.user_id)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        in_anns(&bob, &ann, Method::GET, "/v1/projects").await,
        StatusCode::NOT_FOUND
    );
}

#[actix_web::test]
async fn the_keys_of_a_leaver_are_revoked_and_the_trail_says_so() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    join(&ann, &bob, "admin").await;
    let body = json!({ "name": "ci", "scopes": ["project.read"] });
    let request = bob
        .request(Method::POST, "/v1/api-keys")
        .header("X-Tenant-ID", &ann.tenant_id);
    let (status, key) = read(request.json(&body).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::CREATED, "{key}");
    let (status, _) = ann.delete(&format!("/v1/members/{}", bob.user_id)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, told) = ann
        .post("/v1/api-keys/verify", json!({ "key": key["key"] }))
        .await;
    assert_eq!(
        (&told["valid"], &told["code"]),
        (&json!(false), &json!("REVOKED"))
    );
    let (_, events) = ann.get("/v1/audit-events?action=api_key.revoked").await;
    assert_eq!(events["data"][0]["target"]["id"], key["id"]);
}

#[actix_web::test]
async fn a_role_change_shows_in_the_trail() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    join(&ann, &bob, "viewer").await;
    let path = format!("/v1/members/{}", bob.user_id);
    let (status, member) = ann.patch(&path, json!({ "roles": ["developer"] })).await;
    assert_eq!(
        (status, &member["roles"]),
        (StatusCode::OK, &json!(["developer"]))
    );
    let (_, events) = ann
        .get("/v1/audit-events?action=member.roles_changed")
        .await;
    assert_eq!(
        events["data"][0]["diff"],
        json!({ "roles": ["viewer", "developer"] })
    );
    assert_eq!(events["data"][0]["target"]["id"], json!(bob.user_id));
    assert_eq!(
        ann.patch(&path, json!({ "roles": [] })).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[actix_web::test]
async fn roles_and_permissions_are_listed() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, roles) = ann.get("/v1/roles").await;
    assert_eq!(status, StatusCode::OK);
    let keys: Vec<_> = roles["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| text(&role["key"]))
        .collect();
    for key in [
        "owner",
        "admin",
        "billing_admin",
        "developer",
        "member",
        "viewer",
        "project_viewer",
    ] {
        assert!(keys.iter().any(|found| found == key), "{key} is missing");
    }
    assert!(
        !keys.iter().any(|key| key.starts_with("platform_")),
        "{keys:?}"
    );
    let (_, codes) = ann.get("/v1/permissions").await;
    let codes: Vec<_> = codes["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| text(&code["code"]))
        .collect();
    for code in [
        "tenant.read",
        "project.create",
        "audit.read",
        "usage.backfill",
        "api_key.create",
    ] {
        assert!(codes.iter().any(|found| found == code), "{code} is missing");
    }
}
