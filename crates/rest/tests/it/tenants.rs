//! `/v1/tenants` and `/v1/admin/tenants`.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::harness::{PLATFORM_KEY, TestApp, read, text};

#[actix_web::test]
async fn signing_up_gives_a_personal_tenant_on_the_free_plan_with_its_trail() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, body) = ann.get("/v1/tenants").await;
    assert_eq!(status, StatusCode::OK);
    let tenant = &body["data"][0];
    assert_eq!(tenant["slug"], "ann");
    assert_eq!(tenant["plan"], "free");
    assert_eq!(tenant["status"], "active");
    assert_eq!(tenant["is_personal"], true);
    let mut trail = ann.trail().await;
    trail.sort();
    for action in [
        "member.added",
        "subscription.created",
        "tenant.created",
        "user.registered",
    ] {
        assert!(
            trail.iter().any(|found| found == action),
            "{action} is missing in {trail:?}"
        );
    }
}

#[actix_web::test]
async fn a_second_tenant_has_its_owner_and_its_slug_alone() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let bob = app.register("bob@example.com").await;
    let (status, made) = ann
        .post("/v1/tenants", json!({ "name": "Acme", "slug": "acme" }))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (status, problem) = bob
        .post("/v1/tenants", json!({ "name": "Acme", "slug": "acme" }))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("tenancy.slug_taken"))
    );
    // Without a slug asked for, one is found.
    let (status, made) = bob.post("/v1/tenants", json!({ "name": "Acme" })).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(text(&made["slug"]).starts_with("acme-"), "{made}");
}

#[actix_web::test]
async fn bad_slugs_are_refused_with_the_rule_and_nothing_is_made() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for (slug, rule) in [
        ("admin", "reserved"),
        ("a--b", "double_dash"),
        ("xn--80ak6aa92e", "double_dash"),
        ("UPPER", "invalid_characters"),
        ("ab", "too_short"),
        ("a\0b", "invalid_characters"),
    ] {
        let (status, problem) = ann
            .post("/v1/tenants", json!({ "name": "X", "slug": slug }))
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{slug}");
        assert_eq!(problem["code"], "tenancy.slug_invalid", "{slug}");
        assert_eq!(problem["errors"][0]["field"], "slug");
        assert_eq!(problem["errors"][0]["code"], rule, "{slug}");
    }
    let (_, tenants) = ann.get("/v1/tenants").await;
    assert_eq!(tenants["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_change_needs_the_version_that_was_read() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let path = format!("/v1/tenants/{}", ann.tenant_id);
    let response = ann.request(Method::GET, &path).send().await.unwrap();
    let etag = response.headers()[header::ETAG].clone();
    let change = |etag: header::HeaderValue, name: &str| {
        let request = ann
            .request(Method::PATCH, &path)
            .header(header::IF_MATCH, etag);
        request.json(&json!({ "name": name })).send()
    };
    let changed = change(etag.clone(), "Rockets").await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    assert_ne!(changed.headers()[header::ETAG], etag);
    let (status, problem) = read(change(etag, "Trains").await.unwrap()).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::PRECONDITION_FAILED, &json!("request.stale"))
    );
    let (_, tenant) = ann.get(&path).await;
    assert_eq!(tenant["name"], "Rockets");
}

#[actix_web::test]
async fn an_old_slug_stays_out_of_others_reach() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let bob = app.register("bob@example.com").await;
    let path = format!("/v1/tenants/{}", ann.tenant_id);
    let (status, _) = ann.patch(&path, json!({ "slug": "rockets" })).await;
    assert_eq!(status, StatusCode::OK);
    let take = json!({ "name": "Ann", "slug": "ann" });
    let (status, _) = bob.post("/v1/tenants", take.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, _) = ann.patch(&path, json!({ "slug": "ann" })).await;
    assert_eq!(status, StatusCode::OK);
}

#[actix_web::test]
async fn a_foreign_tenant_is_a_random_one() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let bob = app.register("bob@example.com").await;
    let random = "0198a000-0000-7000-8000-000000000000";
    let mut told: Vec<(StatusCode, Value)> = Vec::new();
    for id in [bob.tenant_id.as_str(), random] {
        let path = format!("/v1/tenants/{id}");
        for (method, body) in [
            (Method::GET, None),
            (Method::DELETE, None),
            (Method::PATCH, Some(json!({ "name": "Mine" }))),
        ] {
            let mut request = ann.request(method, &path);
            if let Some(body) = body {
                request = request.json(&body);
            }
            let (status, mut problem) = read(request.send().await.unwrap()).await;
            problem["request_id"] = Value::Null;
            told.push((status, problem));
        }
        let request = ann
            .request(Method::GET, "/v1/projects")
            .header("X-Tenant-ID", id);
        let (status, mut problem) = read(request.send().await.unwrap()).await;
        problem["request_id"] = Value::Null;
        told.push((status, problem));
    }
    let (foreign, unknown) = told.split_at(4);
    assert_eq!(foreign, unknown);
    assert!(
        foreign
            .iter()
            .all(|(status, _)| *status == StatusCode::NOT_FOUND),
        "{foreign:?}"
    );
}

#[actix_web::test]
async fn operators_freeze_and_unfreeze_and_the_tenant_reads_meanwhile() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let operate = |verb: &str| {
        let path = format!("/v1/admin/tenants/{}/{verb}", ann.tenant_id);
        app.request(Method::POST, &path)
            .bearer_auth(PLATFORM_KEY)
            .json(&json!({ "reason": "unpaid" }))
    };
    let (status, tenant) = read(operate("freeze").send().await.unwrap()).await;
    assert_eq!(
        (status, &tenant["status"]),
        (StatusCode::OK, &json!("frozen")),
        "{tenant}"
    );

    let mut frozen = ann.post("/v1/projects", json!({ "name": "P" })).await;
    for _ in 0..20 {
        if frozen.0 == StatusCode::FORBIDDEN {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        frozen = ann.post("/v1/projects", json!({ "name": "P" })).await;
    }
    assert_eq!(frozen.1["code"], "tenancy.read_only", "{frozen:?}");
    assert_eq!(frozen.1["tenant_status"], "frozen");
    assert_eq!(ann.get("/v1/projects").await.0, StatusCode::OK);

    let (status, problem) = read(operate("freeze").send().await.unwrap()).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("tenancy.wrong_state"))
    );
    let (status, _) = read(operate("unfreeze").send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    let (status, problem) = read(operate("explode").send().await.unwrap()).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
}

#[actix_web::test]
async fn members_are_no_operators() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, problem) = ann.get("/v1/admin/tenants").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::FORBIDDEN, &json!("identity.forbidden"))
    );
    let wrong = app
        .request(Method::GET, "/v1/admin/tenants")
        .bearer_auth("plp_wrong");
    assert_eq!(
        wrong.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let right = app
        .request(Method::GET, "/v1/admin/tenants")
        .bearer_auth(PLATFORM_KEY);
    let (status, body) = read(right.send().await.unwrap()).await;
    assert_eq!(
        (status, body["data"].as_array().unwrap().len()),
        (StatusCode::OK, 1)
    );
}

#[actix_web::test]
async fn an_archived_tenant_keeps_its_trail() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, tenant) = ann.delete(&format!("/v1/tenants/{}", ann.tenant_id)).await;
    assert_eq!(
        (status, &tenant["status"]),
        (StatusCode::OK, &json!("archived")),
        "{tenant}"
    );
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert!(ann.trail().await.contains(&"tenant.archived".to_owned()));
    assert_eq!(ann.get("/v1/projects").await.0, StatusCode::FORBIDDEN);
}
