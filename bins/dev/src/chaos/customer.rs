//! A tenant, and what its clients know.

use serde_json::json;

use super::books::Books;
use crate::{api::Api, failure::Failure};

/// A tenant with a key that may do everything.
pub(super) struct Customer {
    /// Begins every name that its clients give, and stands in nobody else's.
    pub(super) tag: String,
    pub(super) tenant_id: String,
    pub(super) key: String,
    pub(super) books: Books,
}

impl Customer {
    /// Signs up, and orders a plan.
    pub(super) async fn sign_up(api: &Api, tag: String, plan: &str) -> Result<Self, Failure> {
        let account = json!({
            "email": format!("{tag}@example.com"), "password": "correct horse battery staple", "name": &*tag
        });
        let registered = api
            .anybody()
            .post("/v1/auth/register", account)
            .await?
            .expect(&[201])?;
        let tenant_id = registered.text("/tenant/id")?;
        let owner = api
            .bearer(&registered.text("/access_token")?)
            .of_tenant(&tenant_id);
        let order = json!({ "plan": plan, "when": "now" });
        owner
            .post("/v1/subscription/change", order)
            .await?
            .expect(&[200, 201])?;
        let key = json!({ "name": "chaos", "scopes": ["*"] });
        let key = owner
            .post("/v1/api-keys", key)
            .await?
            .expect(&[201])?
            .text("/key")?;
        Ok(Self {
            tag,
            tenant_id,
            key,
            books: Books::default(),
        })
    }
}
