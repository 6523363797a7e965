//! Dimensions of meters in `/v1/usage`, and the versions of `/v1/meters/{key}`.

use reqwest::{
    Method, StatusCode,
    header::{ETAG, IF_MATCH},
};
use serde_json::{Value, json};

use crate::harness::{Person, TestApp, read, text};

/// A meter with a path to its value and two dimensions.
async fn completions(person: &Person<'_>) -> Value {
    let meter = json!({
        "key": "completions", "aggregation": "sum", "unit": "token",
        "value_field": "$.usage.total_tokens", "dimensions": ["region", "tier"],
    });
    let (status, meter) = person.post("/v1/meters", meter).await;
    assert_eq!(status, StatusCode::CREATED, "{meter}");
    meter
}

fn completion(id: &str, tokens: &str, metadata: Value) -> Value {
    let mut event = json!({
        "id": id, "metric": "completions", "occurred_at": "2025-10-26T10:00:00Z",
        "metadata": { "usage": { "total_tokens": tokens } },
    });
    let held = event["metadata"].as_object_mut().unwrap();
    held.extend(metadata.as_object().unwrap().clone());
    event
}

async fn send(person: &Person<'_>, events: Value) -> Value {
    let (status, body) = person.post("/v1/events?backfill=true", events).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

const TOTAL: &str = "/v1/usage?metric=completions&granularity=total&from=2025-10-01T00:00:00Z&to=2025-11-01T00:00:00Z";

/// Dimensions and quantity of each row.
async fn told(person: &Person<'_>, rest: &str) -> Vec<String> {
    let (status, body) = person.get(&format!("{TOTAL}{rest}")).await;
    assert_eq!(status, StatusCode::OK, "{rest}: {body}");
    let rows = body["data"].as_array().unwrap().iter();
    rows.map(|row| format!("{} {}", row["dimensions"], text(&row["quantity"])))
        .collect()
}

#[actix_web::test]
async fn usage_is_told_apart_and_narrowed_down_by_dimensions() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    completions(&ann).await;
    let events = json!([
        completion("a", "0.1", json!({ "region": "eu", "tier": "gold" })),
        completion("b", "0.2", json!({ "region": "eu", "tier": 2 })),
        completion("c", "4", json!({ "region": "us & \"co\"" })),
        completion("d", "8", json!({})),
    ]);
    assert_eq!(send(&ann, events).await["accepted"], 4);
    for (rest, expected) in [
        ("", &["null 12.3"][..]),
        (
            "&group_by=region",
            &[
                r#"{"region":null} 8"#,
                r#"{"region":"eu"} 0.3"#,
                r#"{"region":"us & \"co\""} 4"#,
            ],
        ),
        (
            "&group_by=tier,region&filter[region]=eu",
            &[
                r#"{"region":"eu","tier":"2"} 0.2"#,
                r#"{"region":"eu","tier":"gold"} 0.1"#,
            ],
        ),
        (
            "&filter[region]=eu&filter%5Bregion%5D=us+%26+%22co%22",
            &["null 4.3"],
        ),
        ("&filter[region]=eu&filter[tier]=gold", &["null 0.1"]),
        ("&filter[tier]=", &["null 12"]),
        ("&filter[region]=nowhere", &["null 0"]),
        ("&filter[user]=nobody", &["null 0"]),
        ("&filter[model]=", &["null 12.3"]),
    ] {
        assert_eq!(told(&ann, rest).await, expected, "{rest}");
    }
    let (_, body) = ann
        .get(&format!("{TOTAL}&group_by=region,model&filter[region]=eu"))
        .await;
    assert_eq!(
        body["data"][0],
        json!({
            "metric": "completions", "bucket": "2025-10-01T00:00:00Z", "quantity": "0.3", "aggregation": "sum",
            "unit": "token", "model": null, "dimensions": { "region": "eu" },
        })
    );
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = ann
            .get(&format!("{TOTAL}&group_by=region,tier&limit=1{cursor}"))
            .await;
        rows.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let quantities: Vec<_> = rows.iter().map(|row| text(&row["quantity"])).collect();
    assert_eq!(quantities, ["8", "0.2", "0.1", "4"]);
}

