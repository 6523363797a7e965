//! When keys end that other keys make.

use serde_json::{Value, json};

use crate::identity_client::{Person, Server};

const SOON: &str = "2090-01-01T00:00:00Z";
const LATER: &str = "2090-01-02T00:00:00Z";

/// A key that makes and rotates keys, and ends at [`SOON`].
async fn maker(server: &Server, ada: &Person) -> String {
    let body = json!({ "name": "maker", "scopes": ["api_key.*"], "expires_at": SOON });
    let made = server.post("/v1/api-keys", &ada.token, &body).await.ok();
    made["key"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_key_does_not_outlive_the_key_that_made_it() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let maker = maker(&server, &ada).await;
    let body = |name: &str, expires_at: Value| json!({ "name": name, "scopes": [], "expires_at": expires_at });
    let refused = server
        .post("/v1/api-keys", &maker, &body("late", json!(LATER)))
        .await;
    assert_eq!((refused.status, refused.field()), (422, "expires_at"));
    let silent = body("silent", Value::Null);
    let child = server.post("/v1/api-keys", &maker, &silent).await.ok();
    assert_eq!(child["expires_at"], SOON);
    let early = body("early", json!("2089-12-31T00:00:00Z"));
    let child = server.post("/v1/api-keys", &maker, &early).await.ok();
    assert_eq!(child["expires_at"], "2089-12-31T00:00:00Z");
    let hers = body("hers", Value::Null);
    let key = server.post("/v1/api-keys", &ada.token, &hers).await.ok();
    assert_eq!(key["expires_at"], Value::Null, "a person sets any end");
}

#[actix_web::test]
async fn a_rotation_gives_no_more_time_than_the_key_that_asks_for_it_has() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let maker = maker(&server, &ada).await;
    let endless = server.key(&ada, "endless", &[]).await;
    let path = format!("/v1/api-keys/{}/rotate", endless["id"].as_str().unwrap());
    let new = server.post(&path, &maker, &json!({})).await.ok();
    assert_eq!(new["expires_at"], SOON);
}
