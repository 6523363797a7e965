//! `/v1/api-keys`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::identity_client::{Answer, Person, Server};

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn verify(server: &Server, by: &Person, key: &str, permissions: Option<&str>) -> Value {
    let body = json!({ "key": key, "permissions": permissions });
    server
        .post("/v1/api-keys/verify", &by.token, &body)
        .await
        .ok()
}

/// A member of `of` with one role there, and a way to act in that tenant.
async fn member(server: &Server, of: &Person, name: &str, role: &str) -> Person {
    let person = server.register(name).await;
    let join = format!(
        "insert into memberships (tenant_id, user_id) values ('{0}', '{1}');
         insert into membership_roles (tenant_id, user_id, role_key) values ('{0}', '{1}', '{role}')",
        of.tenant_id, person.user_id
    );
    server.sql(&join).await;
    person
}

async fn post_in(server: &Server, tenant: &str, by: &Person, path: &str, body: &Value) -> Answer {
    let request = server.request(Method::POST, path).bearer_auth(&by.token);
    server
        .send(request.header("X-Tenant-ID", tenant).json(body))
        .await
}

#[actix_web::test]
async fn a_key_is_shown_once_and_works() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let made = server
        .key(&ada, "ci", &["project:read", "api_key.read"])
        .await;
    let key = text(&made["key"]);
    assert!(
        key.starts_with(&format!("{}_", text(&made["prefix"]))),
        "{made}"
    );
    assert_eq!(made["mode"], "live");
    assert_eq!(made["scopes"], json!(["api_key.read", "project.read"]));
    assert_eq!(server.get("/v1/projects", key).await.status, 200);
    let listed = server.get("/v1/api-keys", key).await.ok();
    assert_eq!(listed["data"][0]["id"], made["id"]);
    let one = server
        .get(&format!("/v1/api-keys/{}", text(&made["id"])), key)
        .await
        .ok();
    for shown in [&listed["data"][0], &one] {
        assert_eq!(shown.get("key"), None);
        assert!(
            !shown.to_string().contains(&key[27..]),
            "no secret is ever shown again"
        );
    }
    let denied = server
        .post("/v1/projects", key, &json!({ "name": "x" }))
        .await;
    assert_eq!((denied.status, denied.code()), (403, "identity.forbidden"));
    assert_eq!(denied.body["required"], "project.create");
}

#[actix_web::test]
async fn a_key_without_scopes_may_do_nothing() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let made = server.key(&ada, "idle", &[]).await;
    assert_eq!(server.get("/v1/me", text(&made["key"])).await.status, 200);
    assert_eq!(
        server.get("/v1/projects", text(&made["key"])).await.status,
        403
    );
}

#[actix_web::test]
async fn bad_keys_to_be_made_name_the_field() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    for (body, field) in [
        (json!({ "name": "", "scopes": [] }), "name"),
        (json!({ "name": "a\u{0}", "scopes": [] }), "name"),
        (json!({ "name": "x".repeat(256), "scopes": [] }), "name"),
        (json!({ "name": "k", "scopes": ["rocket.fly"] }), "scopes"),
        (json!({ "name": "k", "scopes": ["; drop table"] }), "scopes"),
        (json!({ "name": "k", "scopes": [], "mode": "prod" }), "mode"),
        (
            json!({ "name": "k", "scopes": [], "environment": "nowhere" }),
            "environment",
        ),
        (
            json!({ "name": "k", "scopes": [], "mode": "live", "environment": "test" }),
            "environment",
        ),
        (
            json!({ "name": "k", "scopes": [], "project_id": ada.user_id }),
            "project_id",
        ),
        (
            json!({ "name": "k", "scopes": [], "project_id": "x" }),
            "project_id",
        ),
        (
            json!({ "name": "k", "scopes": [], "expires_at": "2020-01-01T00:00:00Z" }),
            "expires_at",
        ),
        (
            json!({ "name": "k", "scopes": [], "expires_at": "soon" }),
            "expires_at",
        ),
        (
            json!({ "name": "k", "scopes": [], "colour": "red" }),
            "colour",
        ),
    ] {
        let answer = server.post("/v1/api-keys", &ada.token, &body).await;
        assert_eq!((answer.status, answer.field()), (422, field), "{body}");
    }
    assert_eq!(
        server.get("/v1/api-keys", &ada.token).await.ok()["data"],
        json!([])
    );
}

