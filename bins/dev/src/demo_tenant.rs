//! The tenant that a newcomer finds: a user with a password, an API key that may do everything, and a plan with room.

use serde_json::json;

use crate::{
    api::{Answer, Api},
    failure::Failure,
    home::{Home, read_dev_env},
};

/// Whom the demo tenant belongs to.
pub(crate) const EMAIL: &str = "demo@plinth.test";

/// What a client needs to know of it.
pub(crate) struct DemoTenant {
    pub(crate) id: String,
    pub(crate) api_key: String,
}

/// The tenant of an earlier run as long as its key still works, else a new key, else a new tenant.
pub(crate) async fn ensure(api: &Api, home: &Home, password: &str) -> Result<DemoTenant, Failure> {
    if let Some(known) = of_earlier_run(api, home).await? {
        return Ok(known);
    }
    let account = json!({ "email": EMAIL, "password": password });
    let logged_in = api
        .anybody()
        .post("/v1/auth/login", account.clone())
        .await?;
    if logged_in.status == 200 {
        let user = api.bearer(&logged_in.text("/access_token")?);
        let id = user
            .get("/v1/me")
            .await?
            .expect(&[200])?
            .text("/tenant/id")?;
        let key = user.of_tenant(&id).post("/v1/api-keys", key()).await?;
        return tenant(id, key);
    }
    let registered = json!({ "email": EMAIL, "password": password, "name": "Demo" });
    let registered = api
        .anybody()
        .post("/v1/auth/register", registered)
        .await?
        .expect(&[201])?;
    let id = registered.text("/tenant/id")?;
    let owner = api
        .bearer(&registered.text("/access_token")?)
        .of_tenant(&id);
    let pro = json!({ "plan": "pro", "when": "now" });
    owner
        .post("/v1/subscription/change", pro)
        .await?
        .expect(&[200, 201])?;
    tenant(id, owner.post("/v1/api-keys", key()).await?)
}

async fn of_earlier_run(api: &Api, home: &Home) -> Result<Option<DemoTenant>, Failure> {
    let known = read_dev_env(home.folder())?;
    let (Some(id), Some(api_key)) = (known.get("PLINTH_TENANT_ID"), known.get("PLINTH_API_KEY"))
    else {
        return Ok(None);
    };
    let works = api.bearer(api_key).get("/v1/me").await?.status == 200;
    Ok(works.then(|| DemoTenant {
        id: id.clone(),
        api_key: api_key.clone(),
    }))
}

fn key() -> serde_json::Value {
    json!({ "name": "cargo dev", "scopes": ["*"] })
}

fn tenant(id: String, created: Answer) -> Result<DemoTenant, Failure> {
    let api_key = created.expect(&[201])?.text("/key")?;
    Ok(DemoTenant { id, api_key })
}
