//! Which tenant a request is in.

use reqwest::Method;
use serde_json::json;

use crate::identity_client::{Answer, Person, Server};

const RANDOM: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn me(server: &Server, bearer: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = server.request(Method::GET, "/v1/me").bearer_auth(bearer);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request).await
}

async fn second_tenant(server: &Server, by: &Person) -> String {
    let body = server
        .post("/v1/tenants", &by.token, &json!({ "name": "Second" }))
        .await
        .ok();
    body["id"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_header_chooses_and_is_remembered() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let second = second_tenant(&server, &ada).await;
    assert_eq!(
        me(&server, &ada.token, &[]).await.ok()["tenant"]["id"],
        json!(ada.tenant_id)
    );
    for header in ["X-Workspace-ID", "X-Tenant-ID"] {
        let body = me(&server, &ada.token, &[(header, &second)]).await.ok();
        assert_eq!(body["tenant"]["id"], json!(second));
    }
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(
        me(&server, &ada.token, &[]).await.ok()["tenant"]["id"],
        json!(second)
    );
}

#[actix_web::test]
async fn somebody_elses_tenant_is_as_unknown_as_a_random_one() {
    let server = Server::start().await;
    let (ada, bob) = (server.register("ada").await, server.register("bob").await);
    let foreign = me(&server, &ada.token, &[("X-Tenant-ID", &bob.tenant_id)]).await;
    let random = me(&server, &ada.token, &[("X-Tenant-ID", RANDOM)]).await;
    assert_eq!((foreign.status, foreign.code()), (404, "tenancy.not_found"));
    assert_eq!(foreign.shape(), random.shape());
    let path = |id: &str| format!("/v1/tenants/{id}");
    let foreign = server.get(&path(&bob.tenant_id), &ada.token).await;
    assert_eq!(foreign.shape(), random.shape(), "in the path too");
    let key = server.key(&ada, "k", &["*"]).await;
    let key = key["key"].as_str().unwrap();
    assert_eq!(
        server.get(&path(&bob.tenant_id), key).await.shape(),
        random.shape()
    );
    assert_eq!(server.get(&path(RANDOM), key).await.shape(), random.shape());
    assert_eq!(server.get(&path(&ada.tenant_id), key).await.status, 200);
}

#[actix_web::test]
async fn two_different_answers_are_refused() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let second = second_tenant(&server, &ada).await;
    let both = [
        ("X-Tenant-ID", ada.tenant_id.as_str()),
        ("X-Workspace-ID", second.as_str()),
    ];
    let answer = me(&server, &ada.token, &both).await;
    assert_eq!((answer.status, answer.code()), (400, "tenancy.ambiguous"));
    let key = server.key(&ada, "k", &["*"]).await;
    let answer = me(
        &server,
        key["key"].as_str().unwrap(),
        &[("X-Tenant-ID", &second)],
    )
    .await;
    assert_eq!((answer.status, answer.code()), (400, "tenancy.ambiguous"));
    let request = server.request(Method::GET, &format!("/v1/tenants/{second}"));
    let request = request
        .bearer_auth(&ada.token)
        .header("X-Tenant-ID", &ada.tenant_id);
    let answer = server.send(request).await;
    assert_eq!((answer.status, answer.code()), (400, "tenancy.ambiguous"));
    let answer = me(&server, &ada.token, &[("X-Tenant-ID", "acme")]).await;
    assert_eq!((answer.status, answer.field()), (422, "X-Tenant-ID"));
}

#[actix_web::test]
async fn two_credentials_must_be_one() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let key = server.key(&ada, "k", &["*"]).await;
    let key = key["key"].as_str().unwrap();
    assert_eq!(me(&server, key, &[("X-API-Key", key)]).await.status, 200);
    let answer = me(&server, &ada.token, &[("X-API-Key", key)]).await;
    assert_eq!(
        (answer.status, answer.code()),
        (400, "identity.ambiguous_credentials")
    );
    let request = server
        .request(Method::GET, "/v1/me")
        .header("X-API-Key", key);
    let body = server.send(request).await.ok();
    assert_eq!(body["principal"]["type"], "api_key");
    assert_eq!(body["memberships"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_removed_member_is_refused_within_a_second() {
    let server = Server::start().await;
    let (ada, bob) = (server.register("ada").await, server.register("bob").await);
    let join = format!(
        "insert into memberships (tenant_id, user_id) values ('{0}', '{1}');
         insert into membership_roles (tenant_id, user_id, role_key) values ('{0}', '{1}', 'viewer')",
        ada.tenant_id, bob.user_id
    );
    server.sql(&join).await;
    let headers = [("X-Tenant-ID", ada.tenant_id.as_str())];
    assert_eq!(me(&server, &bob.token, &headers).await.status, 200);
    let leave = format!(
        "update memberships set status = 'removed' where tenant_id = '{}' and user_id = '{}'",
        ada.tenant_id, bob.user_id
    );
    server.sql(&leave).await;
    tokio::time::sleep(std::time::Duration::from_millis(1000)).await;
    assert_eq!(me(&server, &bob.token, &headers).await.status, 404);
}

#[actix_web::test]
async fn a_frozen_tenant_reads_and_does_not_write() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let freeze = format!(
        "update tenants set status = 'frozen' where id = '{}'",
        ada.tenant_id
    );
    server.sql(&freeze).await;
    tokio::time::sleep(std::time::Duration::from_millis(1000)).await;
    assert_eq!(server.get("/v1/api-keys", &ada.token).await.status, 200);
    let body = json!({ "name": "k", "scopes": [] });
    let answer = server.post("/v1/api-keys", &ada.token, &body).await;
    assert_eq!((answer.status, answer.code()), (403, "tenancy.read_only"));
    assert_eq!(answer.body["tenant_status"], "frozen");
}
