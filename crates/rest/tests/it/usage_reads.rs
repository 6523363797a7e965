//! `GET /v1/usage` and its summary.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Person, TestApp};

async fn app_with_usage(person: &Person<'_>) {
    let event = |id: &str, at: &str, quantity: &str, user: &str| json!({ "id": id, "metric": "agent_minute", "occurred_at": at, "quantity": quantity, "user_id": user });
    let events = json!([
        event("a", "2025-10-25T22:00:00Z", "0.1", "u1"),
        event("b", "2025-10-26T22:59:59Z", "0.2", "u2"),
        event("c", "2025-10-26T23:00:00Z", "4", "u1")
    ]);
    let (status, body) = person.post("/v1/events?backfill=true", events).await;
    assert_eq!(
        (status, &body["accepted"]),
        (StatusCode::OK, &json!(3)),
        "{body}"
    );
}

const RANGE: &str = "from=2025-10-20T00:00:00Z&to=2025-11-01T00:00:00Z";

fn lines(body: &Value) -> Vec<String> {
    let rows = body["data"].as_array().unwrap_or_else(|| panic!("{body}"));
    rows.iter()
        .map(|row| {
            format!(
                "{} {}",
                row["bucket"].as_str().unwrap(),
                row["quantity"].as_str().unwrap()
            )
        })
        .collect()
}

#[actix_web::test]
async fn days_are_those_of_the_zone_with_its_offset() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    app_with_usage(&ann).await;
    let (_, body) = ann
        .get(&format!("/v1/usage?{RANGE}&timezone=Europe/Paris"))
        .await;
    assert_eq!(
        lines(&body),
        [
            "2025-10-26T00:00:00+02:00 0.3",
            "2025-10-27T00:00:00+01:00 4"
        ]
    );
    let (_, body) = ann.get(&format!("/v1/usage?{RANGE}")).await;
    assert_eq!(
        lines(&body),
        ["2025-10-25T00:00:00Z 0.1", "2025-10-26T00:00:00Z 4.2"]
    );
    let (_, body) = ann
        .get(&format!("/v1/usage?{RANGE}&granularity=month"))
        .await;
    assert_eq!(lines(&body), ["2025-10-01T00:00:00Z 4.3"]);
    let clipped = "from=2025-10-25T22:00:00.000001Z&to=2025-10-26T23:00:00Z";
    let (_, body) = ann
        .get(&format!("/v1/usage?{clipped}&granularity=15m"))
        .await;
    assert_eq!(lines(&body), ["2025-10-26T22:45:00Z 0.2"]);
    assert_eq!(
        body["data"][0],
        json!({
            "metric": "agent_minute", "bucket": "2025-10-26T22:45:00Z", "quantity": "0.2",
            "aggregation": "sum", "unit": "minute"
        })
    );
}

#[actix_web::test]
async fn usage_is_told_apart_and_paged() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    app_with_usage(&ann).await;
    let path = format!("/v1/usage?{RANGE}&group_by=user&limit=2");
    let (_, first) = ann.get(&path).await;
    let users: Vec<&Value> = first["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["user_id"])
        .collect();
    assert_eq!(users, [&json!("u1"), &json!("u1")]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = ann.get(&format!("{path}&cursor={cursor}")).await;
    assert_eq!(second["data"][0]["user_id"], "u2");
    assert_eq!(second["next_cursor"], Value::Null);
}

#[actix_web::test]
async fn a_total_that_is_asked_for_by_name_is_there_even_when_it_is_nought() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, body) = ann
        .get("/v1/usage?metric=chat&metric=tokens&granularity=total")
        .await;
    let rows = body["data"].as_array().unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (&row["metric"], &row["quantity"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("chat"), &json!("0")),
            (&json!("tokens"), &json!("0"))
        ]
    );
}

#[actix_web::test]
async fn a_bad_question_names_the_parameter() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for (query, field) in [
        ("metric=nonsense", "metric"),
        ("metric=%00", "metric"),
        ("metric=chat,a%00b", "metric"),
        ("timezone=UTC%00", "timezone"),
        ("from=2025-10-02T00:00:00Z&to=2025-10-01T00:00:00Z", "from"),
        ("from=2025-10-02T00:00:00Z&to=2025-10-02T00:00:00Z", "from"),
        ("from=yesterday", "from"),
        ("from=2001-01-01T00:00:00Z&granularity=15m", "granularity"),
        ("granularity=week", "granularity"),
        ("group_by=colour", "group_by"),
        ("timezone=Mars/Olympus", "timezone"),
        ("timezone=%2B02:00", "timezone"),
        ("limit=101", "limit"),
        ("cursor=00", "cursor"),
    ] {
        let (status, body) = ann.get(&format!("/v1/usage?{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
        assert_eq!(body["errors"][0]["field"], field, "{query}");
    }
    // Made by hand, of the right shape: a user with NUL, and the year 7538 before our era.
    let nil = uuid::Uuid::nil();
    for key in [
        json!(["chat", 0, nil, "u\u{0}", ""]),
        json!(["chat", -300_000_000_000_000_000_i64, nil, "", ""]),
    ] {
        let cursor = kernel::Cursor::after(&key);
        let path = format!("/v1/usage?cursor={}", cursor.as_str());
        let (status, body) = ann.get(&path).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{key}: {body}");
        assert_eq!(body["errors"][0]["field"], "cursor", "{key}");
    }
    for days in ["0", "367", "-1", "x"] {
        let (status, body) = ann.get(&format!("/v1/usage/summary?days={days}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{days}: {body}");
        assert_eq!(body["errors"][0]["field"], "days");
    }
}

#[actix_web::test]
async fn the_summary_has_a_total_per_day_and_metric() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.post(
        "/v1/events",
        json!([
            { "id": "a", "metric": "chat", "quantity": "0.1" },
            { "id": "b", "metric": "chat", "quantity": "0.2" },
            { "id": "c", "metric": "agent_run" }
        ]),
    )
    .await;
    let (status, body) = ann.get("/v1/usage/summary?days=1").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let today = &body["from"].as_str().unwrap()[..10];
    assert_eq!(
        body["data"],
        json!([
            { "date": today, "metric": "agent_run", "quantity": "1" },
            { "date": today, "metric": "chat", "quantity": "0.3" }
        ])
    );
}
