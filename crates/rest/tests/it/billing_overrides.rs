//! What operators give a tenant besides its plan.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{PLATFORM_KEY, Person, TestApp, read, text};

/// As whoever shows the operators' key.
pub(crate) async fn operate(
    app: &TestApp,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let request = app.request(method, path).bearer_auth(PLATFORM_KEY);
    let request = if body.is_null() {
        request
    } else {
        request.json(&body)
    };
    read(request.send().await.unwrap()).await
}

/// Where the overrides of a person's tenant are.
pub(crate) fn overrides_of(person: &Person<'_>) -> String {
    format!("/v1/admin/tenants/{}/overrides", person.tenant_id)
}

/// Gives a person's tenant an override.
pub(crate) async fn give(person: &Person<'_>, key: &str, body: Value) -> Value {
    let path = format!("{}/{key}", overrides_of(person));
    let (status, body) = operate(person.app, Method::PUT, &path, body).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

async fn limit_of(person: &Person<'_>, key: &str) -> Value {
    let (_, body) = person
        .post("/v1/entitlements/check", json!({ "key": key }))
        .await;
    body["limit"].clone()
}

#[actix_web::test]
async fn an_override_counts_at_once_is_listed_and_taken_away() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let given = give(
        &ann,
        "max_agents",
        json!({ "limit": 2, "reason": "a trial" }),
    )
    .await;
    let expected = json!({
        "key": "max_agents", "kind": "limit", "limit": 2, "metric": null, "value": null, "period": "billing_month",
        "enforcement": "hard", "grace_percent": null, "grace_seconds": null, "reason": "a trial", "expires_at": null,
    });
    assert_eq!(given, expected);
    assert_eq!(limit_of(&ann, "max_agents").await, 2);
    let again = json!({ "limit": -1, "enforcement": "hard", "expires_at": "2099-01-01T00:00:00Z" });
    let given = give(&ann, "max_agents", again).await;
    assert_eq!(limit_of(&ann, "max_agents").await, -1);
    let quota = json!({ "limit": 7, "period": "calendar_day", "grace_percent": 10 });
    let exports = give(&ann, "exports", quota).await;
    let facts = (
        &exports["kind"],
        &exports["enforcement"],
        &exports["grace_percent"],
    );
    assert_eq!(facts, (&json!("quota"), &json!("grace"), &json!(10)));

    let path = overrides_of(&ann);
    let (status, list) = operate(&app, Method::GET, &path, Value::Null).await;
    let expected = json!({ "data": [exports, given], "next_cursor": null });
    assert_eq!((status, list), (StatusCode::OK, expected));
    let one = format!("{path}/max_agents");
    let (status, _) = operate(&app, Method::DELETE, &one, Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(limit_of(&ann, "max_agents").await, 10);
    let (status, body) = operate(&app, Method::DELETE, &one, Value::Null).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::NOT_FOUND, &json!("billing.override_not_found"))
    );
}

#[actix_web::test]
async fn the_tenants_trail_says_who_changed_what_and_why() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    give(&ann, "max_agents", json!({ "limit": 2 })).await;
    give(
        &ann,
        "max_agents",
        json!({ "limit": -1, "reason": "a deal" }),
    )
    .await;
    let (_, trail) = ann
        .get("/v1/audit-events?action=entitlement.override_set")
        .await;
    let last = &trail["data"][0];
    assert_eq!(last["actor"]["type"], "support", "{last}");
    assert_eq!(last["target"]["id"], "max_agents");
    let diff = json!({ "limit": [2, -1], "reason": [null, "a deal"] });
    assert_eq!(last["diff"], diff);
    assert_eq!(trail["data"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn no_owner_and_no_key_of_a_tenant_raises_its_limits() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let key = json!({ "name": "everything", "scopes": ["*"] });
    let (status, key) = ann.post("/v1/api-keys", key).await;
    assert_eq!(status, StatusCode::CREATED, "{key}");
    let path = overrides_of(&ann);
    let one = format!("{path}/max_agents");
    for token in [ann.token.clone(), text(&key["key"])] {
        for (method, path, body) in [
            (Method::PUT, &one, json!({ "limit": -1 })),
            (Method::DELETE, &one, Value::Null),
            (Method::GET, &path, Value::Null),
        ] {
            let request = app.request(method, path).bearer_auth(&token);
            let request = if body.is_null() {
                request
            } else {
                request.json(&body)
            };
            let (status, body) = read(request.send().await.unwrap()).await;
            let facts = (status, &body["code"], &body["required"]);
            let expected = (
                StatusCode::FORBIDDEN,
                &json!("identity.forbidden"),
                &json!("entitlement.override"),
            );
            assert_eq!(facts, expected, "{body}");
        }
    }
    assert_eq!(limit_of(&ann, "max_agents").await, 10);
}

#[actix_web::test]
async fn overrides_that_break_a_rule_name_it() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let path = overrides_of(&ann);
    let long = "x".repeat(256);
    let refused = [
        ("max_agents", json!({}), "limit"),
        ("max_agents", json!({ "limit": -2 }), "limit"),
        ("max_agents", json!({ "limit": 1.5 }), "limit"),
        ("max_agents", json!({ "limit": 1, "kind": "quota" }), "kind"),
        ("max_agents", json!({ "limit": 1, "kind": "heap" }), "kind"),
        ("exports", json!({ "limit": 1, "period": "week" }), "period"),
        (
            "exports",
            json!({ "limit": 1, "enforcement": "grace" }),
            "enforcement",
        ),
        (
            "exports",
            json!({ "limit": 1, "enforcement": "hard", "grace_percent": 5 }),
            "enforcement",
        ),
        (
            "exports",
            json!({ "limit": 1, "grace_percent": 1001 }),
            "grace_percent",
        ),
        (
            "exports",
            json!({ "limit": 1, "grace_seconds": 0 }),
            "grace_seconds",
        ),
        (
            "exports",
            json!({ "limit": 1, "expires_at": "2020-01-01T00:00:00Z" }),
            "expires_at",
        ),
        (
            "exports",
            json!({ "limit": 1, "reason": "a\u{0}b" }),
            "reason",
        ),
        ("a%00b", json!({ "limit": 1 }), "key"),
        (long.as_str(), json!({ "limit": 1 }), "key"),
    ];
    for (key, body, field) in refused {
        let one = format!("{path}/{key}");
        let (status, answer) = operate(&app, Method::PUT, &one, body.clone()).await;
        assert_eq!(
            (status, &answer["errors"][0]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)),
            "{body} {answer}"
        );
    }
}

#[actix_web::test]
async fn an_unknown_tenant_has_no_overrides() {
    let app = TestApp::start().await;
    let nobody = "/v1/admin/tenants/019a0000-0000-7000-8000-000000000000/overrides";
    let one = format!("{nobody}/max_agents");
    for (method, path, body) in [
        (Method::GET, nobody, Value::Null),
        (Method::PUT, &one, json!({ "limit": 1 })),
        (Method::DELETE, &one, Value::Null),
    ] {
        let (status, body) = operate(&app, method, path, body).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::NOT_FOUND, &json!("tenancy.not_found"))
        );
    }
}
