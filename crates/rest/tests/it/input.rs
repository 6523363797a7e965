//! What bad input gets: a problem that names the field and the rule, and nothing written.

use reqwest::{Method, StatusCode, header};
use serde_json::json;

use crate::harness::{TestApp, read, text};

#[actix_web::test]
async fn bad_bodies_are_told_what_is_wrong() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(300));
    for (body, status, code, field) in [
        ("{", 400, "request.malformed_json", None),
        ("", 400, "request.malformed_json", None),
        (
            r#"{"name":"a"} trailing"#,
            400,
            "request.malformed_json",
            None,
        ),
        (
            r#"{"name":"a\u0000b"}"#,
            422,
            "request.invalid",
            Some("name"),
        ),
        (r#"{"name":"  "}"#, 422, "request.invalid", Some("name")),
        (r#"{"name":5}"#, 422, "request.invalid", Some("name")),
        (r#"{"nmae":"a"}"#, 422, "request.invalid", Some("nmae")),
        (r#"{}"#, 422, "request.invalid", Some("name")),
        (r#"[1]"#, 422, "request.invalid", Some("body")),
        (long.as_str(), 422, "request.invalid", Some("name")),
    ] {
        let request = ann
            .request(Method::POST, "/v1/projects")
            .header(header::CONTENT_TYPE, "application/json");
        let response = request.body(body.to_owned()).send().await.unwrap();
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json",
            "{body}"
        );
        let (found, problem) = read(response).await;
        assert_eq!(
            (found.as_u16(), &problem["code"]),
            (status, &json!(code)),
            "{body}: {problem}"
        );
        if let Some(field) = field {
            assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
        }
    }
    let (_, list) = ann.get("/v1/projects").await;
    assert_eq!(list["data"], json!([]));
}

#[actix_web::test]
async fn a_body_of_two_mebibytes_is_refused_by_its_limit() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for path in ["/v1/projects", "/v1/events"] {
        let request = ann
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json");
        let (status, problem) = read(request.body(" ".repeat(2 << 20)).send().await.unwrap()).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::PAYLOAD_TOO_LARGE, &json!("request.too_large")),
            "{path}"
        );
        assert_eq!(problem["max_bytes"], 1 << 20);
    }
}

#[actix_web::test]
async fn other_media_types_and_unknown_routes_are_problems_too() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let request = ann
        .request(Method::POST, "/v1/projects")
        .header(header::CONTENT_TYPE, "text/xml");
    let (status, problem) = read(request.body("<a/>").send().await.unwrap()).await;
    assert_eq!(
        (status, &problem["code"]),
        (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &json!("request.unsupported_media_type")
        )
    );
    let (status, problem) = ann.get("/v1/nothing").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::NOT_FOUND, &json!("request.no_such_route"))
    );
}

#[actix_web::test]
async fn a_method_that_the_path_does_not_have_is_told_which_ones_it_has() {
    let app = TestApp::start().await;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (method, path, allowed) in [
        (Method::PUT, "/v1/projects", "GET, HEAD, POST"),
        (Method::OPTIONS, "/v1/projects", "GET, HEAD, POST"),
        (Method::TRACE, "/healthz", "GET, HEAD"),
        // Not the key, or the invoice, whose id is a word.
        (Method::GET, "/v1/api-keys/verify", "POST"),
        (Method::HEAD, "/v1/invitations/accept", "POST"),
        (Method::DELETE, "/v1/invoices/upcoming", "GET, HEAD"),
        (Method::HEAD, &format!("/v1/members/{id}"), "PATCH, DELETE"),
        (
            Method::POST,
            &format!("/v1/tenants/{id}"),
            "GET, HEAD, PATCH, DELETE",
        ),
    ] {
        let response = app.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 405, "{method} {path}");
        assert_eq!(
            response.headers()[header::ALLOW],
            allowed,
            "{method} {path}"
        );
        if method != Method::HEAD {
            let (_, problem) = read(response).await;
            assert_eq!(problem["code"], "request.method_not_allowed", "{problem}");
        }
    }
}

