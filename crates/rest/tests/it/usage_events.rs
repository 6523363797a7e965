//! `POST /v1/events`.

use std::io::Write;

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::harness::{Person, TestApp, read};

async fn send(
    person: &Person<'_>,
    kind: &str,
    body: impl Into<reqwest::Body>,
) -> (StatusCode, Value) {
    let request = person
        .request(Method::POST, "/v1/events")
        .header(header::CONTENT_TYPE, kind);
    read(request.body(body).send().await.unwrap()).await
}

fn counts(body: &Value) -> [u64; 4] {
    ["accepted", "duplicates", "conflicts", "rejected"].map(|name| body[name].as_u64().unwrap())
}

#[actix_web::test]
async fn every_form_of_an_event_is_the_same_event() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let plain = json!({ "id": "e1", "metric": "chat", "quantity": 2, "model": "m" });
    let (status, body) = ann.post("/v1/events", plain.clone()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        body,
        json!({
            "accepted": 1, "duplicates": 0, "conflicts": 0, "rejected": 0,
            "results": [{ "id": "e1", "status": "accepted" }]
        })
    );
    let cloud = json!({
        "specversion": "1.0", "id": "e1", "source": "plinth", "type": "chat",
        "data": { "quantity": "2.0", "model": "m" }
    });
    for (kind, body) in [
        ("application/json", json!([plain]).to_string()),
        (
            "application/json; charset=utf-8",
            json!({ "events": [plain] }).to_string(),
        ),
        ("application/x-ndjson", format!("{plain}\n\n")),
        ("application/cloudevents+json", cloud.to_string()),
        (
            "application/cloudevents-batch+json; charset=utf-8",
            json!([cloud]).to_string(),
        ),
    ] {
        let (status, body) = send(&ann, kind, body).await;
        assert_eq!(
            (status, counts(&body)),
            (StatusCode::OK, [0, 1, 0, 0]),
            "{kind}: {body}"
        );
    }
    assert_eq!(
        send(&ann, "text/csv", "a,b").await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[actix_web::test]
async fn each_event_is_answered_in_its_place() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let batch = json!([
        { "id": "a", "metric": "chat" },
        { "id": "b", "metric": "nonsense" },
        { "id": "c", "metric": "chat", "quantity": -1 },
        { "metric": "chat" },
        { "id": "a", "metric": "chat" },
        { "id": "a", "metric": "chat", "quantity": 7 },
        { "id": "d", "metric": "chat", "colour": "red" },
        { "id": "e", "metric": "chat", "occurred_at": "2999-01-01T00:00:00Z" },
        { "id": "f", "metric": "chat", "quantity": 0.0000000000001 },
        { "id": "x".repeat(256), "metric": "chat" },
        { "id": "g", "metric": "chat", "metadata": { "note": "x".repeat(8192) } },
        { "id": "h\u{0}", "metric": "chat" },
        7
    ]);
    let (status, body) = ann.post("/v1/events", batch.clone()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let told: Vec<String> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let reason = result["reason"].as_str().unwrap_or_default();
            format!("{} {reason}", result["status"].as_str().unwrap())
                .trim()
                .to_owned()
        })
        .collect();
    assert_eq!(
        told,
        [
            "accepted",
            "rejected usage.unknown_metric",
            "rejected usage.negative_quantity",
            "rejected usage.missing_id",
            "duplicate",
            "conflict usage.conflict",
            "rejected usage.invalid_field",
            "rejected usage.too_far_in_the_future",
            "rejected usage.quantity_too_precise",
            "rejected usage.id_too_long",
            "rejected usage.metadata_too_large",
            "rejected usage.invalid_id",
            "rejected usage.malformed"
        ]
    );
    assert_eq!(body["results"][6]["field"], "colour");

    let (status, body) = ann
        .post(
            "/v1/events?strict=true",
            json!([{ "id": "n", "metric": "chat" }, 7]),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body["errors"][0]["field"], "events[1]");
    let (_, body) = ann
        .post(
            "/v1/events?strict=true",
            json!({ "id": "n", "metric": "chat" }),
        )
        .await;
    assert_eq!(
        counts(&body),
        [1, 0, 0, 0],
        "nothing of the refused request was written"
    );
}

