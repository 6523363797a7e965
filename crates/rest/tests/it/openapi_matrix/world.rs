//! Two tenants with something of every kind, made through the API.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::contract::Kind;
use crate::harness::{Person, TestApp, read, text};

const ROWS: &str = include_str!("rows.sql");

/// Who makes a request.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    Nobody,
    Token(String),
    Key(String),
}

/// A tenant with its owner, and one of everything.
pub(super) struct Side {
    pub(super) owner: Credential,
    pub(super) key: Credential,
    /// A member and a key that may do nothing.
    pub(super) powerless: [(&'static str, Credential); 2],
    pub(super) ids: BTreeMap<Kind, String>,
    /// People whose rows are the tenant's as well.
    pub(super) people: Vec<String>,
    /// Secrets that no answer shows twice.
    secrets: BTreeSet<String>,
}

async fn made(answer: (StatusCode, Value)) -> Value {
    let (status, body) = answer;
    assert!(status.is_success(), "{status} {body}");
    body
}

/// A tenant whose every name has `name` in it.
pub(super) async fn build(app: &TestApp, name: &str) -> Side {
    let owner = app.register(&format!("owner@{name}.example.com")).await;
    owner.upgrade("enterprise").await;
    let tenant = owner.tenant_id.clone();
    let rename =
        json!({ "name": format!("Tenant of {name}"), "slug": format!("tenant-of-{name}") });
    made(owner.patch(&format!("/v1/tenants/{tenant}"), rename).await).await;
    let mut ids = BTreeMap::from([
        (Kind::Tenant, tenant.clone()),
        (Kind::User, owner.user_id.clone()),
        (Kind::Email, owner.email.clone()),
        (Kind::Role, format!("role_of_{name}")),
        (Kind::Entitlement, format!("max_{name}")),
    ]);
    let mut secrets = BTreeSet::from([owner.token.clone()]);
    places(&owner, name, &mut ids).await;
    keys(&owner, name, &mut ids, &mut secrets).await;
    usage(&owner, name, &mut ids).await;
    billing(&owner, name, &mut ids).await;
    insert_the_rest(app, name, &ids);
    let guest = invitations(&owner, name, &mut ids, &mut secrets).await;
    let page = made(owner.get("/v1/audit-events?limit=1").await).await;
    ids.insert(Kind::Cursor, text(&page["next_cursor"]));
    let invoices = made(owner.get("/v1/invoices").await).await;
    ids.insert(Kind::Invoice, text(&invoices["data"][0]["id"]));
    let made_key = |scopes: Value| {
        owner.post(
            "/v1/api-keys",
            json!({ "name": scopes.to_string(), "scopes": scopes }),
        )
    };
    let key = text(&made(made_key(json!(["*"])).await).await["key"]);
    let idle = text(&made(made_key(json!([])).await).await["key"]);
    secrets.extend([key.clone(), idle.clone(), guest.token.clone()]);
    Side {
        owner: Credential::Token(owner.token.clone()),
        key: Credential::Key(key),
        powerless: [
            (
                "a member without permissions",
                Credential::Token(guest.token.clone()),
            ),
            ("a key without scopes", Credential::Key(idle)),
        ],
        people: vec![owner.user_id.clone(), guest.user_id.clone()],
        ids,
        secrets,
    }
}

async fn places(owner: &Person<'_>, name: &str, ids: &mut BTreeMap<Kind, String>) {
    let project =
        json!({ "name": format!("Project of {name}"), "slug": format!("project-of-{name}") });
    let project = made(owner.post("/v1/projects", project).await).await;
    let id = text(&project["id"]);
    let environment = json!({ "name": format!("env-of-{name}"), "kind": "staging" });
    let environment = owner
        .post(&format!("/v1/projects/{id}/environments"), environment)
        .await;
    ids.insert(Kind::Environment, text(&made(environment).await["id"]));
    ids.insert(Kind::Project, id);
    ids.insert(Kind::ProjectSlug, text(&project["slug"]));
}

async fn keys(
    owner: &Person<'_>,
    name: &str,
    ids: &mut BTreeMap<Kind, String>,
    secrets: &mut BTreeSet<String>,
) {
    let key = json!({
        "name": format!("Key of {name}"), "scopes": ["project.read"], "project_id": ids[&Kind::Project],
        "environment_id": ids[&Kind::Environment], "mode": "test",
    });
    let old = made(owner.post("/v1/api-keys", key).await).await;
    let rotate = format!("/v1/api-keys/{}/rotate", text(&old["id"]));
    let key = made(
        owner
            .post(&rotate, json!({ "overlap_seconds": 3600 }))
            .await,
    )
    .await;
    ids.insert(Kind::ApiKey, text(&key["id"]));
    ids.insert(Kind::KeyText, text(&key["key"]));
    secrets.extend([text(&old["key"]), text(&key["key"])]);
}

async fn usage(owner: &Person<'_>, name: &str, ids: &mut BTreeMap<Kind, String>) {
    let meter = json!({ "key": format!("meter_of_{name}"), "aggregation": "sum", "unit": "page" });
    let meter = made(owner.post("/v1/meters", meter).await).await;
    ids.insert(Kind::Meter, text(&meter["key"]));
    let event = json!({
        "id": format!("event-of-{name}"), "metric": meter["key"], "quantity": "7", "project_id": ids[&Kind::Project],
        "user_id": format!("user-of-{name}"), "model": format!("model-of-{name}"),
    });
    let receipt = made(owner.post("/v1/events", event).await).await;
    assert_eq!(receipt["accepted"], 1, "{receipt}");
    ids.insert(Kind::Event, format!("event-of-{name}"));
}

async fn billing(owner: &Person<'_>, name: &str, ids: &mut BTreeMap<Kind, String>) {
    let thing = format!("thing-of-{name}");
    made(
        owner
            .put(&format!("/v1/resources/agents/{thing}"), json!({}))
            .await,
    )
    .await;
    ids.insert(Kind::Resource, thing);
    let wish = json!({ "key": "tasks_per_month", "quantity": 2, "ttl_seconds": 3600 });
    let reservation = made(owner.post("/v1/quota/reservations", wish).await).await;
    ids.insert(Kind::Reservation, text(&reservation["id"]));
}

/// A pending invitation, and somebody who accepted one and may do nothing.
async fn invitations<'a>(
    owner: &Person<'a>,
    name: &str,
    ids: &mut BTreeMap<Kind, String>,
    secrets: &mut BTreeSet<String>,
) -> Person<'a> {
    let role = &ids[&Kind::Role];
    let invite =
        |email: String| owner.post("/v1/invitations", json!({ "email": email, "role": role }));
    let guest = owner
        .app
        .register(&format!("guest@{name}.example.com"))
        .await;
    let accepted = made(invite(guest.email.clone()).await).await;
    let accept = json!({ "token": accepted["token"] });
    made(guest.post("/v1/invitations/accept", accept).await).await;
    // From now on the tenant that they were last seen in is this one.
    let chosen = guest
        .request(Method::GET, "/v1/me")
        .header("X-Tenant-ID", &owner.tenant_id);
    made(read(chosen.send().await.unwrap()).await).await;
    let pending = made(invite(format!("pending@{name}.example.com")).await).await;
    secrets.extend([text(&accepted["token"]), text(&pending["token"])]);
    ids.insert(Kind::Invitation, text(&pending["id"]));
    guest
}