#[actix_web::test]
async fn the_request_id_is_given_back_and_garbage_is_replaced() {
    let app = TestApp::start().await;
    let ask = |id: &'static str| {
        app.request(Method::GET, "/v1/projects")
            .header("X-Request-ID", id)
            .send()
    };
    let response = ask("trace-1.a_B").await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "trace-1.a_B");
    let (_, problem) = read(response).await;
    assert_eq!(problem["request_id"], "trace-1.a_B");
    let response = ask("spaces and <tags>").await.unwrap();
    assert_eq!(response.headers()["x-request-id"].len(), 32);
}

#[actix_web::test]
async fn private_answers_are_kept_by_nobody_and_framed_by_nobody() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for (path, status, kept) in [
        ("/v1/projects", 200, Some("no-store")),
        ("/v1/projects/nobody", 422, Some("no-store")),
        ("/.well-known/jwks.json", 200, None),
    ] {
        let response = ann.request(Method::GET, path).send().await.unwrap();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(header("x-content-type-options").unwrap(), "nosniff");
        assert_eq!(
            header("content-security-policy").unwrap(),
            "frame-ancestors 'none'"
        );
        if let Some(kept) = kept {
            assert_eq!(header("cache-control").unwrap(), kept, "{path}");
        } else {
            assert_ne!(
                header("cache-control"),
                Some("no-store".to_owned()),
                "{path}"
            );
        }
    }
}

#[actix_web::test]
async fn callers_who_are_too_fast_are_told_when_to_come_back() {
    let app = TestApp::start_with(&[
        ("PLINTH__RATE_LIMIT__REQUESTS_PER_SECOND", "1"),
        ("PLINTH__RATE_LIMIT__BURST", "3"),
    ])
    .await;
    let ann = app.register("ann@example.com").await;
    let mut last = None;
    for _ in 0..6 {
        last = Some(
            ann.request(Method::GET, "/v1/projects")
                .send()
                .await
                .unwrap(),
        );
    }
    let response = last.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    let (_, problem) = read(response).await;
    assert_eq!(problem["code"], "request.rate_limited");
}

#[actix_web::test]
async fn a_request_counts_once_though_two_layers_ask_who_calls() {
    let app = TestApp::start_with(&[
        ("PLINTH__RATE_LIMIT__REQUESTS_PER_SECOND", "1"),
        ("PLINTH__RATE_LIMIT__BURST", "10"),
    ])
    .await;
    let ann = app.register("ann@example.com").await;
    let request = ann
        .request(Method::POST, "/v1/projects")
        .header("Idempotency-Key", "k");
    let response = request.json(&json!({ "name": "P" })).send().await.unwrap();
    assert_eq!(response.headers()["ratelimit"], "\"default\";r=9");
}

#[actix_web::test]
async fn attempts_to_sign_in_are_counted_by_address_however_the_path_is_written() {
    let app = TestApp::start_with(&[
        ("PLINTH__RATE_LIMIT__SIGN_IN_PER_MINUTE", "2"),
        ("PLINTH__HTTP__TRUSTED_PROXIES", r#"["127.0.0.1"]"#),
    ])
    .await;
    let attempt = |path: &'static str, forwarded: &'static str| {
        let body = json!({ "email": "ann@example.com", "password": "wrong password" });
        let request = app.request(Method::POST, path).json(&body);
        request.header("X-Forwarded-For", forwarded).send()
    };
    for (path, forwarded, status) in [
        ("/v1/auth/login", "198.51.100.7", 401),
        ("/v1/auth/log%69n", "198.51.100.7", 401),
        ("/v1/auth/log%69n", "198.51.100.7", 429),
        // What stands left of the nearest stranger is that stranger's own invention.
        ("/v1/auth/login", "6.6.6.6, 198.51.100.7", 429),
        ("/v1/auth/login", "6.6.6.6, junk, 198.51.100.7", 429),
        ("/v1/auth/login", "198.51.100.7, 203.0.113.9", 401),
    ] {
        let response = attempt(path, forwarded).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path} {forwarded}");
    }
}

