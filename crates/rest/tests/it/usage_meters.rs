//! `/v1/meters`.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::TestApp;

#[actix_web::test]
async fn sixteen_meters_are_there_from_the_start() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, body) = ann.get("/v1/meters").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let keys: Vec<&str> = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|meter| meter["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys.len(), 16);
    assert!(keys.is_sorted());
    let (_, page) = ann.get("/v1/meters?limit=10").await;
    let rest = format!(
        "/v1/meters?limit=10&cursor={}",
        page["next_cursor"].as_str().unwrap()
    );
    let (_, rest) = ann.get(&rest).await;
    assert_eq!(rest["data"][0]["key"], keys[10]);
    assert_eq!(rest["data"].as_array().unwrap().len(), 6);
}

#[actix_web::test]
async fn a_tenant_measures_what_it_likes() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let visitors = json!({
        "key": "visitors", "aggregation": "unique", "unit": "visitor", "value_field": "who",
        "dimensions": ["model"]
    });
    let (status, meter) = ann.post("/v1/meters", visitors.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{meter}");
    assert_eq!(meter["name"], "visitors");
    let (status, body) = ann.post("/v1/meters", visitors).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &json!("usage.meter_exists"))
    );
    let chat = json!({ "key": "chat", "aggregation": "sum", "unit": "chat" });
    assert_eq!(ann.post("/v1/meters", chat).await.0, StatusCode::CONFLICT);
    assert!(ann.trail().await.contains(&"meter.created".to_owned()));

    let visit =
        |id: &str, who: &str| json!({ "id": id, "metric": "visitors", "metadata": { "who": who } });
    ann.post(
        "/v1/events",
        json!([visit("1", "x"), visit("2", "y"), visit("3", "x")]),
    )
    .await;
    let (_, body) = ann.get("/v1/usage?metric=visitors&granularity=total").await;
    assert_eq!(body["data"][0]["quantity"], "2");

    let bob = app.register("bob@example.com").await;
    let (_, body) = bob.post("/v1/events", visit("1", "x")).await;
    assert_eq!(body["results"][0]["reason"], "usage.unknown_metric");
}

#[actix_web::test]
async fn a_bad_meter_names_the_field() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for (change, field) in [
        (json!({ "key": "Upper" }), "key"),
        (json!({ "key": "a".repeat(65) }), "key"),
        (json!({ "aggregation": "median" }), "aggregation"),
        (json!({ "aggregation": "unique" }), "value_field"),
        (json!({ "unit": "" }), "unit"),
        (json!({ "unit": "a\u{0}b" }), "unit"),
        (json!({ "name": "a\u{0}b" }), "name"),
        (
            json!({ "dimensions": ["a", "b", "c", "d", "e"] }),
            "dimensions",
        ),
        (json!({ "dimensions": ["a", "a"] }), "dimensions[1]"),
        (json!({ "colour": "red" }), "colour"),
    ] {
        let mut meter = json!({ "key": "seats", "aggregation": "max", "unit": "seat" });
        meter
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let (status, body) = ann.post("/v1/meters", meter).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{change}: {body}");
        assert_eq!(body["errors"][0]["field"], field, "{change}");
    }
}

#[actix_web::test]
async fn nobody_gets_in_without_a_credential() {
    let app = TestApp::start().await;
    for (method, path) in [
        (Method::POST, "/v1/events"),
        (Method::GET, "/v1/usage"),
        (Method::GET, "/v1/usage/summary"),
        (Method::GET, "/v1/meters"),
        (Method::POST, "/v1/meters"),
        (Method::GET, "/v1/meters/chat"),
        (Method::PATCH, "/v1/meters/chat"),
        (Method::GET, "/v1/meters/chat/versions"),
    ] {
        let response = app
            .request(method, path)
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}
