//! Sign-up, invitation, acceptance, a stranger, an API key.

use kernel::id::random_bytes;
use serde_json::{Value, json};

use super::{Story, heading, proved};
use crate::{
    api::{Api, Caller},
    failure::Failure,
};

/// Ada signs up.
pub(super) async fn sign_up(api: Api) -> Result<Story, Failure> {
    heading("Ada signs up");
    let owner_email = email("ada");
    let (tenant_id, ada) = register(&api, &owner_email, "Ada").await?;
    proved("one request made a user, a tenant of her own and a free subscription");
    let owner = ada.of_tenant(&tenant_id);
    let me = owner.get("/v1/me").await?.expect(&[200])?;
    me.has("/principal/type", "user")?;
    me.has("/tenant/id", &*tenant_id)?;
    let roles = me.list("/memberships/0/roles")?;
    if !roles.iter().any(|role| is_role(role, "owner")) {
        return Err(me.wrong("expected her to be an owner"));
    }
    proved("she is the owner: rights come from her membership, the token only says who she is");
    let again = json!({ "email": owner_email, "password": password(), "name": "Eve" });
    let refused = api
        .anybody()
        .post("/v1/auth/register", again)
        .await?
        .expect(&[409])?;
    refused.has("/code", "identity.email_taken")?;
    proved("nobody else can sign up with her address");
    Ok(Story {
        api,
        owner,
        owner_email,
        tenant_id,
    })
}

/// Ada invites Ben, who accepts twice.
pub(super) async fn invite_and_accept(story: &Story) -> Result<(), Failure> {
    heading("Ada invites Ben");
    let ben_email = email("ben");
    let invitation = json!({ "email": ben_email, "role": "member" });
    let invited = story
        .owner
        .post("/v1/invitations", invitation)
        .await?
        .expect(&[201])?;
    invited.has("/status", "pending")?;
    let token = json!({ "token": invited.text("/token")? });
    proved("the invitation is out: by mail, and here, in development, in the answer too");
    let (own_tenant, ben) = register(&story.api, &ben_email, "Ben").await?;
    for _ in 0..2 {
        let accepted = ben
            .post("/v1/invitations/accept", token.clone())
            .await?
            .expect(&[200])?;
        accepted.has("/tenant/id", &*story.tenant_id)?;
    }
    proved("Ben is in, and accepting a second time changes nothing");
    let members = story.owner.get("/v1/members").await?.expect(&[200])?;
    if members.list("/data")?.len() != 2 {
        return Err(members.wrong("expected two members"));
    }
    let refused = ben
        .of_tenant(&story.tenant_id)
        .post(
            "/v1/invitations",
            json!({ "email": email("cem"), "role": "owner" }),
        )
        .await?
        .expect(&[403])?;
    refused.has("/code", "identity.forbidden")?;
    proved("a member works in the tenant and does not hand out its keys");
    let mine = ben.get("/v1/tenants").await?.expect(&[200])?;
    let ids: Vec<_> = mine
        .list("/data")?
        .iter()
        .filter_map(|it| it.get("id")?.as_str())
        .collect();
    if !(ids.contains(&&*own_tenant) && ids.contains(&&*story.tenant_id)) {
        return Err(mine.wrong("expected Ben's own tenant and Ada's"));
    }
    proved("Ben has two tenants now, with one log-in");
    Ok(())
}

/// Mallory has a tenant too, and the id of Ada's.
pub(super) async fn a_stranger_sees_nothing(story: &Story) -> Result<(), Failure> {
    heading("Mallory looks around");
    let (_, mallory) = register(&story.api, &email("mallory"), "Mallory").await?;
    let ada_s = mallory
        .get(&format!("/v1/tenants/{}", story.tenant_id))
        .await?
        .expect(&[404])?;
    let no_such = "/v1/tenants/01890000-0000-7000-8000-000000000000";
    let nobody_s = mallory.get(no_such).await?.expect(&[404])?;
    if ada_s.body.get("code") != nobody_s.body.get("code") {
        return Err(ada_s.wrong("expected the same answer as for an id that nobody has"));
    }
    mallory
        .of_tenant(&story.tenant_id)
        .get("/v1/members")
        .await?
        .expect(&[404])?;
    proved("another tenant's id gets the same answer as one that does not exist");
    Ok(())
}

/// Ada makes an API key.
pub(super) async fn make_a_key(story: &Story) -> Result<Caller, Failure> {
    heading("Ada makes an API key");
    let wanted = json!({ "name": "demo", "scopes": ["usage.write", "usage.read"] });
    let made = story
        .owner
        .post("/v1/api-keys", wanted)
        .await?
        .expect(&[201])?;
    let secret = made.text("/key")?;
    let listed = story.owner.get("/v1/api-keys").await?.expect(&[200])?;
    if listed.body.to_string().contains(&secret) {
        return Err(listed.wrong("the list must not show the secret"));
    }
    proved("the key is shown once; what is stored is a keyed hash");
    let key = story.api.bearer(&secret);
    key.get("/v1/me")
        .await?
        .expect(&[200])?
        .has("/tenant/id", &*story.tenant_id)?;
    key.get("/v1/members").await?.expect(&[403])?;
    let spoilt = format!("{}0", secret.get(..secret.len() - 1).unwrap_or_default());
    let spoilt = if spoilt == secret {
        format!("{secret}0")
    } else {
        spoilt
    };
    story
        .api
        .bearer(&spoilt)
        .get("/v1/me")
        .await?
        .expect(&[401])?;
    proved(
        "it opens what its scopes name and nothing else, and a key with one wrong letter opens nothing",
    );
    Ok(key)
}

async fn register(api: &Api, email: &str, name: &str) -> Result<(String, Caller), Failure> {
    let account = json!({ "email": email, "password": password(), "name": name });
    let made = api
        .anybody()
        .post("/v1/auth/register", account)
        .await?
        .expect(&[201])?;
    Ok((
        made.text("/tenant/id")?,
        api.bearer(&made.text("/access_token")?),
    ))
}

/// A role is its key, or an object that has one.
fn is_role(role: &Value, key: &str) -> bool {
    role.as_str() == Some(key) || role.get("key").and_then(Value::as_str) == Some(key)
}

/// An address that no earlier run has used.
pub(super) fn email(name: &str) -> String {
    format!(
        "{name}-{:012x}@demo.plinth.test",
        u64::from_be_bytes(random_bytes()) >> 16
    )
}

fn password() -> String {
    format!("{:032x}", u128::from_be_bytes(random_bytes()))
}
