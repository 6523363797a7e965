//! A limit is a limit of the tenant, whichever server is asked.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Deployment, Server};

const TAKERS: usize = 64;

/// What is taken, and how much of it the free plan has room for.
struct Taking {
    key: &'static str,
    quantity: i64,
    places: usize,
}

/// Sixty-four requests at once, half of them to each server. Answers how many were let through; every other must have met the limit.
async fn takers(servers: [&Server; 2], token: &str, taking: &Taking) -> usize {
    let asked = (0..TAKERS).map(|number| {
        let server = servers[number % 2];
        let kind = taking.key.strip_prefix("max_");
        let is_thing = kind.is_some_and(|kind| !kind.starts_with("concurrent_"));
        let path = match kind.filter(|_| is_thing) {
            Some(kind) => format!("/v1/resources/{kind}/{number}"),
            None => "/v1/quota/reservations".to_owned(),
        };
        async move {
            if is_thing {
                return server.ask(token, Method::PUT, &path, Value::Null).await;
            }
            let wish =
                json!({ "key": taking.key, "quantity": taking.quantity, "ttl_seconds": 600 });
            server.ask(token, Method::POST, &path, wish).await
        }
    });
    let mut taken = 0;
    for (status, body) in join_all(asked).await {
        if status == StatusCode::CREATED {
            taken += 1;
            continue;
        }
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED, "{body}");
        let facts = (&body["code"], &body["limit"], &body["plan"]);
        let expected = (
            &json!("billing.limit_reached"),
            &json!(taking.key),
            &json!("free"),
        );
        assert_eq!(facts, expected);
    }
    taken
}

async fn used(server: &Server, token: &str, key: &str) -> Value {
    let (_, body) = server
        .ask(token, Method::GET, "/v1/entitlements", Value::Null)
        .await;
    let mut all = body["data"].as_array().unwrap().iter();
    all.find(|one| one["key"] == key).unwrap()["used"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_takers_at_two_servers_never_get_one_too_many() {
    let deployment = Deployment::new().await;
    let (one, other) = tokio::join!(deployment.server(), deployment.server());
    let token = one.register("ann@example.com").await;
    for taking in [
        Taking {
            key: "max_dashboards",
            quantity: 1,
            places: 5,
        },
        Taking {
            key: "tasks_per_month",
            quantity: 90,
            places: 11,
        },
        Taking {
            key: "max_concurrent_workflows",
            quantity: 1,
            places: 2,
        },
    ] {
        let taken = takers([&one, &other], &token, &taking).await;
        assert_eq!(taken, taking.places, "{}", taking.key);
        let expected = json!(i64::try_from(taken).unwrap() * taking.quantity);
        for server in [&one, &other] {
            assert_eq!(used(server, &token, taking.key).await, expected);
        }
    }
}