fn insert_the_rest(app: &TestApp, name: &str, ids: &BTreeMap<Kind, String>) {
    let rows = ROWS
        .replace("{tenant}", &ids[&Kind::Tenant])
        .replace("{person}", &ids[&Kind::User])
        .replace("{project}", &ids[&Kind::Project])
        .replace("{name}", name);
    let mut conn = PgConnection::establish(&app.db.superuser_url()).unwrap();
    conn.batch_execute(&rows).unwrap();
}

impl Side {
    /// Everybody of the tenant, by what they are called here.
    pub(super) fn principals(&self) -> Vec<(&str, &Credential)> {
        let powerless = self
            .powerless
            .iter()
            .map(|(name, credential)| (*name, credential));
        [("the owner", &self.owner), ("a key", &self.key)]
            .into_iter()
            .chain(powerless)
            .collect()
    }

    /// Everything that tells the tenant and its people apart: their ids, and every id, slug, address and secret in `answers`.
    pub(super) fn marks(&self, answers: &[Value]) -> BTreeSet<String> {
        let mut marks: BTreeSet<String> = self.ids.values().cloned().collect();
        marks.extend(self.people.iter().cloned());
        marks.extend(self.secrets.iter().cloned());
        for answer in answers {
            collect(answer, &mut marks);
        }
        marks
    }
}

/// Every text under a name that says it is an id, a slug, an address or a secret.
fn collect(value: &Value, marks: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let names = [
                    "slug",
                    "email",
                    "prefix",
                    "token",
                    "key",
                    "number",
                    "next_cursor",
                ];
                let marked =
                    names.contains(&name.as_str()) || name == "id" || name.ends_with("_id");
                match value.as_str() {
                    Some(text) if marked && text.len() > 5 => {
                        marks.insert(text.to_owned());
                    }
                    _ => collect(value, marks),
                }
            }
        }
        Value::Array(rows) => rows.iter().for_each(|row| collect(row, marks)),
        _ => {}
    }
}
