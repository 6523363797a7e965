//! Changes of plan, by people who do not know of each other.

use serde_json::json;

use super::super::client::{Client, Outcome, Request};

const PLANS: [&str; 3] = ["starter", "pro", "enterprise"];

/// Orders one plan after the other.
pub(super) async fn change(mut client: Client) {
    while client.goes_on() {
        let index = client.random.index(PLANS.len()).unwrap_or_default();
        let plan = PLANS.get(index).copied().unwrap_or("pro");
        let key = client.name("order");
        let order = json!({ "plan": plan, "when": "now" });
        let request = Request::post("/v1/subscription/change", order).once(key);
        match client.until_answered("plan ordered", request).await {
            Outcome::Answer(answer) if matches!(answer.status, 200 | 201) => {}
            Outcome::Answer(answer) => client.surprised(&answer),
            // The subscription says which plan it came to, and nobody depends on which one.
            Outcome::Unknown => {}
        }
        client.rest(200, 800).await;
    }
}