#[actix_web::test]
async fn a_question_that_cannot_be_asked_names_what_is_wrong() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    completions(&ann).await;
    for (rest, field, code) in [
        ("group_by=region,colour", "group_by", "unknown_dimension"),
        ("filter[colour]=red", "filter[colour]", "unknown_dimension"),
        (
            "metric=chat&group_by=region",
            "group_by",
            "unknown_dimension",
        ),
        ("group_by=a,b,c,d,e", "group_by", "too_many"),
        ("filter[project]=x", "filter[project]", "invalid_uuid"),
        ("filter[region]=%00", "filter[region]", "control_character"),
        ("filter[region=eu", "filter[region", "unknown_field"),
    ] {
        let (status, body) = ann.get(&format!("/v1/usage?{rest}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{rest}: {body}");
        let error = &body["errors"][0];
        assert_eq!(
            (text(&error["field"]), text(&error["code"])),
            (field.to_owned(), code.to_owned()),
            "{rest}"
        );
    }
    let (_, body) = ann.get("/v1/usage?group_by=colour").await;
    let message = text(&body["errors"][0]["message"]);
    assert!(message.contains("colour"), "{message}");
}

#[actix_web::test]
async fn a_dimension_that_is_no_short_text_refuses_its_event() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    completions(&ann).await;
    let body = send(
        &ann,
        json!([
            completion("a", "1", json!({ "region": "x".repeat(129) })),
            completion("b", "1", json!({ "tier": ["gold"] })),
            completion("c", "1", json!({ "region": "x".repeat(128), "tier": null })),
            { "id": "d", "metric": "completions", "occurred_at": "2025-10-26T10:00:00Z", "metadata": { "usage": 7 } },
            completion("e", "many", json!({})),
        ]),
    )
    .await;
    let told: Vec<_> = (body["results"].as_array().unwrap().iter())
        .filter(|result| result["status"] == "rejected")
        .map(|result| format!("{} {}", text(&result["reason"]), text(&result["field"])))
        .collect();
    assert_eq!(
        told,
        [
            "usage.dimension_too_long metadata.region",
            "usage.invalid_dimension metadata.tier",
            "usage.missing_value metadata.usage.total_tokens",
            "usage.invalid_quantity metadata.usage.total_tokens",
        ]
    );
    assert_eq!(body["accepted"], 1);
}

#[actix_web::test]
async fn a_meter_is_changed_under_its_etag_and_keeps_its_history() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    assert_eq!(completions(&ann).await["version"], 1);
    let response = ann.request(Method::GET, "/v1/meters/completions");
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()[ETAG], "\"1\"");
    send(
        &ann,
        json!([completion("a", "3", json!({ "region": "eu" }))]),
    )
    .await;
    let change = async |etag: &str, body: Value| {
        let request = ann.request(Method::PATCH, "/v1/meters/completions");
        let request = request.header(IF_MATCH, etag).json(&body);
        read(request.send().await.unwrap()).await
    };
    let (status, meter) = change(
        "\"1\"",
        json!({ "dimensions": ["tier"], "value_field": null, "unit": "token" }),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{meter}");
    assert_eq!(
        (
            &meter["version"],
            &meter["dimensions"],
            &meter["value_field"]
        ),
        (&json!(2), &json!(["tier"]), &Value::Null)
    );
    let (status, problem) = change("\"1\"", json!({ "name": "Late" })).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::PRECONDITION_FAILED, &json!("request.stale"))
    );
    // The event that is there keeps its region and its value; the next one has neither.
    send(
        &ann,
        json!([completion("b", "100", json!({ "region": "eu" }))]),
    )
    .await;
    assert_eq!(
        told(&ann, "&group_by=region").await,
        [r#"{"region":null} 1"#, r#"{"region":"eu"} 3"#]
    );
    let (_, page) = ann.get("/v1/meters/completions/versions?limit=1").await;
    assert_eq!(page["data"][0]["version"], 2);
    let rest = format!(
        "/v1/meters/completions/versions?limit=1&cursor={}",
        text(&page["next_cursor"])
    );
    let (_, rest) = ann.get(&rest).await;
    let first = &rest["data"][0];
    assert_eq!(
        (
            &first["version"],
            &first["value_field"],
            &first["dimensions"]
        ),
        (
            &json!(1),
            &json!("$.usage.total_tokens"),
            &json!(["region", "tier"])
        )
    );
    assert_eq!(rest["next_cursor"], Value::Null);
    assert!(ann.trail().await.contains(&"meter.updated".to_owned()));
}