#[actix_web::test]
async fn a_usable_key_holds_its_name_and_an_ended_one_gives_it_up() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let made = server.key(&ada, "ci", &["read"]).await;
    let body = json!({ "name": "ci", "scopes": [] });
    let taken = server.post("/v1/api-keys", &ada.token, &body).await;
    assert_eq!(
        (taken.status, taken.code()),
        (409, "identity.key_name_taken")
    );
    let path = format!("/v1/api-keys/{}/revoke", text(&made["id"]));
    server
        .post(&path, &ada.token, &json!({ "reason": "leaked" }))
        .await
        .ok();
    server.post("/v1/api-keys", &ada.token, &body).await.ok();
}

#[actix_web::test]
async fn a_revoked_key_is_refused_within_a_second_and_revoking_repeats() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let made = server.key(&ada, "ci", &["read"]).await;
    let key = text(&made["key"]);
    assert_eq!(server.get("/v1/projects", key).await.status, 200);
    let path = format!("/v1/api-keys/{}/revoke", text(&made["id"]));
    let first = server
        .post(&path, &ada.token, &json!({ "reason": "leaked" }))
        .await
        .ok();
    assert_eq!(first["revoked_reason"], "leaked");
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let refused = server.get("/v1/projects", key).await;
    assert_eq!(
        (refused.status, refused.code()),
        (401, "identity.unauthenticated")
    );
    let request = server.request(Method::POST, &path).bearer_auth(&ada.token);
    assert_eq!(
        server.send(request).await.ok()["revoked_at"],
        first["revoked_at"]
    );
}

#[actix_web::test]
async fn a_warm_key_costs_no_question_to_the_database() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let made = server.key(&ada, "ci", &["read"]).await;
    // A change that rings no bell is not seen while the entry is warm. Whether it still is depends on the machine, so there are some tries.
    let revoke = |value: &str| {
        let id = text(&made["id"]);
        format!("update api_keys set revoked_at = {value} where id = '{id}'")
    };
    let quietly =
        |value: &str| format!("set session_replication_role = replica; {}", revoke(value));
    let ask = async || server.get("/v1/projects", text(&made["key"])).await.status;
    let mut was_warm = false;
    for _ in 0..10 {
        server.sql_as_superuser(&quietly("null")).await;
        assert_eq!(ask().await, 200);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        server.sql_as_superuser(&quietly("now()")).await;
        was_warm = ask().await == 200;
        if was_warm {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(was_warm);
    server.sql_as_superuser(&revoke("now()")).await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(ask().await, 401, "the bell is heard within a second");
}

#[actix_web::test]
async fn another_tenants_key_is_as_unknown_as_a_random_one() {
    let server = Server::start().await;
    let (ada, bob) = (server.register("ada").await, server.register("bob").await);
    let made = server.key(&ada, "ci", &["read"]).await;
    let random = "01890a5d-ac96-774b-bcce-b302099a8057";
    for verb in ["", "/revoke", "/rotate"] {
        let path = |id: &str| format!("/v1/api-keys/{id}{verb}");
        let method = if verb.is_empty() {
            Method::GET
        } else {
            Method::POST
        };
        let ask = |id: &str| {
            server
                .request(method.clone(), &path(id))
                .bearer_auth(&bob.token)
        };
        let foreign = server.send(ask(text(&made["id"]))).await;
        assert_eq!(
            (foreign.status, foreign.code()),
            (404, "identity.key_not_found")
        );
        assert_eq!(foreign.shape(), server.send(ask(random)).await.shape());
    }
    let answer = verify(&server, &bob, text(&made["key"]), None).await;
    assert_eq!(
        answer,
        json!({ "valid": false, "code": "NOT_FOUND", "tenant_id": null, "key_id": null, "scopes": [] })
    );
}

#[actix_web::test]
async fn verifying_says_what_a_key_is_good_for() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let made = server
        .key(&ada, "ci", &["project.read", "usage.write"])
        .await;
    let key = text(&made["key"]);
    let answer = verify(
        &server,
        &ada,
        key,
        Some("project.read AND (billing.read OR usage.write)"),
    )
    .await;
    assert_eq!(answer["code"], "VALID");
    assert_eq!(
        (&answer["tenant_id"], &answer["key_id"]),
        (&json!(ada.tenant_id), &made["id"])
    );
    assert_eq!(answer["scopes"], json!(["project.read", "usage.write"]));
    let answer = verify(&server, &ada, key, Some("project.read AND billing.read")).await;
    assert_eq!(
        (&answer["valid"], &answer["code"]),
        (&json!(false), &json!("INSUFFICIENT_PERMISSIONS"))
    );
    let mut typo = key.to_owned();
    typo.pop();
    assert_eq!(
        verify(&server, &ada, &typo, None).await["code"],
        "NOT_FOUND"
    );
    let body = json!({ "key": "whatever", "permissions": "project.read AND" });
    let bad = server.post("/v1/api-keys/verify", &ada.token, &body).await;
    assert_eq!((bad.status, bad.field()), (422, "permissions"));
    let path = format!("/v1/api-keys/{}/revoke", text(&made["id"]));
    server.post(&path, &ada.token, &json!({})).await.ok();
    assert_eq!(verify(&server, &ada, key, None).await["code"], "REVOKED");
}

