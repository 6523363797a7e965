//! `usage::GroupStore`: events of many requests, of any tenants, in one transaction.

use futures_util::future::join_all;
use kernel::{Principal, ProjectId, Scope, StoreError, TenantId};
use usage::{
    Aggregation, Item, Options, Outcome, Receipt,
    group::{self, ingest_group},
    ingest::Admitted,
};

use super::{Backend, fixture, run, usage_fixture::*};

/// A request of a tenant with these plain events.
fn request(tenant_id: TenantId, events: &[serde_json::Value]) -> Admitted {
    let items = events
        .iter()
        .map(|event| Item::parse_plain(&event.to_string()))
        .collect();
    let by = Principal::system("contract", Some(tenant_id));
    Admitted::new(items, Options::default(), &by).unwrap()
}

fn plain(id: &str, metric: &str, quantity: u32) -> serde_json::Value {
    serde_json::json!({ "id": id, "metric": metric, "quantity": quantity })
}

async fn ingest(backend: &impl Backend, requests: Vec<Admitted>) -> Vec<Receipt> {
    let scope = group::scope(&requests);
    let group = run(backend.usage_groups(), scope, move |store| {
        ingest_group(store, &requests)
    });
    group.await.unwrap()
}

/// What became of each event, in a letter: accepted, duplicate, conflict, rejected.
fn letters(receipts: &[Receipt]) -> Vec<String> {
    let letter = |outcome: &Outcome| match outcome {
        Outcome::Accepted => 'a',
        Outcome::Duplicate => 'd',
        Outcome::Conflict => 'c',
        Outcome::Rejected(_) => 'r',
    };
    receipts
        .iter()
        .map(|receipt| {
            receipt
                .results
                .iter()
                .map(|it| letter(&it.outcome))
                .collect()
        })
        .collect()
}

/// As if each request had come alone, one after the other: with the meters and projects of its own tenant, and knowing what those before
/// it brought. Tenants take turns in the group.
pub async fn a_group_is_answered_request_by_request(backend: &impl Backend) {
    let (a, b) = (
        fixture::stored_tenant(backend, "aaa").await.id,
        fixture::stored_tenant(backend, "bbb").await.id,
    );
    stored_meter(backend, a, "pages", Aggregation::Sum).await;
    let project = ProjectId::new(fixture::at(3));
    add_project(backend, b, project).await;
    let mut in_project = plain("p", "chat", 1);
    in_project["project_id"] = serde_json::json!(project.to_string());

    let requests = vec![
        request(b, &[plain("1", "chat", 1), plain("2", "pages", 1)]),
        request(
            a,
            &[
                plain("1", "pages", 2),
                plain("1", "pages", 2),
                plain("1", "pages", 3),
            ],
        ),
        request(a, &[]),
        request(
            b,
            &[
                plain("1", "chat", 1),
                plain("1", "chat", 9),
                in_project.clone(),
            ],
        ),
        request(
            a,
            &[plain("1", "pages", 3), plain("2", "chat", 1), in_project],
        ),
    ];
    let receipts = ingest(backend, requests).await;
    assert_eq!(letters(&receipts), ["ar", "adc", "", "dca", "car"]);
    let ids = receipts[1].results.iter().map(|it| it.id.as_deref());
    assert_eq!(ids.collect::<Vec<_>>(), [Some("1"); 3]);

    let again = vec![
        request(a, &[plain("2", "chat", 1)]),
        request(b, &[plain("2", "chat", 1)]),
    ];
    assert_eq!(letters(&ingest(backend, again).await), ["d", "a"]);
    assert_eq!(letters(&ingest(backend, Vec::new()).await), [""; 0]);
}

/// A group is one transaction: when it fails, no tenant has anything of it.
pub async fn a_group_that_fails_has_written_nothing(backend: &impl Backend) {
    let (a, b) = (
        fixture::stored_tenant(backend, "aaa").await.id,
        fixture::stored_tenant(backend, "bbb").await.id,
    );
    let group = || {
        vec![
            request(a, &[plain("1", "chat", 1)]),
            request(b, &[plain("1", "chat", 1)]),
        ]
    };
    let requests = group();
    let failed: Result<(), StoreError> =
        run(backend.usage_groups(), Scope::global(), move |store| {
            assert_eq!(letters(&ingest_group(store, &requests)?), ["a", "a"]);
            Err(StoreError::Unexpected("no".to_owned()))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(letters(&ingest(backend, group()).await), ["a", "a"]);
}

/// Groups that are written at once, with the same events of the same tenants in different orders, neither block each other for good nor
/// count an event twice.
pub async fn groups_with_the_same_events_count_each_once(backend: &impl Backend) {
    let mut tenants = Vec::new();
    for slug in ["aaa", "bbb", "ccc"] {
        tenants.push(fixture::stored_tenant(backend, slug).await.id);
    }
    let group = |copy: usize| {
        let mut requests = Vec::new();
        for tenant in &tenants {
            let mut events: Vec<_> = (0..40)
                .map(|n| plain(&format!("e{n}"), "chat", 1))
                .collect();
            events.rotate_left(copy * 5);
            requests.push(request(*tenant, &events));
        }
        requests.rotate_left(copy % 3);
        requests
    };
    let receipts = join_all((0..8).map(|copy| ingest(backend, group(copy)))).await;
    let accepted = receipts.iter().flatten().map(|receipt| receipt.counts()[0]);
    assert_eq!(accepted.sum::<usize>(), 3 * 40);
    let settled = receipts.iter().flatten().all(|receipt| {
        let [accepted, duplicates, ..] = receipt.counts();
        accepted + duplicates == 40
    });
    assert!(settled);
}
