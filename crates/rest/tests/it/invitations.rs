//! `/v1/invitations`.

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Person, TestApp, text};

async fn invite(person: &Person<'_>, email: &str) -> (StatusCode, Value) {
    person
        .post(
            "/v1/invitations",
            json!({ "email": email, "role": "member" }),
        )
        .await
}

#[actix_web::test]
async fn an_invited_person_joins_once_however_often_they_accept() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    let (status, invitation) = invite(&ann, "Bob@Example.com").await;
    assert_eq!(status, StatusCode::CREATED, "{invitation}");
    assert_eq!(
        (&invitation["email"], &invitation["status"]),
        (&json!("bob@example.com"), &json!("pending"))
    );
    let accept = json!({ "token": invitation["token"] });
    for _ in 0..2 {
        let (status, body) = bob.post("/v1/invitations/accept", accept.clone()).await;
        assert_eq!(
            (status, &body["tenant"]["id"]),
            (StatusCode::OK, &json!(ann.tenant_id)),
            "{body}"
        );
    }
    let (_, members) = ann.get("/v1/members").await;
    let emails: HashSet<_> = members["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| text(&m["email"]))
        .collect();
    assert_eq!(
        emails,
        HashSet::from(["ann@example.com".to_owned(), "bob@example.com".to_owned()])
    );
    let (status, problem) = invite(&ann, "bob@example.com").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("tenancy.already_member"))
    );
    assert_eq!(
        ann.trail()
            .await
            .iter()
            .filter(|action| *action == "invitation.accepted")
            .count(),
        1
    );
}

#[actix_web::test]
async fn fifty_at_once_never_get_one_seat_too_many() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    let emails: Vec<String> = (0..50)
        .map(|number| format!("guest{number}@example.com"))
        .collect();
    let answers = join_all(emails.iter().map(|email| invite(&ann, email))).await;
    let made = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::CREATED)
        .count();
    let refused: Vec<_> = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::PAYMENT_REQUIRED)
        .collect();
    // The free plan has three seats, and Ann sits in one.
    assert_eq!((made, refused.len()), (2, 48));
    assert!(
        refused
            .iter()
            .all(|(_, problem)| problem["limit"] == "max_members" && problem["used"] == 3)
    );
    let (_, list) = ann.get("/v1/invitations").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn a_revoked_invitation_gives_its_seat_back_and_lets_nobody_in() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    let (_, first) = invite(&ann, "bob@example.com").await;
    invite(&ann, "eve@example.com").await;
    assert_eq!(
        invite(&ann, "joe@example.com").await.0,
        StatusCode::PAYMENT_REQUIRED
    );
    let path = format!("/v1/invitations/{}/revoke", text(&first["id"]));
    for _ in 0..2 {
        let (status, body) = ann.post(&path, json!({})).await;
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::OK, &json!("revoked"))
        );
    }
    let path = format!("/v1/invitations/{}/resend", text(&first["id"]));
    let (status, problem) = ann.post(&path, json!({})).await;
    assert_eq!(
        (status, &problem["code"], &problem["status"]),
        (
            StatusCode::CONFLICT,
            &json!("tenancy.invitation_not_pending"),
            &json!(409)
        )
    );
    assert_eq!(problem["invitation_status"], "revoked");
    let (status, problem) = bob
        .post("/v1/invitations/accept", json!({ "token": first["token"] }))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::GONE, &json!("tenancy.invitation_revoked"))
    );
    assert_eq!(invite(&ann, "joe@example.com").await.0, StatusCode::CREATED);
}

#[actix_web::test]
async fn a_resend_makes_the_old_token_worthless() {
    let app = TestApp::start().await;
    let (ann, bob) = (
        app.register("ann@example.com").await,
        app.register("bob@example.com").await,
    );
    let (_, first) = invite(&ann, "bob@example.com").await;
    let path = format!("/v1/invitations/{}/resend", text(&first["id"]));
    let (status, second) = ann.post(&path, json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(first["token"], second["token"]);
    let (status, problem) = bob
        .post("/v1/invitations/accept", json!({ "token": first["token"] }))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::GONE, &json!("tenancy.invitation_superseded"))
    );
    let (status, _) = bob
        .post(
            "/v1/invitations/accept",
            json!({ "token": second["token"] }),
        )
        .await;
    assert_eq!(status, StatusCode::OK);
}

#[actix_web::test]
async fn a_token_lets_in_whom_it_was_sent_to_and_nobody_else() {
    let app = TestApp::start().await;
    let (ann, eve) = (
        app.register("ann@example.com").await,
        app.register("eve@example.com").await,
    );
    let (_, invitation) = invite(&ann, "bob@example.com").await;
    let (status, problem) = eve
        .post(
            "/v1/invitations/accept",
            json!({ "token": invitation["token"] }),
        )
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (
            StatusCode::FORBIDDEN,
            &json!("tenancy.invitation_for_another")
        )
    );
    for token in ["", "pli_", "pli_AAAA", "nonsense"] {
        let (status, problem) = eve
            .post("/v1/invitations/accept", json!({ "token": token }))
            .await;
        assert_eq!(
            (status, &problem["code"]),
            (
                StatusCode::NOT_FOUND,
                &json!("tenancy.invitation_not_found")
            )
        );
    }
}

#[actix_web::test]
async fn a_second_pending_invitation_to_one_address_is_refused() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    assert_eq!(invite(&ann, "bob@example.com").await.0, StatusCode::CREATED);
    let (status, problem) = invite(&ann, "bob@example.com").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("tenancy.already_invited"))
    );
}

#[actix_web::test]
async fn bad_addresses_and_roles_name_their_field() {
    let app = TestApp::start().await;
    let ann = app.register("ann@example.com").await;
    for (body, field) in [
        (json!({ "email": "nobody", "role": "member" }), "email"),
        (
            json!({ "email": "a\u{0}b@example.com", "role": "member" }),
            "email",
        ),
        (
            json!({ "email": "a@b.c\r\nBcc: x@y.z", "role": "member" }),
            "email",
        ),
        // Nobody could ever register with this address, and so nobody could accept.
        (
            json!({ "email": "bérénice@example.com", "role": "member" }),
            "email",
        ),
        (
            json!({ "email": "bob@example.com", "role": "emperor" }),
            "role",
        ),
        (
            json!({ "email": "bob@example.com", "role": "platform_admin" }),
            "role",
        ),
        (json!({ "email": "bob@example.com" }), "role"),
        (
            json!({ "email": "bob@example.com", "role": "member", "x": 1 }),
            "x",
        ),
    ] {
        let (status, problem) = ann.post("/v1/invitations", body.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}