#[actix_web::test]
async fn a_path_that_is_no_text_is_refused() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, problem) = ann.put("/v1/resources/agents/%FF", json!({})).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::BAD_REQUEST, &json!("request.malformed_path"))
    );
}

#[actix_web::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::start().await;
    for (path, status) in [("/healthz", 200), ("/v1/projects", 401), ("/nothing", 404)] {
        let response = app.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert!(response.headers()[header::CONTENT_LENGTH] != "0", "{path}");
        assert!(response.bytes().await.unwrap().is_empty(), "{path}");
    }
}

#[actix_web::test]
async fn invented_methods_make_no_metrics() {
    let app = TestApp::start().await;
    let method = Method::from_bytes(b"EXPLODE").unwrap();
    app.request(method, "/v1/projects").send().await.unwrap();
    let metrics = app.request(Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("OTHER") && !metrics.contains("EXPLODE"));
}

#[actix_web::test]
async fn a_database_that_went_away_comes_back_by_itself() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    assert_eq!(ann.get("/v1/projects").await.0, StatusCode::OK);
    app.db.cut_connections();
    assert_eq!(ann.get("/v1/projects").await.0, StatusCode::OK);
    app.db.refuse_connections(true);
    let response = ann
        .request(Method::GET, "/v1/projects")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(
        app.request(Method::GET, "/readyz")
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        app.request(Method::GET, "/healthz")
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    app.db.refuse_connections(false);
    assert_eq!(ann.get("/v1/projects").await.0, StatusCode::OK);
}

#[actix_web::test]
async fn a_cursor_with_an_instant_that_cannot_be_is_refused() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for list in ["/v1/audit-events", "/v1/api-keys"] {
        for nanos in [
            -1,
            i128::from(i64::MIN) * 1_000_000,
            i128::from(i64::MAX) * 1_000_000,
        ] {
            let key = format!(r#"[{nanos},"{}"]"#, ann.user_id);
            let cursor: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
            let (status, problem) = ann.get(&format!("{list}?cursor={cursor}")).await;
            assert_eq!(
                status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{list} {key}: {problem}"
            );
            assert_eq!(problem["errors"][0]["code"], "invalid_cursor", "{problem}");
        }
    }
}

#[actix_web::test]
async fn a_nul_is_refused_by_the_field_that_holds_it() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, project) = ann.post("/v1/projects", json!({ "name": "One" })).await;
    let member = format!("/v1/members/{}", ann.user_id);
    let invitation = json!({ "email": "bob@example.com", "role": "\u{0}" });
    let key = json!({
        "name": "k", "scopes": [], "project_id": text(&project["id"]), "environment": "\u{0}"
    });
    let answers = [
        ("actor", ann.get("/v1/audit-events?actor=%00").await),
        ("action", ann.get("/v1/audit-events?action=%00").await),
        ("action", ann.get("/v1/audit-events?action=a%00*").await),
        ("target", ann.get("/v1/audit-events?target=%00").await),
        (
            "roles",
            ann.patch(&member, json!({ "roles": ["\u{0}"] })).await,
        ),
        ("role", ann.post("/v1/invitations", invitation).await),
        ("environment", ann.post("/v1/api-keys", key).await),
    ];
    for (field, (status, problem)) in answers {
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{field}: {problem}"
        );
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}

#[actix_web::test]
async fn a_body_that_may_be_left_out_may_be_null_and_is_json_when_it_is_there() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, key) = ann
        .post("/v1/api-keys", json!({ "name": "ci", "scopes": [] }))
        .await;
    let path = format!("/v1/api-keys/{}/revoke", text(&key["id"]));
    for (kind, body, status) in [
        ("text/plain", "gone", 415),
        ("application/json", "[]", 422),
        ("application/json", " null ", 200),
        ("application/json", "", 200),
        ("text/plain", "", 200),
    ] {
        let request = ann.request(Method::POST, &path);
        let request = request.header(header::CONTENT_TYPE, kind).body(body);
        let (found, answer) = read(request.send().await.unwrap()).await;
        assert_eq!(found.as_u16(), status, "{kind} {body:?}: {answer}");
    }
}