#[actix_web::test]
async fn an_expired_key_is_refused() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let made = server.key(&ada, "ci", &["read"]).await;
    let expire = format!(
        "update api_keys set expires_at = now() - interval '1 second' where id = '{}'",
        text(&made["id"])
    );
    server.sql(&expire).await;
    assert_eq!(
        verify(&server, &ada, text(&made["key"]), None).await["code"],
        "EXPIRED"
    );
    assert_eq!(
        server.get("/v1/projects", text(&made["key"])).await.status,
        401
    );
}

#[actix_web::test]
async fn a_rotated_key_overlaps_with_the_new_one_for_as_long_as_asked() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let old = server.key(&ada, "ci", &["project.read"]).await;
    let path = format!("/v1/api-keys/{}/rotate", text(&old["id"]));
    for seconds in [-1, 2_592_001] {
        let answer = server
            .post(&path, &ada.token, &json!({ "overlap_seconds": seconds }))
            .await;
        assert_eq!((answer.status, answer.field()), (422, "overlap_seconds"));
    }
    let new = server
        .post(&path, &ada.token, &json!({ "overlap_seconds": 60 }))
        .await
        .ok();
    assert_eq!(
        (&new["name"], &new["scopes"], &new["rotated_from"]),
        (&old["name"], &old["scopes"], &old["id"])
    );
    for key in [&old, &new] {
        assert_eq!(
            server.get("/v1/projects", text(&key["key"])).await.status,
            200
        );
    }
    let again = server.post(&path, &ada.token, &json!({})).await;
    assert_eq!((again.status, again.code()), (409, "identity.key_not_live"));
    let path = format!("/v1/api-keys/{}/rotate", text(&new["id"]));
    server
        .post(&path, &ada.token, &json!({ "overlap_seconds": 0 }))
        .await
        .ok();
    assert_eq!(
        verify(&server, &ada, text(&new["key"]), None).await["code"],
        "REVOKED"
    );
    assert_eq!(
        verify(&server, &ada, text(&old["key"]), None).await["code"],
        "VALID"
    );
}

