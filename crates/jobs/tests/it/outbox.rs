//! The outbox: every fact once, however many relays there are.

use app::{outbox::StoredFact, queue::NewJob};
use kernel::{Scope, StoreError, id::uuid_v7};
use plinth_jobs::{Registry, relay};
use serde_json::json;
use time::OffsetDateTime;

use crate::bench::{Bench, now};

fn react(fact: &StoredFact, now: OffsetDateTime) -> Vec<NewJob> {
    vec![NewJob::new(
        "probe",
        Some(fact.tenant_id),
        json!({ "fact": fact.id }),
        now,
    )]
}

fn registry() -> Registry {
    Registry::new().on("probe.happened", react)
}

fn facts(bench: &Bench, count: usize) {
    for tenant in ["acme", "globex"] {
        let tenant = bench.tenant(tenant, "active");
        let rows: Vec<String> = (0..count / 2)
            .map(|_| {
                format!(
                    "('{tenant}', '{}', 'probe.happened', now())",
                    uuid_v7(now())
                )
            })
            .collect();
        let rows = rows.join(", ");
        bench.sql(&format!(
            "insert into outbox (tenant_id, id, topic, occurred_at) values {rows}"
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_share_the_facts_and_relay_each_once() {
    let bench = Bench::new().await;
    facts(&bench, 1000);
    let relays: Vec<_> = (0..2)
        .map(|_| {
            let store = bench.another();
            tokio::spawn(async move {
                let mut total = 0;
                loop {
                    let relayed = store
                        .run(Scope::global(), |store| {
                            relay::relay(store, &registry(), now())
                        })
                        .await
                        .unwrap();
                    if relayed == 0 {
                        return total;
                    }
                    total += relayed;
                }
            })
        })
        .collect();
    let mut total = 0;
    for relay in relays {
        total += relay.await.unwrap();
    }
    assert_eq!(total, 1000);
    assert_eq!(
        bench.number("select count(distinct payload ->> 'fact') as value from jobs"),
        1000
    );
    assert_eq!(bench.number("select count(*) as value from jobs"), 1000);
    assert_eq!(
        bench.number("select count(*) as value from outbox where relayed_at is null"),
        0
    );
    let mismatched =
        "select count(*) as value from jobs j join outbox o on o.id = (j.payload ->> 'fact')::uuid
                      where o.tenant_id <> j.tenant_id";
    assert_eq!(bench.number(mismatched), 0);
}

#[tokio::test]
async fn a_relay_that_fails_has_relayed_nothing() {
    let bench = Bench::new().await;
    facts(&bench, 10);
    let failed: Result<(), StoreError> = bench
        .store
        .run(Scope::global(), |store| {
            relay::relay(store, &registry(), now())?;
            Err(StoreError::Unexpected("killed before the commit".into()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(bench.number("select count(*) as value from jobs"), 0);
    assert_eq!(
        bench.number("select count(*) as value from outbox where relayed_at is null"),
        10
    );
}

#[tokio::test]
async fn a_fact_that_nobody_waits_for_is_relayed_too() {
    let bench = Bench::new().await;
    facts(&bench, 2);
    let relayed = bench
        .with(|store| relay::relay(store, &Registry::new(), now()))
        .await;
    assert_eq!(relayed, 2);
    assert!(!bench.with(|store| store.due("default")).await.facts);
}