#[actix_web::test]
async fn what_never_changes_is_refused_by_name() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    completions(&ann).await;
    for (change, field, code) in [
        (json!({ "aggregation": "max" }), "aggregation", "immutable"),
        (json!({ "unit": "word" }), "unit", "immutable"),
        (json!({ "key": "other" }), "key", "immutable"),
        (
            json!({ "value_field": "$.a..b" }),
            "value_field",
            "invalid_field",
        ),
        (
            json!({ "dimensions": ["a", "a"] }),
            "dimensions[1]",
            "repeated",
        ),
        (json!({ "name": "" }), "name", "required"),
        (json!({ "colour": "red" }), "colour", "unknown_field"),
        (json!({ "version": 7 }), "version", "unknown_field"),
    ] {
        let (status, body) = ann.patch("/v1/meters/completions", change.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{change}: {body}");
        let error = &body["errors"][0];
        assert_eq!(
            (&error["field"], &error["code"]),
            (&json!(field), &json!(code)),
            "{change}"
        );
    }
    let (status, problem) = ann
        .patch("/v1/meters/chat", json!({ "name": "Talk" }))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("usage.standard_meter"))
    );
}

#[actix_web::test]
async fn another_tenants_meter_is_one_that_is_not_there() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    completions(&ann).await;
    for key in ["completions", "nonsense", "No%20key"] {
        for (status, problem) in [
            bob.get(&format!("/v1/meters/{key}")).await,
            bob.get(&format!("/v1/meters/{key}/versions")).await,
            bob.patch(&format!("/v1/meters/{key}"), json!({ "name": "Mine" }))
                .await,
        ] {
            assert_eq!(
                (status, &problem["code"]),
                (StatusCode::NOT_FOUND, &json!("usage.meter_not_found")),
                "{key}"
            );
        }
    }
    let (_, chat) = bob.get("/v1/meters/chat/versions").await;
    assert_eq!(chat["data"][0]["version"], 1);
}

#[actix_web::test]
async fn a_key_of_one_project_reads_no_other_whatever_it_asks_for() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("pro").await;
    completions(&ann).await;
    let mut projects = Vec::new();
    for (name, tokens) in [("Mine", "1"), ("Other", "20")] {
        let (_, project) = ann.post("/v1/projects", json!({ "name": name })).await;
        let mut event = completion(name, tokens, json!({ "region": "eu" }));
        event["project_id"] = project["id"].clone();
        assert_eq!(send(&ann, json!([event])).await["accepted"], 1);
        projects.push(text(&project["id"]));
    }
    let key = json!({ "name": "bound", "project_id": projects[0], "scopes": ["usage.read"] });
    let (status, key) = ann.post("/v1/api-keys", key).await;
    assert_eq!(status, StatusCode::CREATED, "{key}");
    for (rest, expected) in [
        ("&filter[region]=eu".to_owned(), "1"),
        (format!("&filter[project]={}", projects[0]), "1"),
        (format!("&filter[project]={}", projects[1]), "0"),
        ("&filter[project]=".to_owned(), "0"),
    ] {
        let request = app.request(Method::GET, &format!("{TOTAL}{rest}"));
        let request = request.bearer_auth(text(&key["key"]));
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(body["data"][0]["quantity"], expected, "{rest}");
    }
    let of_other = format!("&filter[project]={}", projects[1]);
    assert_eq!(told(&ann, &of_other).await, ["null 20"]);
}
