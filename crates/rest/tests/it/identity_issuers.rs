//! Tokens of other issuers: first sight, linking, organisations, and keys that cannot be had.

use std::{
    net::TcpListener,
    time::{SystemTime, UNIX_EPOCH},
};

use actix_web::{App, HttpResponse, HttpServer, web};
use idp::{LocalIssuer, generate_signing_key};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::identity_client::{Answer, Server};

/// An OpenID provider with one key.
struct Provider {
    issuer: String,
    signs: EncodingKey,
    kid: String,
}

impl Provider {
    fn start() -> Self {
        let pem = generate_signing_key();
        let keys = serde_json::to_value(LocalIssuer::new("any", &pem).unwrap().jwks()).unwrap();
        let kid = keys["keys"][0]["kid"].as_str().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let server = HttpServer::new(move || {
            let keys = keys.clone();
            let answer = move || {
                let keys = keys.clone();
                async move { HttpResponse::Ok().json(keys) }
            };
            App::new().route("/keys", web::get().to(answer))
        });
        actix_web::rt::spawn(server.workers(1).listen(listener).unwrap().run());
        let signs = EncodingKey::from_ed_pem(pem.expose_secret().as_bytes()).unwrap();
        Self { issuer, signs, kid }
    }

    async fn trusted_by_an_api(&self, kind: &str) -> Server {
        let jwks_url = format!("{}/keys", self.issuer);
        let issuers = json!([{ "kind": kind, "issuer": self.issuer, "jwks_url": jwks_url, "algorithms": ["EdDSA"] }]);
        Server::start_with(&[("PLINTH__IDENTITY__ISSUERS", &issuers.to_string())]).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the API checks tokens against the machine's clock"
    )]
    fn token(&self, subject: &str, extra: &Value) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let mut claims = json!({ "iss": self.issuer, "sub": subject, "iat": now, "exp": now + 60 });
        claims
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        encode(&header, &claims, &self.signs).unwrap()
    }
}

#[actix_web::test]
async fn first_sight_makes_one_user_with_one_tenant_however_many_ask_at_once() {
    let provider = Provider::start();
    let server = provider.trusted_by_an_api("oidc").await;
    let token = provider.token(
        "ada",
        &json!({ "email": "ada@example.com", "email_verified": true }),
    );
    let all = futures_util::future::join_all((0..8).map(|_| server.get("/v1/me", &token))).await;
    let first = all.into_iter().map(Answer::ok).collect::<Vec<_>>();
    assert!(
        first
            .iter()
            .all(|me| me["user"]["id"] == first[0]["user"]["id"])
    );
    assert_eq!(first[0]["user"]["email"], "ada@example.com");
    assert_eq!(first[0]["memberships"].as_array().unwrap().len(), 1);
    assert_eq!(first[0]["memberships"][0]["roles"], json!(["owner"]));
    let trail = server
        .get("/v1/audit-events?action=user.registered", &token)
        .await
        .ok();
    assert_eq!(trail["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_token_without_an_address_is_enough() {
    let provider = Provider::start();
    let server = provider.trusted_by_an_api("clerk").await;
    let me = server
        .get("/v1/me", &provider.token("user_1", &json!({})))
        .await
        .ok();
    assert_eq!(me["memberships"].as_array().unwrap().len(), 1);
    let pending = provider.token("user_2", &json!({ "sts": "pending" }));
    assert_eq!(server.get("/v1/me", &pending).await.status, 401);
}

#[actix_web::test]
async fn an_address_that_nobody_proved_links_nothing() {
    let provider = Provider::start();
    let server = provider.trusted_by_an_api("oidc").await;
    let ada = server.register("ada").await;
    let claims = json!({ "email": ada.email, "email_verified": true });
    let me = server
        .get("/v1/me", &provider.token("ada", &claims))
        .await
        .ok();
    assert_ne!(
        me["user"]["id"],
        json!(ada.user_id),
        "the account's owner has proved nothing"
    );
    server
        .sql(&format!(
            "update users set email_verified = true where id = '{}'",
            ada.user_id
        ))
        .await;
    let unproved = json!({ "email": ada.email, "email_verified": false });
    let me = server
        .get("/v1/me", &provider.token("eve", &unproved))
        .await
        .ok();
    assert_ne!(
        me["user"]["id"],
        json!(ada.user_id),
        "the token's owner has proved nothing"
    );
    let me = server
        .get("/v1/me", &provider.token("ada-too", &claims))
        .await
        .ok();
    assert_eq!(me["user"]["id"], json!(ada.user_id), "both have");
    let me = server
        .get("/v1/me", &provider.token("ada-too", &json!({})))
        .await
        .ok();
    assert_eq!(me["user"]["id"], json!(ada.user_id), "the link stays");
}

#[actix_web::test]
async fn an_organisation_in_the_token_chooses_among_the_users_own_tenants() {
    let provider = Provider::start();
    let server = provider.trusted_by_an_api("clerk").await;
    let plain = provider.token("user_1", &json!({}));
    let own = server.get("/v1/me", &plain).await.ok()["tenant"]["id"].clone();
    let second = server
        .post("/v1/tenants", &plain, &json!({ "name": "Second" }))
        .await
        .ok()["id"]
        .clone();
    let stranger = server.register("stranger").await;
    let refs = format!(
        "insert into tenant_external_refs (tenant_id, kind, external_id)
         values ('{}', 'clerk', 'org_second'), ('{}', 'clerk', 'org_foreign')",
        second.as_str().unwrap(),
        stranger.tenant_id
    );
    server.sql(&refs).await;
    let with_org = |id: &str| provider.token("user_1", &json!({ "o": { "id": id } }));
    let here = |token: String| {
        let server = &server;
        async move { server.get("/v1/me", &token).await.ok()["tenant"]["id"].clone() }
    };
    assert_eq!(here(with_org("org_second")).await, second);
    assert_eq!(here(with_org("org_unknown")).await, own);
    assert_eq!(here(with_org("org_foreign")).await, own, "it only narrows");
    let request = server.request(reqwest::Method::GET, "/v1/me");
    let request = request
        .bearer_auth(with_org("org_second"))
        .header("X-Tenant-ID", own.as_str().unwrap());
    let answer = server.send(request).await;
    assert_eq!((answer.status, answer.code()), (400, "tenancy.ambiguous"));
}

#[actix_web::test]
async fn keys_that_cannot_be_had_are_503_and_a_dead_issuer_stops_nobody_else() {
    let provider = Provider::start();
    let dead = json!([{ "kind": "oidc", "issuer": "http://127.0.0.1:1", "algorithms": ["EdDSA"] }]);
    let server = Server::start_with(&[("PLINTH__IDENTITY__ISSUERS", &dead.to_string())]).await;
    let ada = server.register("ada").await;
    assert_eq!(server.get("/v1/me", &ada.token).await.status, 200);
    let token = provider.token("x", &json!({ "iss": "http://127.0.0.1:1" }));
    let answer = server.get("/v1/me", &token).await;
    assert_eq!(
        (answer.status, answer.code()),
        (503, "identity.keys_unavailable")
    );
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(
        server
            .get("/v1/me", &provider.token("x", &json!({})))
            .await
            .status,
        401
    );
}
