//! Counted things of the host product.

use std::collections::HashMap;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{TestApp, text};

#[actix_web::test]
async fn a_thing_is_registered_once_listed_and_removed() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let path = "/v1/resources/agents/agent%201";
    let (status, body) = ann.put(path, Value::Null).await;
    assert_eq!(
        (status, &body["external_id"]),
        (StatusCode::CREATED, &json!("agent 1"))
    );
    let (status, again) = ann.put(path, Value::Null).await;
    assert_eq!((status, again), (StatusCode::OK, body.clone()));
    let (_, list) = ann.get("/v1/resources/agents").await;
    assert_eq!(list, json!({ "data": [body], "next_cursor": null }));
    assert_eq!(ann.delete(path).await.0, StatusCode::NO_CONTENT);
    let (status, body) = ann.delete(path).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::NOT_FOUND, &json!("billing.resource_not_found"))
    );
    let trail = ann.trail().await;
    assert_eq!(
        trail
            .iter()
            .filter(|action| action.starts_with("resource."))
            .count(),
        2
    );
}

#[actix_web::test]
async fn sixty_four_takers_get_exactly_what_the_plan_allows() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let paths: Vec<String> = (0..64)
        .map(|number| format!("/v1/resources/dashboards/d{number}"))
        .collect();
    let answers = join_all(paths.iter().map(|path| ann.put(path, Value::Null))).await;
    let mut counted: HashMap<StatusCode, usize> = HashMap::new();
    for (status, body) in answers {
        *counted.entry(status).or_default() += 1;
        if status == StatusCode::PAYMENT_REQUIRED {
            let facts = (
                &body["code"],
                &body["limit"],
                &body["max"],
                &body["used"],
                &body["plan"],
            );
            let expected = (
                &json!("billing.limit_reached"),
                &json!("max_dashboards"),
                &json!(5),
                &json!(5),
                &json!("free"),
            );
            assert_eq!(facts, expected);
        }
    }
    let expected = HashMap::from([(StatusCode::CREATED, 5), (StatusCode::PAYMENT_REQUIRED, 59)]);
    assert_eq!(counted, expected);
    let (_, list) = ann.get("/v1/resources/dashboards").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 5);
}

#[actix_web::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let mut names = ["a", "B", "ä", "z-1", "10", "2"].map(str::to_owned);
    for name in &names {
        let (status, _) = ann
            .put(&format!("/v1/resources/agents/{name}"), Value::Null)
            .await;
        assert_eq!(status, StatusCode::CREATED);
    }
    names.sort();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = ann
            .get(&format!("/v1/resources/agents?limit=2{cursor}"))
            .await;
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| text(&one["external_id"])),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, names);
}

#[actix_web::test]
async fn things_of_others_are_not_there() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    ann.put("/v1/resources/agents/a", Value::Null).await;
    assert_eq!(
        bob.delete("/v1/resources/agents/a").await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(bob.get("/v1/resources/agents").await.1["data"], json!([]));
    assert_eq!(
        bob.put("/v1/resources/agents/a", Value::Null).await.0,
        StatusCode::CREATED
    );
}

#[actix_web::test]
async fn bad_kinds_and_names_are_refused_and_unknown_kinds_allow_nothing() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let long = "x".repeat(256);
    let refused = [
        ("Agents/a".to_owned(), "kind"),
        ("a-b/a".to_owned(), "kind"),
        ("members/a".to_owned(), "kind"),
        (format!("agents/{long}"), "external_id"),
        ("agents/a%00b".to_owned(), "external_id"),
    ];
    for (path, field) in refused {
        let (status, body) = ann.put(&format!("/v1/resources/{path}"), Value::Null).await;
        assert_eq!(
            (status, &body["errors"][0]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)),
            "{path}"
        );
    }
    for answer in [
        ann.delete("/v1/resources/agents/a%00b").await,
        ann.delete("/v1/resources/a%00b/a").await,
        ann.get("/v1/resources/a%00b").await,
        ann.post(
            "/v1/subscription/change",
            json!({ "plan": "a\u{0}b", "when": "now" }),
        )
        .await,
        ann.post("/v1/entitlements/check", json!({ "key": "a\u{0}b" }))
            .await,
        ann.post("/v1/quota/reservations", json!({ "key": "a\u{0}b" }))
            .await,
    ] {
        let (status, body) = answer;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    // Made by hand: no thing has such a name.
    for name in ["", "a\0b"] {
        let cursor = kernel::Cursor::after(&name);
        let path = format!("/v1/resources/agents?cursor={}", cursor.as_str());
        let (status, body) = ann.get(&path).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(body["errors"][0]["field"], "cursor");
    }
    let (status, body) = ann.put("/v1/resources/unicorns/a", Value::Null).await;
    assert_eq!(
        (status, &body["max"]),
        (StatusCode::PAYMENT_REQUIRED, &json!(0))
    );
}

#[actix_web::test]
async fn a_downgrade_names_what_is_over_and_keeps_it() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("enterprise").await;
    for number in 0..7 {
        let (status, _) = ann
            .put(&format!("/v1/resources/dashboards/{number}"), Value::Null)
            .await;
        assert_eq!(status, StatusCode::CREATED);
    }
    let order = json!({ "plan": "free", "when": "now" });
    let (status, body) = ann.post("/v1/subscription/change", order).await;
    assert_eq!(
        (status, body["over_limit"].as_array().unwrap().len()),
        (StatusCode::OK, 1)
    );
    let over = &body["over_limit"][0];
    let facts = (&over["key"], &over["limit"], &over["used"]);
    assert_eq!(facts, (&json!("max_dashboards"), &json!(5), &json!(7)));
    assert_eq!(
        ann.put("/v1/resources/dashboards/3", Value::Null).await.0,
        StatusCode::OK
    );
    assert_eq!(
        ann.put("/v1/resources/dashboards/8", Value::Null).await.0,
        StatusCode::PAYMENT_REQUIRED
    );
}
