//! What holds when nothing goes wrong.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::sleep;

use super::customer::Customer;
use crate::{api::Api, failure::Failure};

/// Makes keys, shows them to both APIs, revokes them at one, and asks both a second later.
pub(super) async fn keys_are_revoked_at_once(
    apis: &[Api; 2],
    customer: &Customer,
) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::new();
    for number in 0..6 {
        let owner = apis.each_ref().map(|api| api.bearer(&customer.key));
        let [first, second] = &owner;
        let (maker, revoker) = if number % 2 == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let name = format!("{}-quiet-{number}", customer.tag);
        let made = maker
            .post(
                "/v1/api-keys",
                json!({ "name": name, "scopes": ["usage.read"] }),
            )
            .await?
            .expect(&[201])?;
        let key = made.text("/key")?;
        let callers = apis.each_ref().map(|api| api.bearer(&key));
        for caller in &callers {
            caller.get("/v1/me").await?.expect(&[200])?;
        }
        let path = format!("/v1/api-keys/{}/revoke", made.text("/id")?);
        revoker.post(&path, json!({})).await?.expect(&[200])?;
        sleep(Duration::from_secs(1)).await;
        for caller in &callers {
            let answer = caller.get("/v1/me").await?;
            if answer.status != 401 {
                wrong.push(
                    answer
                        .wrong(&format!("{name} was revoked a second ago"))
                        .to_string(),
                );
            }
        }
    }
    Ok(wrong)
}

const LISTS: [&str; 9] = [
    "/v1/me",
    "/v1/tenants",
    "/v1/members",
    "/v1/invitations?limit=100",
    "/v1/projects?limit=100",
    "/v1/api-keys?limit=100",
    "/v1/resources/agents?limit=100",
    "/v1/audit-events?limit=100",
    "/v1/usage?group_by=user,project",
];

/// Reads every list of every customer at both APIs.
pub(super) async fn neighbours_are_strangers(
    apis: &[Api; 2],
    customers: &[Arc<Customer>; 3],
) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::new();
    for customer in customers {
        for (api, path) in apis.iter().flat_map(|api| LISTS.map(|path| (api, path))) {
            let answer = api.bearer(&customer.key).get(path).await?.expect(&[200])?;
            let text = answer.body.to_string();
            let others = customers
                .iter()
                .filter(|other| other.tenant_id != customer.tenant_id);
            for other in others {
                if text.contains(&other.tag) || text.contains(&other.tenant_id) {
                    wrong.push(format!("{} reads of {} at {path}", customer.tag, other.tag));
                }
            }
        }
    }
    Ok(wrong)
}
