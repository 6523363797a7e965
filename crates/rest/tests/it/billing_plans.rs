//! Plans and the subscription.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Person, TestApp, read, text};

/// A key of the person's tenant that may do only this.
pub(crate) async fn key(person: &Person<'_>, scopes: &[&str]) -> String {
    let body = json!({ "name": "narrow", "scopes": scopes });
    let (status, body) = person.post("/v1/api-keys", body).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    text(&body["key"])
}

fn field_error(body: &Value) -> (&str, &str) {
    let error = &body["errors"][0];
    (
        error["field"].as_str().unwrap(),
        error["code"].as_str().unwrap(),
    )
}

#[actix_web::test]
async fn the_default_catalogue_is_on_sale() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, body) = ann.get("/v1/plans").await;
    assert_eq!(status, StatusCode::OK);
    let plans = body["data"].as_array().unwrap();
    let sold: Vec<_> = plans
        .iter()
        .map(|plan| {
            (
                plan["code"].as_str().unwrap(),
                plan["price"]["amount"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        sold,
        [
            ("free", 0),
            ("starter", 2900),
            ("pro", 9900),
            ("enterprise", 29_900)
        ]
    );
    assert_eq!(
        plans[1]["price"],
        json!({ "amount": 2900, "currency": "USD", "interval": "month" })
    );
    assert_eq!(
        plans[0]["limits"],
        json!({
            "max_projects": 1, "max_members": 3, "max_dashboards": 5, "max_agents": 10,
            "tasks_per_month": 1000, "max_concurrent_workflows": 2,
        })
    );
    assert!(
        plans[3]["limits"]
            .as_object()
            .unwrap()
            .values()
            .all(|limit| limit == -1)
    );
    assert_eq!(plans[0]["prices"], json!([]));
    let package = &plans[2]["prices"][0];
    assert_eq!(
        (&package["metric"], &package["model"]),
        (&json!("llm_tokens_input"), &json!("package"))
    );
    assert_eq!(
        (&package["unit_amount"], &package["package_size"]),
        (&json!("0.5"), &json!("1000000"))
    );
    let tiers = &plans[2]["prices"][2]["tiers"];
    assert_eq!(
        tiers[1],
        json!({ "up_to": null, "unit_amount": "0.001", "flat_amount": "0" })
    );
}

#[actix_web::test]
async fn a_new_tenant_is_on_the_free_plan_for_a_month() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, body) = ann.get("/v1/subscription").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&body["plan"], &body["status"]),
        (&json!("free"), &json!("active"))
    );
    assert_eq!(body["cancel_at"], Value::Null);
    assert!(text(&body["current_period_start"]) < text(&body["current_period_end"]));
}

#[actix_web::test]
async fn a_change_now_keeps_the_period_and_is_told_everywhere() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (_, before) = ann.get("/v1/subscription").await;
    let order = json!({ "plan": "business", "when": "now" });
    let (status, preview) = ann
        .post("/v1/subscription/change/preview", order.clone())
        .await;
    assert_eq!((status, &preview["plan"]), (StatusCode::OK, &json!("free")));
    let (status, after) = ann.post("/v1/subscription/change", order).await;
    assert_eq!((status, &after["plan"]), (StatusCode::OK, &json!("pro")));
    assert_eq!(after["current_period_end"], before["current_period_end"]);
    assert_eq!(after["proration"]["credit"], 0);
    assert!(after["proration"]["net"].as_i64().unwrap() > 9800);
    assert_eq!(after["over_limit"], json!([]));
    let (_, tenant) = ann.get(&format!("/v1/tenants/{}", ann.tenant_id)).await;
    assert_eq!(tenant["plan"], "pro");
    assert!(
        ann.trail()
            .await
            .contains(&"subscription.changed".to_owned())
    );
}

#[actix_web::test]
async fn a_change_at_the_end_of_the_period_waits() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("pro").await;
    let order = json!({ "plan": "starter", "when": "period_end" });
    let (status, body) = ann.post("/v1/subscription/change", order).await;
    assert_eq!((status, &body["plan"]), (StatusCode::OK, &json!("pro")));
    assert_eq!(body["pending_change"]["plan"], "starter");
    assert_eq!(
        body["pending_change"]["effective_at"],
        body["current_period_end"]
    );
    assert_eq!(body["proration"]["net"], 0);
}

#[actix_web::test]
async fn orders_that_cannot_be_carried_out_say_why() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let change = "/v1/subscription/change";
    for plan in ["gold", "", "PRO", "a\0b", "pro "] {
        let (status, body) = ann.post(change, json!({ "plan": plan })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{plan:?}");
        assert_eq!(field_error(&body), ("plan", "unknown_plan"));
    }
    for body in [
        json!({}),
        json!({ "plan": "pro", "when": "later" }),
        json!({ "plan": "pro", "now": true }),
    ] {
        let (status, _) = ann.post(change, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[actix_web::test]
async fn billing_needs_its_permissions() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let narrow = key(&ann, &["project.read"]).await;
    let asks = [
        (Method::GET, "/v1/subscription", "billing.read"),
        (Method::POST, "/v1/subscription/change", "billing.write"),
        (
            Method::POST,
            "/v1/subscription/change/preview",
            "billing.read",
        ),
        (Method::GET, "/v1/invoices/upcoming", "billing.read"),
        (Method::GET, "/v1/invoices", "billing.read"),
        (Method::GET, "/v1/entitlements", "entitlement.read"),
        (Method::GET, "/v1/resources/agents", "resource.read"),
        (Method::PUT, "/v1/resources/agents/a", "resource.write"),
        (Method::DELETE, "/v1/resources/agents/a", "resource.write"),
    ];
    for (method, path, required) in asks {
        let request = app
            .request(method, path)
            .bearer_auth(&narrow)
            .json(&json!({ "plan": "pro" }));
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!(
            (status, &body["required"]),
            (StatusCode::FORBIDDEN, &json!(required)),
            "{path}"
        );
    }
    let plans = app.request(Method::GET, "/v1/plans");
    assert_eq!(
        read(plans.send().await.unwrap()).await.0,
        StatusCode::UNAUTHORIZED
    );
}
