//! Entitlements and reservations.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Person, TestApp, text};

async fn entitlement(person: &Person<'_>, key: &str) -> Value {
    let (status, body) = person.get("/v1/entitlements").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["key"] == key)
        .unwrap()
        .clone()
}

async fn reserve(person: &Person<'_>, key: &str, quantity: i64) -> (StatusCode, Value) {
    let wish = json!({ "key": key, "quantity": quantity, "ttl_seconds": 60 });
    person.post("/v1/quota/reservations", wish).await
}

#[actix_web::test]
async fn entitlements_tell_plan_limit_and_use() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, body) = ann.get("/v1/entitlements").await;
    assert_eq!(
        (&body["plan"], body["data"].as_array().unwrap().len()),
        (&json!("free"), 6)
    );
    let members = entitlement(&ann, "max_members").await;
    let expected = json!({
        "key": "max_members", "kind": "limit", "limit": 3, "used": 1, "remaining": 2, "resets_at": null,
        "enforcement": "hard",
    });
    assert_eq!(members, expected);
    assert_eq!(entitlement(&ann, "max_projects").await["used"], 0);
    let (_, subscription) = ann.get("/v1/subscription").await;
    let tasks = entitlement(&ann, "tasks_per_month").await;
    assert_eq!(
        (&tasks["kind"], &tasks["limit"]),
        (&json!("quota"), &json!(1000))
    );
    assert_eq!(tasks["resets_at"], subscription["current_period_end"]);
    ann.upgrade("enterprise").await;
    let agents = entitlement(&ann, "max_agents").await;
    assert_eq!(
        (&agents["limit"], &agents["remaining"]),
        (&json!(-1), &json!(-1))
    );
}

#[actix_web::test]
async fn completed_tasks_count_at_once() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let event = json!({ "id": "e1", "metric": "task_completed", "quantity": 7 });
    assert_eq!(ann.post("/v1/events", event).await.0, StatusCode::OK);
    assert_eq!(entitlement(&ann, "tasks_per_month").await["used"], 7);
}

#[actix_web::test]
async fn a_check_takes_nothing() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let check = "/v1/entitlements/check";
    let (status, body) = ann
        .post(check, json!({ "key": "max_agents", "quantity": 10 }))
        .await;
    let free = json!({ "allowed": true, "limit": 10, "used": 0, "remaining": 10 });
    assert_eq!((status, body), (StatusCode::OK, free));
    let (_, body) = ann
        .post(check, json!({ "key": "max_agents", "quantity": 11 }))
        .await;
    assert_eq!(
        (&body["allowed"], &body["code"]),
        (&json!(false), &json!("billing.limit_reached"))
    );
    let (status, body) = ann.post(check, json!({ "key": "max_unicorns" })).await;
    let unknown = json!({
        "allowed": false, "limit": 0, "used": 0, "remaining": 0, "code": "billing.unknown_entitlement",
    });
    assert_eq!((status, body), (StatusCode::OK, unknown));
    for body in [
        json!({ "key": "max_agents", "quantity": -1 }),
        json!({ "key": "a\0" }),
        json!({ "key": 1 }),
    ] {
        assert_eq!(
            ann.post(check, body).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
}

#[actix_web::test]
async fn concurrency_is_reserved_before_and_given_back_after() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let key = "max_concurrent_workflows";
    let (status, first) = reserve(&ann, key, 1).await;
    assert_eq!(
        (status, &first["status"]),
        (StatusCode::CREATED, &json!("open"))
    );
    assert_eq!(reserve(&ann, key, 1).await.0, StatusCode::CREATED);
    let (status, body) = reserve(&ann, key, 1).await;
    assert_eq!(
        (status, &body["code"]),
        (
            StatusCode::PAYMENT_REQUIRED,
            &json!("billing.limit_reached")
        )
    );
    let facts = (&body["limit"], &body["max"], &body["used"], &body["plan"]);
    assert_eq!(facts, (&json!(key), &json!(2), &json!(2), &json!("free")));

    let path = format!("/v1/quota/reservations/{}", text(&first["id"]));
    let (status, body) = ann.post(&format!("{path}/release"), Value::Null).await;
    assert_eq!(
        (status, &body["status"]),
        (StatusCode::OK, &json!("released"))
    );
    assert_eq!(
        ann.post(&format!("{path}/release"), Value::Null).await,
        (status, body)
    );
    let (status, body) = ann
        .post(&format!("{path}/settle"), json!({ "quantity": 1 }))
        .await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &json!("billing.reservation_settled"))
    );
    assert_eq!(entitlement(&ann, key).await["used"], 1);
    assert_eq!(reserve(&ann, key, 1).await.0, StatusCode::CREATED);
}

