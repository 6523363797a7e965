//! `/v1/invitations/accept`: what the tenant and the person's place in it say to a token.

use reqwest::Method;
use serde_json::{Value, json};

use crate::identity_client::{Answer, Person, Server};

/// Ann invites Bob as a member; gives the token.
async fn invite(server: &Server, ann: &Person) -> Value {
    let body = json!({ "email": "bob@example.com", "role": "member" });
    let made = server.post("/v1/invitations", &ann.token, &body).await.ok();
    made["token"].clone()
}

async fn accept(server: &Server, bob: &Person, token: &Value) -> Answer {
    let body = json!({ "token": token });
    server
        .post("/v1/invitations/accept", &bob.token, &body)
        .await
}

/// Bob's roles among Ann's members; null when he is none.
async fn roles_of(server: &Server, ann: &Person, bob: &Person) -> Value {
    let members = server.get("/v1/members", &ann.token).await.ok();
    let members = members["data"].as_array().unwrap();
    members
        .iter()
        .find(|member| member["user_id"] == bob.user_id)
        .map_or(Value::Null, |member| member["roles"].clone())
}

#[actix_web::test]
async fn nobody_joins_a_tenant_that_cannot_be_changed() {
    let server = Server::start().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let token = invite(&server, &ann).await;
    let set = |status: &str| {
        let id = &ann.tenant_id;
        format!("update tenants set status = '{status}' where id = '{id}'")
    };
    for status in ["frozen", "suspended", "archived"] {
        server.sql(&set(status)).await;
        let refused = accept(&server, &bob, &token).await;
        assert_eq!(
            (refused.status, refused.code()),
            (403, "tenancy.read_only"),
            "{status}"
        );
    }
    server.sql(&set("active")).await;
    accept(&server, &bob, &token).await.ok();
    assert_eq!(roles_of(&server, &ann, &bob).await, json!(["member"]));
}

#[actix_web::test]
async fn a_member_who_accepts_keeps_their_roles() {
    let server = Server::start().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let token = invite(&server, &ann).await;
    let join = format!(
        "insert into memberships (tenant_id, user_id) values ('{0}', '{1}');
         insert into membership_roles (tenant_id, user_id, role_key) values ('{0}', '{1}', 'admin')",
        ann.tenant_id, bob.user_id
    );
    server.sql(&join).await;
    for _ in 0..2 {
        accept(&server, &bob, &token).await.ok();
        assert_eq!(roles_of(&server, &ann, &bob).await, json!(["admin"]));
    }
    let list = server.get("/v1/invitations", &ann.token).await.ok();
    assert_eq!(list["data"][0]["status"], "accepted");
}

#[actix_web::test]
async fn a_removed_member_does_not_come_back_with_the_old_token() {
    let server = Server::start().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let token = invite(&server, &ann).await;
    accept(&server, &bob, &token).await.ok();
    let path = format!("/v1/members/{}", bob.user_id);
    let remove = server.request(Method::DELETE, &path);
    assert_eq!(
        server.send(remove.bearer_auth(&ann.token)).await.status,
        204
    );
    let refused = accept(&server, &bob, &token).await;
    assert_eq!(
        (refused.status, refused.code()),
        (410, "tenancy.invitation_used")
    );
    assert_eq!(roles_of(&server, &ann, &bob).await, Value::Null);
}
