//! The upcoming invoice, and the list that is still empty.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::TestApp;

#[actix_web::test]
async fn the_upcoming_invoice_is_base_price_and_usage_at_once() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    ann.upgrade("pro").await;
    let events = json!([
        { "id": "1", "metric": "llm_tokens_input", "quantity": "1000001" },
        { "id": "2", "metric": "tool_call", "quantity": 1500 },
        { "id": "3", "metric": "agent_minute", "quantity": "12.34" },
        { "id": "3", "metric": "agent_minute", "quantity": "12.34" },
        { "id": "4", "metric": "chat", "quantity": 99 },
    ]);
    assert_eq!(ann.post("/v1/events", events).await.0, StatusCode::OK);
    let (status, invoice) = ann.get("/v1/invoices/upcoming").await;
    assert_eq!(
        (status, &invoice["status"]),
        (StatusCode::OK, &json!("draft"))
    );
    let lines = invoice["lines"].as_array().unwrap();
    let amount = |metric: &str| {
        lines.iter().find(|line| line["metric"] == metric).unwrap()["amount"]
            .as_i64()
            .unwrap()
    };
    for line in lines.iter().filter(|line| line["metric"].is_string()) {
        for name in ["quantity", "unit_price", "watermark"] {
            assert!(line[name].is_string(), "{name} of {line}");
        }
        assert_ne!(line["tiers"], json!([]), "{line}");
    }
    assert!(lines.iter().all(|line| line["plan"] == "pro"), "{lines:?}");
    assert_eq!(amount("llm_tokens_input"), 100);
    assert_eq!(amount("tool_call"), 50);
    assert_eq!(amount("agent_minute"), 12);
    assert!(lines.iter().all(|line| line["metric"] != "chat"));
    let base: i64 = lines
        .iter()
        .filter(|line| line["metric"].is_null())
        .map(|line| line["amount"].as_i64().unwrap())
        .sum();
    assert!((9890..=9900).contains(&base), "{base}");
    let sum: i64 = lines
        .iter()
        .map(|line| line["amount"].as_i64().unwrap())
        .sum();
    assert_eq!(
        (&invoice["subtotal"], &invoice["total"]),
        (&json!(sum), &json!(sum))
    );
    assert_eq!(invoice["currency"], "USD");
    let calls = lines
        .iter()
        .find(|line| line["metric"] == "tool_call")
        .unwrap();
    assert_eq!(
        (&calls["quantity"], &calls["currency"]),
        (&json!("1500"), &json!("USD"))
    );
    let used: Vec<_> = calls["tiers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tier| &tier["quantity"])
        .collect();
    assert_eq!(used, [&json!("1000"), &json!("500")]);
    assert!(calls["watermark"].is_string());
}

#[actix_web::test]
async fn a_free_plan_costs_nothing_whatever_is_used() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let event = json!({ "id": "1", "metric": "llm_tokens_input", "quantity": 5_000_000 });
    assert_eq!(ann.post("/v1/events", event).await.0, StatusCode::OK);
    let (_, invoice) = ann.get("/v1/invoices/upcoming").await;
    assert_eq!(
        (
            &invoice["total"],
            invoice["lines"].as_array().unwrap().len()
        ),
        (&json!(0), 0)
    );
}

#[actix_web::test]
async fn no_invoice_is_final_yet() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let (status, body) = ann.get("/v1/invoices").await;
    assert_eq!(
        (status, body),
        (
            StatusCode::OK,
            json!({ "data": [], "next_cursor": Value::Null })
        )
    );
    let path = "/v1/invoices/019a0000-0000-7000-8000-000000000000";
    for path in [path.to_owned(), format!("{path}/lines")] {
        let (status, body) = ann.get(&path).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::NOT_FOUND, &json!("billing.invoice_not_found"))
        );
    }
    assert_eq!(
        ann.get("/v1/invoices/later").await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}
