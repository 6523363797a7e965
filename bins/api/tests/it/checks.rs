//! What a check costs while events come in: a measurement, which asserts nothing about time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Deployment, Server};

const CHECKS: usize = 1_000;

/// Sends batches of a hundred events until told to stop. Answers how many events were accepted.
async fn ingest(server: &Server, token: &str, stop: &AtomicBool, number: &AtomicUsize) -> usize {
    let mut accepted = 0;
    while !stop.load(Ordering::Relaxed) {
        let batch = number.fetch_add(1, Ordering::Relaxed);
        let events: Vec<Value> = (0..100)
            .map(|place| json!({ "id": format!("e-{batch}-{place}"), "metric": "task_completed" }))
            .collect();
        let (status, _) = server
            .ask(token, Method::POST, "/v1/events", json!(events))
            .await;
        assert_eq!(status, StatusCode::OK);
        accepted += 100;
    }
    accepted
}

/// Checks one after another. Answers how long each took, ascending.
async fn checks(server: &Server, token: &str, key: &str) -> Vec<Duration> {
    let mut took = Vec::with_capacity(CHECKS);
    for _ in 0..CHECKS {
        let (path, body) = ("/v1/entitlements/check", json!({ "key": key }));
        let asked = Instant::now();
        let (status, _) = server.ask(token, Method::POST, path, body).await;
        took.push(asked.elapsed());
        assert_eq!(status, StatusCode::OK);
    }
    took.sort_unstable();
    took
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it alone, with --ignored --nocapture"]
async fn what_a_check_costs_while_events_come_in() {
    let deployment = Deployment::new().await;
    let server = Arc::new(deployment.server().await);
    let token = server.register("ann@example.com").await;
    for busy in [false, true] {
        let stop = Arc::new(AtomicBool::new(!busy));
        let number = Arc::new(AtomicUsize::new(0));
        let ingesting: Vec<_> = (0..2)
            .map(|_| {
                let (server, token) = (Arc::clone(&server), token.clone());
                let (stop, number) = (Arc::clone(&stop), Arc::clone(&number));
                tokio::spawn(async move { ingest(&server, &token, &stop, &number).await })
            })
            .collect();
        let started = Instant::now();
        for key in ["max_agents", "max_members", "tasks_per_month"] {
            checks(&server, &token, key).await;
            let took = checks(&server, &token, key).await;
            let (p50, p99) = (took[CHECKS / 2], took[CHECKS * 99 / 100]);
            println!("busy: {busy}, {key}: p50 {p50:?}, p99 {p99:?}");
        }
        stop.store(true, Ordering::Relaxed);
        let (mut events, elapsed) = (0, started.elapsed());
        for one in ingesting {
            events += one.await.unwrap();
        }
        println!("busy: {busy}: {events} events in {elapsed:?}");
    }
}