#[actix_web::test]
async fn what_is_too_large_or_no_json_is_refused_as_a_whole() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let many: Vec<Value> = (0..1001)
        .map(|n| json!({ "id": n.to_string(), "metric": "chat" }))
        .collect();
    let (status, body) = ann.post("/v1/events", json!(many)).await;
    assert_eq!(
        (status, &body["code"]),
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            &json!("usage.too_many_events")
        )
    );
    assert_eq!(body["max_events"], 1000);
    let (status, body) = send(&ann, "application/json", vec![b' '; 2 * 1024 * 1024]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    for text in ["", "{", "[{]", "\u{feff}{}"] {
        let (status, body) = send(&ann, "application/json", text).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::BAD_REQUEST, &json!("request.malformed_json")),
            "{text}"
        );
    }
    let (status, body) = ann
        .post("/v1/events", json!({ "events": [], "strict": true }))
        .await;
    assert_eq!(
        (status, &body["errors"][0]["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("strict"))
    );
    let (status, body) = ann.post("/v1/events", json!([])).await;
    assert_eq!((status, counts(&body)), (StatusCode::OK, [0; 4]));
    let (_, body) = ann.get("/v1/usage").await;
    assert_eq!(body["data"], json!([]), "nothing was written");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[actix_web::test]
async fn bodies_may_be_packed_and_their_limit_counts_what_they_hold() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let packed = |encoding: &'static str, body: Vec<u8>| {
        let request = ann.request(Method::POST, "/v1/events");
        let request = request.header(header::CONTENT_ENCODING, encoding);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        async move { read(request.body(body).send().await.unwrap()).await }
    };
    let event = |id: &str| {
        json!({ "id": id, "metric": "chat" })
            .to_string()
            .into_bytes()
    };
    for (encoding, body) in [
        ("gzip", gzip(&event("a"))),
        ("zstd", zstd::encode_all(&event("b")[..], 0).unwrap()),
        ("identity", event("c")),
    ] {
        let (status, body) = packed(encoding, body).await;
        assert_eq!(
            (status, counts(&body)),
            (StatusCode::OK, [1, 0, 0, 0]),
            "{encoding}"
        );
    }
    let bomb = vec![b' '; 64 * 1024 * 1024];
    for (encoding, body) in [
        ("gzip", gzip(&bomb)),
        ("zstd", zstd::encode_all(&bomb[..], 0).unwrap()),
    ] {
        assert!(body.len() < 128 * 1024, "the request itself is small");
        let (status, body) = packed(encoding, body).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::PAYLOAD_TOO_LARGE, &json!("request.too_large")),
            "{encoding}"
        );
    }
    let (status, body) = packed("gzip", event("d")).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::BAD_REQUEST, &json!("request.unreadable_body"))
    );
    let (status, body) = packed("br", event("d")).await;
    assert_eq!(
        (status, &body["code"]),
        (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &json!("request.unsupported_encoding")
        )
    );
    let (_, body) = ann.get("/v1/usage?granularity=total&metric=chat").await;
    assert_eq!(body["data"][0]["quantity"], "3");
}

#[actix_web::test]
async fn a_packed_body_may_come_with_a_key() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let send = || {
        let request = ann.request(Method::POST, "/v1/events");
        let request = request.header(header::CONTENT_ENCODING, "gzip");
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.header("Idempotency-Key", "once");
        let body = gzip(br#"{"id":"a","metric":"chat"}"#);
        async move { read(request.body(body).send().await.unwrap()).await }
    };
    for _ in 0..2 {
        let (status, body) = send().await;
        assert_eq!((status, counts(&body)), (StatusCode::OK, [1, 0, 0, 0]));
    }
}

