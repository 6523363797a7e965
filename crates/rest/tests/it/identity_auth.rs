//! `/v1/auth/*`, `/v1/me` and the published keys.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::{
    harness::PLATFORM_KEY,
    identity_client::{PASSWORD, Server},
};

#[actix_web::test]
async fn registering_makes_a_user_with_a_tenant_of_their_own() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let me = server.get("/v1/me", &ada.token).await.ok();
    assert_eq!(me["principal"]["type"], "user");
    assert_eq!(me["principal"]["id"], json!(ada.user_id));
    assert_eq!(me["user"]["email"], json!(ada.email));
    assert_eq!(me["tenant"]["id"], json!(ada.tenant_id));
    assert_eq!(me["tenant"]["is_personal"], json!(true));
    assert_eq!(me["memberships"][0]["tenant_id"], json!(ada.tenant_id));
    assert_eq!(me["memberships"][0]["roles"], json!(["owner"]));
}

#[actix_web::test]
async fn an_address_belongs_to_one_person_in_whatever_spelling() {
    let server = Server::start().await;
    server.register("ada").await;
    let again = json!({ "email": " ADA@Example.com", "password": PASSWORD });
    let answer = server.post_anonymous("/v1/auth/register", &again).await;
    assert_eq!(
        (answer.status, answer.code()),
        (409, "identity.email_taken")
    );
}

#[actix_web::test]
async fn a_bad_registration_names_the_field() {
    let server = Server::start().await;
    for (body, status, field) in [
        (
            json!({ "email": "nonsense", "password": PASSWORD }),
            422,
            "email",
        ),
        (
            json!({ "email": "a@b.co\u{0}", "password": PASSWORD }),
            422,
            "email",
        ),
        (
            json!({ "email": "a@b.co", "password": "short" }),
            422,
            "password",
        ),
        (
            json!({ "email": "a@b.co", "password": "x".repeat(257) }),
            422,
            "password",
        ),
        (
            json!({ "email": "a@b.co", "password": "0123456789\u{0}" }),
            422,
            "password",
        ),
        (
            json!({ "email": "a@b.co", "password": PASSWORD, "name": "\u{7}" }),
            422,
            "name",
        ),
        (
            json!({ "email": "a@b.co", "password": PASSWORD, "admin": true }),
            422,
            "admin",
        ),
        (json!({ "email": "a@b.co" }), 422, "password"),
        (json!({ "email": 7, "password": PASSWORD }), 422, "email"),
    ] {
        let answer = server.post_anonymous("/v1/auth/register", &body).await;
        assert_eq!((answer.status, answer.field()), (status, field), "{body}");
    }
}

#[actix_web::test]
async fn a_wrong_password_and_an_unknown_address_look_and_last_the_same() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let log_in = |email: &str, password: &str| json!({ "email": email, "password": password });
    let path = "/v1/auth/login";
    server
        .post_anonymous(path, &log_in("ADA@example.com", PASSWORD))
        .await
        .ok();
    let wrong = server
        .post_anonymous(path, &log_in(&ada.email, "not the password"))
        .await;
    let unknown = server
        .post_anonymous(path, &log_in("nobody@example.com", PASSWORD))
        .await;
    assert_eq!(
        (wrong.status, wrong.code()),
        (401, "identity.invalid_credentials")
    );
    assert_eq!(wrong.shape(), unknown.shape());
    assert_eq!(
        wrong.headers["www-authenticate"],
        unknown.headers["www-authenticate"]
    );

    // The hash is what takes the time. Without one an unknown address would answer in a tenth of it.
    let mut spent = [Duration::ZERO; 2];
    for _ in 0..5 {
        for (at, email) in [ada.email.as_str(), "nobody@example.com"]
            .iter()
            .enumerate()
        {
            let started = Instant::now();
            server
                .post_anonymous(path, &log_in(email, "not the password"))
                .await;
            spent[at] += started.elapsed();
        }
    }
    assert!(spent[1] * 3 > spent[0], "{spent:?}");
}

#[actix_web::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let refresh = |token: &str| {
        let body = json!({ "refresh_token": token });
        let server = &server;
        async move { server.post_anonymous("/v1/auth/refresh", &body).await }
    };
    let next = refresh(&ada.refresh_token).await.ok();
    let (token, second) = (
        next["access_token"].as_str().unwrap().to_owned(),
        next["refresh_token"].as_str().unwrap().to_owned(),
    );
    assert_eq!(server.get("/v1/me", &token).await.status, 200);
    let reused = refresh(&ada.refresh_token).await;
    assert_eq!(
        (reused.status, reused.code()),
        (401, "identity.invalid_credentials")
    );
    assert_eq!(
        refresh(&second).await.status,
        401,
        "the whole family is over"
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(
        server.get("/v1/me", &token).await.status,
        401,
        "and its access tokens"
    );
}