#[actix_web::test]
async fn a_key_never_exceeds_its_creator_neither_then_nor_later() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let bob = member(&server, &ada, "bob", "admin").await;
    let body = json!({ "name": "all", "scopes": ["*"] });
    let answer = post_in(&server, &ada.tenant_id, &bob, "/v1/api-keys", &body).await;
    assert_eq!(
        (answer.status, answer.code()),
        (403, "identity.scope_exceeds_creator")
    );
    assert_eq!(answer.body["required"], "*");
    let body = json!({ "name": "bobs", "scopes": ["project.read", "project.create"] });
    let made = post_in(&server, &ada.tenant_id, &bob, "/v1/api-keys", &body)
        .await
        .ok();
    let key = text(&made["key"]).to_owned();
    assert_eq!(
        verify(&server, &ada, &key, Some("project.create")).await["code"],
        "VALID"
    );

    let roles = format!(
        "update membership_roles set role_key = 'viewer' where user_id = '{}' and tenant_id = '{}'",
        bob.user_id, ada.tenant_id
    );
    server.sql(&roles).await;
    let answer = verify(&server, &ada, &key, Some("project.create")).await;
    assert_eq!(answer["code"], "INSUFFICIENT_PERMISSIONS");
    assert_eq!(
        verify(&server, &ada, &key, Some("project.read")).await["code"],
        "VALID"
    );

    let leave = format!(
        "update memberships set status = 'removed' where user_id = '{}' and tenant_id = '{}'",
        bob.user_id, ada.tenant_id
    );
    server.sql(&leave).await;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(server.get("/v1/projects", &key).await.status, 401);
}

#[actix_web::test]
async fn a_key_makes_keys_within_its_own_scopes() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let maker = server
        .key(&ada, "maker", &["api_key.create", "project.read"])
        .await;
    let maker = text(&maker["key"]);
    let within = json!({ "name": "child", "scopes": ["project.read"] });
    server.post("/v1/api-keys", maker, &within).await.ok();
    let beyond = json!({ "name": "greedy", "scopes": ["billing.read"] });
    let answer = server.post("/v1/api-keys", maker, &beyond).await;
    assert_eq!(
        (answer.status, answer.code()),
        (403, "identity.scope_exceeds_creator")
    );
}

#[actix_web::test]
async fn a_replayed_creation_does_not_show_the_key_again() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let ask = || {
        let body = json!({ "name": "ci", "scopes": ["read"] });
        let request = server
            .request(Method::POST, "/v1/api-keys")
            .bearer_auth(&ada.token);
        request.header("Idempotency-Key", "once").json(&body)
    };
    let first = server.send(ask()).await.ok();
    let replay = server.send(ask()).await;
    assert_eq!(replay.headers["idempotent-replayed"], "true");
    assert_eq!(
        (replay.status, &replay.body["key"], &replay.body["id"]),
        (201, &Value::Null, &first["id"])
    );
    assert!(first["key"].is_string());
}

#[actix_web::test]
async fn lists_are_paged() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    for name in ["a", "b", "c"] {
        server.key(&ada, name, &[]).await;
    }
    let first = server.get("/v1/api-keys?limit=2", &ada.token).await.ok();
    let path = format!(
        "/v1/api-keys?limit=2&cursor={}",
        text(&first["next_cursor"])
    );
    let second = server.get(&path, &ada.token).await.ok();
    let names = |page: &Value| -> Vec<String> {
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| text(&key["name"]).to_owned())
            .collect()
    };
    assert_eq!(
        (names(&first), names(&second)),
        (vec!["c".into(), "b".into()], vec!["a".into()])
    );
    assert_eq!(second["next_cursor"], Value::Null);
}

#[actix_web::test]
async fn each_change_leaves_a_trace_without_the_secret() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let made = server.key(&ada, "ci", &["read"]).await;
    let path = format!("/v1/api-keys/{}", text(&made["id"]));
    let new = server
        .post(&format!("{path}/rotate"), &ada.token, &json!({}))
        .await
        .ok();
    let path = format!("/v1/api-keys/{}/revoke", text(&new["id"]));
    server
        .post(&path, &ada.token, &json!({ "reason": "done" }))
        .await
        .ok();
    let trail = server
        .get("/v1/audit-events?action=api_key.*", &ada.token)
        .await
        .ok();
    let actions: Vec<&str> = trail["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| text(&event["action"]))
        .collect();
    assert_eq!(
        actions,
        ["api_key.revoked", "api_key.rotated", "api_key.created"]
    );
    let told = trail.to_string();
    for key in [&made, &new] {
        assert!(!told.contains(&text(&key["key"])[28..]));
    }
}