#[actix_web::test]
async fn text_that_cannot_be_stored_is_refused_event_by_event() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let bad = "a\u{0}b";
    let fields = ["id", "metric", "source", "user_id", "model", "project_id"];
    let mut batch: Vec<Value> = fields
        .iter()
        .map(|field| {
            let mut event = json!({ "id": field, "metric": "chat" });
            event[field] = json!(bad);
            event
        })
        .collect();
    batch.push(json!({ "id": "m", "metric": "chat", "metadata": { "note": bad } }));
    batch.push(json!({ "id": "n", "metric": "chat", "metadata": { "deep": [{ bad: 1 }] } }));
    batch.push(json!({ "id": "fine", "metric": "chat", "user_id": "é" }));
    let (status, body) = ann.post("/v1/events", json!(batch)).await;
    assert_eq!(
        (status, counts(&body)),
        (StatusCode::OK, [1, 0, 0, 8]),
        "{body}"
    );
    for (result, field) in body["results"].as_array().unwrap().iter().zip(fields) {
        assert_eq!(result["field"], field, "{result}");
    }
    assert_eq!(body["results"][6]["field"], "metadata");
}

#[actix_web::test]
async fn projects_are_the_tenants_own() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let bob = app.register("bob@example.com").await;
    let (status, project) = bob.post("/v1/projects", json!({ "name": "Bob's" })).await;
    assert_eq!(status, StatusCode::CREATED, "{project}");
    let event = json!({ "id": "e", "metric": "chat", "project_id": project["id"] });
    let (_, body) = ann.post("/v1/events", event.clone()).await;
    assert_eq!(body["results"][0]["reason"], "usage.unknown_project");
    let (_, body) = bob.post("/v1/events", event).await;
    assert_eq!(body["results"][0]["status"], "accepted");
    let (_, body) = bob
        .get("/v1/usage?granularity=total&group_by=project")
        .await;
    assert_eq!(body["data"][0]["project_id"], project["id"]);
    let (_, body) = ann.get("/v1/usage").await;
    assert_eq!(
        body["data"],
        json!([]),
        "another tenant's usage is not there"
    );
}

#[actix_web::test]
async fn an_idempotency_key_answers_again_and_the_events_count_once() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let body = json!({ "id": "e", "metric": "chat" });
    let send = || {
        let request = ann
            .request(Method::POST, "/v1/events")
            .header("Idempotency-Key", "once");
        request.json(&body).send()
    };
    let (_, first) = read(send().await.unwrap()).await;
    let again = send().await.unwrap();
    assert_eq!(again.headers()["Idempotent-Replayed"], "true");
    assert_eq!(read(again).await.1, first);
    assert_eq!(counts(&first), [1, 0, 0, 0]);
}

#[actix_web::test]
async fn a_key_does_what_its_scopes_say() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let event = json!([{ "id": "e", "metric": "chat" }]);
    for (scopes, path, required) in [
        (json!(["usage.read"]), "/v1/events", Some("usage.write")),
        (
            json!(["usage.write"]),
            "/v1/events?backfill=true",
            Some("usage.backfill"),
        ),
        (json!(["usage.write"]), "/v1/events", None),
    ] {
        let new = json!({ "name": format!("{scopes} {path}"), "scopes": scopes });
        let (status, key) = ann.post("/v1/api-keys", new).await;
        assert_eq!(status, StatusCode::CREATED, "{key}");
        let request = app
            .request(Method::POST, path)
            .header("X-API-Key", key["key"].as_str().unwrap());
        let (status, body) = read(request.json(&event).send().await.unwrap()).await;
        match required {
            Some(required) => {
                assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
                assert_eq!(body["required"], required);
            }
            None => assert_eq!(
                (status, counts(&body)),
                (StatusCode::OK, [1, 0, 0, 0]),
                "{body}"
            ),
        }
    }
}