#[actix_web::test]
async fn a_quota_is_settled_once_with_one_figure() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, held) = reserve(&ann, "tasks_per_month", 1000).await;
    assert_eq!(
        reserve(&ann, "tasks_per_month", 1).await.0,
        StatusCode::PAYMENT_REQUIRED
    );
    let settle = format!("/v1/quota/reservations/{}/settle", text(&held["id"]));
    let (status, body) = ann.post(&settle, json!({ "quantity": 3 })).await;
    assert_eq!(
        (status, &body["settled_quantity"]),
        (StatusCode::OK, &json!(3))
    );
    assert_eq!(
        ann.post(&settle, json!({ "quantity": 3 })).await,
        (status, body)
    );
    assert_eq!(
        ann.post(&settle, json!({ "quantity": 4 })).await.0,
        StatusCode::CONFLICT
    );
}

#[actix_web::test]
async fn another_tenants_reservation_is_as_absent_as_a_random_one() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    let (_, held) = reserve(&ann, "tasks_per_month", 1).await;
    let settle = |id: &str| format!("/v1/quota/reservations/{id}/settle");
    let absent = "019a0000-0000-7000-8000-000000000000";
    let (status, mut theirs) = bob
        .post(&settle(&text(&held["id"])), json!({ "quantity": 1 }))
        .await;
    let (_, mut nobodys) = bob.post(&settle(absent), json!({ "quantity": 1 })).await;
    theirs["request_id"] = Value::Null;
    nobodys["request_id"] = Value::Null;
    assert_eq!(
        (status, &theirs["code"]),
        (
            StatusCode::NOT_FOUND,
            &json!("billing.reservation_not_found")
        )
    );
    assert_eq!(theirs, nobodys);
}

#[actix_web::test]
async fn wishes_that_break_a_rule_name_it() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let wishes = [
        (
            json!({ "key": "tasks_per_month", "quantity": 0, "ttl_seconds": 1 }),
            "quantity",
        ),
        (
            json!({ "key": "tasks_per_month", "quantity": -5, "ttl_seconds": 1 }),
            "quantity",
        ),
        (
            json!({ "key": "tasks_per_month", "quantity": 1, "ttl_seconds": 0 }),
            "ttl_seconds",
        ),
        (
            json!({ "key": "tasks_per_month", "quantity": 1, "ttl_seconds": 86_401 }),
            "ttl_seconds",
        ),
        (
            json!({ "key": "tasks_per_month", "quantity": 1.5, "ttl_seconds": 1 }),
            "quantity",
        ),
        (
            json!({ "key": "max_members", "quantity": 1, "ttl_seconds": 1 }),
            "key",
        ),
    ];
    for (wish, field) in wishes {
        let (status, body) = ann.post("/v1/quota/reservations", wish).await;
        assert_eq!(
            (status, &body["errors"][0]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field))
        );
    }
    assert_eq!(
        reserve(&ann, "unicorns", 1).await.0,
        StatusCode::PAYMENT_REQUIRED
    );
}

#[actix_web::test]
async fn a_replayed_reservation_holds_once() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let wish = json!({ "key": "tasks_per_month", "quantity": 5, "ttl_seconds": 60 });
    for _ in 0..3 {
        let request = ann
            .request(reqwest::Method::POST, "/v1/quota/reservations")
            .header("Idempotency-Key", "once")
            .json(&wish);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::CREATED);
    }
    assert_eq!(entitlement(&ann, "tasks_per_month").await["used"], 5);
}
