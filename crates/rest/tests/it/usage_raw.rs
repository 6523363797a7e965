//! `GET /v1/events` and `GET /v1/events/{id}`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::harness::{Person, TestApp, read, text};

async fn send(person: &Person<'_>, events: Value) {
    let (status, body) = person.post("/v1/events", events).await;
    assert_eq!(
        (status, &body["rejected"]),
        (StatusCode::OK, &json!(0)),
        "{body}"
    );
}

/// Tells instants by seconds from an hour ago.
#[expect(
    clippy::disallowed_methods,
    reason = "the database holds events against the machine's clock"
)]
fn recently() -> impl Fn(i64) -> String {
    let start = OffsetDateTime::now_utc() - Duration::hours(1);
    let start = start.replace_nanosecond(0).unwrap();
    move |seconds| {
        (start + Duration::seconds(seconds))
            .format(&Rfc3339)
            .unwrap()
    }
}

fn ids(body: &Value) -> Vec<&str> {
    let rows = body["data"].as_array().unwrap_or_else(|| panic!("{body}"));
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn an_event_is_read_as_it_was_sent() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let at = recently()(0);
    let metadata = r#"{"cost": 0.1234567890123456789012345, "tags": ["é", null]}"#;
    let body = format!(
        r#"[{{"id": "bare", "metric": "chat"}}, {{"id": "run/7 é", "metric": "tokens", "quantity": "12.50", "occurred_at": "{at}", "user_id": "u-7", "model": "m", "metadata": {metadata}}}]"#
    );
    let request = ann.request(Method::POST, "/v1/events");
    let request = request
        .header("content-type", "application/json")
        .body(body);
    let (_, receipt) = read(request.send().await.unwrap()).await;
    assert_eq!(receipt["accepted"], 2, "{receipt}");

    let path = "/v1/events/run%2F7%20%C3%A9";
    let answer = ann.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let written = answer.text().await.unwrap();
    assert!(
        written.contains("0.1234567890123456789012345"),
        "a number was rounded: {written}"
    );
    let mut event: Value = serde_json::from_str(&written).unwrap();
    let received_at = event.as_object_mut().unwrap().remove("received_at");
    assert!(text(&received_at.unwrap()) > at);
    event["metadata"].as_object_mut().unwrap().remove("cost");
    assert_eq!(
        event,
        json!({
            "id": "run/7 é", "source": "plinth", "metric": "tokens", "quantity": "12.5", "occurred_at": at,
            "project_id": null, "user_id": "u-7", "model": "m", "metadata": { "tags": ["é", null] }
        })
    );
    let (_, bare) = ann.get("/v1/events/bare?source=plinth").await;
    assert_eq!(bare["occurred_at"], bare["received_at"]);
    assert_eq!(
        (&bare["quantity"], &bare["metadata"]),
        (&json!("1"), &Value::Null)
    );
    for path in [
        "/v1/events/none",
        "/v1/events/bare?source=other",
        "/v1/events/%00",
    ] {
        let (status, body) = ann.get(path).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::NOT_FOUND, &json!("usage.event_not_found")),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn events_come_latest_first_and_by_what_is_asked_for() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let recently = recently();
    let event = |id: &str, metric: &str, seconds: i64, user: &str| json!({ "id": id, "metric": metric, "occurred_at": recently(seconds), "user_id": user });
    let mut other = event("e", "chat", 40, "u1");
    other["source"] = json!("/agents/7");
    send(
        &ann,
        json!([
            event("b", "tokens", 10, "u2"),
            event("a", "chat", 0, "u1"),
            event("d", "chat", 30, "u1"),
            event("c", "chat", 20, "u2"),
            other
        ]),
    )
    .await;
    let (from, to) = (recently(10), recently(40));
    for (query, wanted) in [
        ("", vec!["e", "d", "c", "b", "a"]),
        ("metric=chat", vec!["e", "d", "c", "a"]),
        (
            "metric=chat&metric=tokens,jobs",
            vec!["e", "d", "c", "b", "a"],
        ),
        ("user_id=u2", vec!["c", "b"]),
        ("source=%2Fagents%2F7", vec!["e"]),
        (&format!("from={from}&to={to}"), vec!["d", "c", "b"]),
        ("user_id=nobody", vec![]),
        ("project_id=01890a5d-ac96-774b-bcce-b302099a8057", vec![]),
    ] {
        let (status, body) = ann.get(&format!("/v1/events?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{query}: {body}");
        assert_eq!(ids(&body), wanted, "{query}");
        assert_eq!(body["next_cursor"], Value::Null, "{query}");
    }

    let (_, first) = ann.get("/v1/events?limit=2").await;
    assert_eq!(ids(&first), ["e", "d"]);
    // What comes in meanwhile, later or earlier, moves nothing.
    send(
        &ann,
        json!([
            event("new", "chat", 50, "u1"),
            event("old", "chat", 5, "u1")
        ]),
    )
    .await;
    let cursor = text(&first["next_cursor"]);
    let (_, second) = ann
        .get(&format!("/v1/events?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(ids(&second), ["c", "b"]);
    let cursor = text(&second["next_cursor"]);
    let (_, third) = ann
        .get(&format!("/v1/events?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(ids(&third), ["old", "a"]);
    assert_eq!(third["next_cursor"], Value::Null);
}

#[actix_web::test]
async fn a_tenant_reads_its_own_events_and_a_bound_key_its_projects() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let bob = app.register("bob@example.com").await;
    ann.upgrade("pro").await;
    let (_, project) = ann.post("/v1/projects", json!({ "name": "Mine" })).await;
    let project = text(&project["id"]);
    let recently = recently();
    send(
        &ann,
        json!([
            { "id": "in", "metric": "chat", "project_id": project, "occurred_at": recently(0) },
            { "id": "out", "metric": "chat", "occurred_at": recently(1) }
        ]),
    )
    .await;
    send(&bob, json!({ "id": "bobs", "metric": "chat" })).await;
    let (_, body) = ann.get("/v1/events").await;
    assert_eq!(ids(&body), ["out", "in"]);
    let (_, body) = bob.get("/v1/events").await;
    assert_eq!(ids(&body), ["bobs"]);
    assert_eq!(
        bob.get("/v1/events/in").await.0,
        StatusCode::NOT_FOUND,
        "another tenant's event"
    );
    let (_, body) = bob.get(&format!("/v1/events?project_id={project}")).await;
    assert_eq!(ids(&body), Vec::<&str>::new());

    let key = json!({ "name": "bound", "project_id": project, "scopes": ["usage.read"] });
    let (_, key) = ann.post("/v1/api-keys", key).await;
    let ask = async |path: &str| {
        let request = app
            .request(Method::GET, path)
            .bearer_auth(text(&key["key"]));
        read(request.send().await.unwrap()).await
    };
    assert_eq!(ids(&ask("/v1/events").await.1), ["in"]);
    let other = "/v1/events?project_id=01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(ids(&ask(other).await.1), Vec::<&str>::new());
    assert_eq!(ask("/v1/events/in").await.0, StatusCode::OK);
    assert_eq!(ask("/v1/events/out").await.0, StatusCode::NOT_FOUND);

    let key = json!({ "name": "writer", "scopes": ["usage.write"] });
    let (_, key) = ann.post("/v1/api-keys", key).await;
    for path in ["/v1/events", "/v1/events/in"] {
        let request = app.request(Method::GET, path);
        let request = request.bearer_auth(text(&key["key"]));
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!(
            (status, &body["required"]),
            (StatusCode::FORBIDDEN, &json!("usage.read"))
        );
    }
}

#[actix_web::test]
async fn a_bad_question_about_events_names_the_parameter() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for (query, field) in [
        ("metric=nonsense", "metric"),
        ("from=2025-10-02T00:00:00Z&to=2025-10-02T00:00:00Z", "from"),
        ("from=1999-01-01T00:00:00Z", "from"),
        ("to=tomorrow", "to"),
        ("source=a%00b", "source"),
        ("user_id=%00", "user_id"),
        ("project_id=7", "project_id"),
        ("limit=101", "limit"),
        ("cursor=00", "cursor"),
        ("order=asc", "order"),
    ] {
        let (status, body) = ann.get(&format!("/v1/events?{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
        assert_eq!(body["errors"][0]["field"], field, "{query}");
    }
    let cursor = kernel::Cursor::after(&json!([i64::MAX, 0, uuid::Uuid::nil()]));
    let (status, _) = ann
        .get(&format!("/v1/events?cursor={}", cursor.as_str()))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}