#[actix_web::test]
async fn of_two_who_refresh_at_once_one_gets_through_and_an_invented_token_ends_nothing() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let session = ada.refresh_token.split('_').nth(1).unwrap();
    let invented = format!("plr_{session}_{}", "A".repeat(64));
    let body = json!({ "refresh_token": invented });
    assert_eq!(
        server
            .post_anonymous("/v1/auth/refresh", &body)
            .await
            .status,
        401
    );
    let body = json!({ "refresh_token": ada.refresh_token });
    let both = futures_util::future::join(
        server.post_anonymous("/v1/auth/refresh", &body),
        server.post_anonymous("/v1/auth/refresh", &body),
    );
    let (a, b) = both.await;
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[actix_web::test]
async fn logging_out_ends_the_session_at_once() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    assert_eq!(server.get("/v1/me", &ada.token).await.status, 200);
    let body = json!({ "refresh_token": ada.refresh_token });
    let answer = server.post_anonymous("/v1/auth/logout", &body).await;
    assert_eq!((answer.status, &answer.body), (204, &json!(null)));
    assert_eq!(
        server.post_anonymous("/v1/auth/logout", &body).await.status,
        204
    );
    assert_eq!(
        server
            .post_anonymous("/v1/auth/refresh", &body)
            .await
            .status,
        401
    );
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(server.get("/v1/me", &ada.token).await.status, 401);
    for garbage in ["", "plr_", "plr_x_y", "garbage"] {
        let body = json!({ "refresh_token": garbage });
        assert_eq!(
            server.post_anonymous("/v1/auth/logout", &body).await.status,
            401,
            "{garbage}"
        );
    }
}

#[actix_web::test]
async fn every_bad_credential_gets_the_same_answer() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let nobody = server.send(server.request(Method::GET, "/v1/me")).await;
    assert_eq!(
        (nobody.status, nobody.code()),
        (401, "identity.unauthenticated")
    );
    assert_eq!(nobody.headers["www-authenticate"], "Bearer");
    let cut = &ada.token[..ada.token.len() - 2];
    let unsigned = format!(
        "eyJhbGciOiJub25lIn0.{}.",
        ada.token.split('.').nth(1).unwrap()
    );
    for bad in [
        "garbage",
        "a.b.c",
        cut,
        &unsigned,
        "plk_live_garbage",
        "plp_not_the_operators_key",
        "é",
    ] {
        let answer = server.get("/v1/me", bad).await;
        assert_eq!(answer.shape(), nobody.shape(), "{bad}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
}

#[actix_web::test]
async fn a_banned_user_is_kept_out_within_a_second() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    assert_eq!(server.get("/v1/me", &ada.token).await.status, 200);
    server
        .sql(&format!(
            "update users set status = 'banned' where id = '{}'",
            ada.user_id
        ))
        .await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let answer = server.get("/v1/me", &ada.token).await;
    assert_eq!((answer.status, answer.code()), (403, "identity.not_active"));
    let body = json!({ "email": ada.email, "password": PASSWORD });
    assert_eq!(
        server.post_anonymous("/v1/auth/login", &body).await.status,
        403
    );
    let body = json!({ "refresh_token": ada.refresh_token });
    assert_eq!(
        server
            .post_anonymous("/v1/auth/refresh", &body)
            .await
            .status,
        401
    );
}

#[actix_web::test]
async fn an_operator_is_nobody_in_any_tenant() {
    let server = Server::start().await;
    let me = server.get("/v1/me", PLATFORM_KEY).await.ok();
    assert_eq!(me["principal"]["type"], "support");
    assert_eq!(
        (&me["user"], &me["tenant"], &me["memberships"]),
        (&json!(null), &json!(null), &json!([]))
    );
    let answer = server.get("/v1/api-keys", PLATFORM_KEY).await;
    assert_eq!((answer.status, answer.code()), (400, "tenancy.no_tenant"));
}

#[actix_web::test]
async fn the_public_key_is_published_and_nothing_else() {
    let server = Server::start().await;
    let jwks = server
        .send(server.request(Method::GET, "/.well-known/jwks.json"))
        .await
        .ok();
    assert_eq!(
        (&jwks["keys"][0]["kty"], &jwks["keys"][0]["crv"]),
        (&json!("OKP"), &json!("Ed25519"))
    );
    assert_eq!(jwks["keys"][0].get("d"), None);
}

#[actix_web::test]
async fn without_the_built_in_log_in_nobody_registers() {
    let server = Server::start_with(&[("PLINTH__IDENTITY__LOCAL__ENABLED", "false")]).await;
    let body = json!({ "email": "a@b.co", "password": PASSWORD });
    for path in ["/v1/auth/register", "/v1/auth/login"] {
        let answer = server.post_anonymous(path, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (403, "identity.local_signup_disabled")
        );
    }
    let jwks = server
        .send(server.request(Method::GET, "/.well-known/jwks.json"))
        .await
        .ok();
    assert_eq!(jwks, json!({ "keys": [] }));
}
