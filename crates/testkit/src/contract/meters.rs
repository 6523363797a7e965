//! `usage::Store`: meters of tenants, and those from the start.

use kernel::{PageRequest, StoreError, TenantId};
use usage::{Aggregation, Meter};

use super::{Backend, fixture, usage_fixture::*};

/// The catalogue that the interface promises, by key.
const STANDARD: [&str; 16] = [
    "agent_minute",
    "agent_run",
    "api_calls",
    "artifact_generation",
    "chat",
    "dashboards_rendered",
    "document_upload",
    "jobs",
    "llm_tokens_input",
    "llm_tokens_output",
    "search",
    "task_completed",
    "tokens",
    "tool_call",
    "workflow_run",
    "workflow_started",
];

async fn all(backend: &impl Backend, tenant_id: TenantId) -> Vec<Meter> {
    let all = in_tenant(backend, tenant_id, move |store| store.all_meters(tenant_id));
    all.await.unwrap()
}

fn keys(meters: &[Meter]) -> Vec<&str> {
    meters.iter().map(|meter| meter.key.as_str()).collect()
}

/// Sixteen sums are there for every tenant, under ids that never change.
pub async fn sixteen_meters_are_there_from_the_start(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let meters = all(backend, tenant).await;
    assert_eq!(keys(&meters), STANDARD);
    for meter in &meters {
        assert_eq!(meter.aggregation, Aggregation::Sum, "{}", meter.key);
        assert_eq!(meter.dimensions, ["project", "user", "model"]);
        assert_eq!(meter.value_field, None);
        assert!(!meter.allows_negative && !meter.unit.is_empty());
    }
    for (key, id, name, unit) in [
        ("llm_tokens_input", 1, "LLM tokens, input", "token"),
        ("agent_minute", 10, "Agent minutes", "minute"),
        (
            "dashboards_rendered",
            16,
            "Dashboards rendered",
            "dashboard",
        ),
    ] {
        let meter = meters.iter().find(|meter| meter.key == key).unwrap();
        let id = format!("00000000-0000-7000-8000-{id:012}");
        assert_eq!(meter.id.to_string(), id);
        assert_eq!((meter.name.as_str(), meter.unit.as_str()), (name, unit));
    }
}

/// Every field survives, of every aggregation; and nobody else has the meter.
pub async fn a_meter_is_read_back_as_it_was_written(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    for (aggregation, key) in Aggregation::ALL
        .into_iter()
        .zip(["m1", "m2", "m3", "m4", "m5", "m6"])
    {
        let mut row = meter(key, aggregation);
        row.dimensions = vec!["region".to_owned(), "tier".to_owned()];
        row.allows_negative = aggregation == Aggregation::Max;
        row.value_field = Some("who".to_owned());
        let stored = row.clone();
        let found = in_tenant(backend, tenant, move |store| {
            store.insert_meter(tenant, &row)?;
            store.meters_by_key(tenant, &[row.key])
        });
        assert_eq!(found.await, Ok(vec![stored]));
    }
    let theirs = all(backend, other).await;
    assert_eq!(keys(&theirs), STANDARD);
    // Not even by its tenant's id.
    let asked = in_tenant(backend, other, move |store| store.all_meters(tenant));
    assert_eq!(asked.await, Ok(theirs));
    let row = meter("m7", Aggregation::Sum);
    let added = in_tenant(backend, other, move |store| {
        store.insert_meter(tenant, &row)
    })
    .await;
    assert!(matches!(added, Err(StoreError::Unexpected(_))), "{added:?}");
    assert_eq!(all(backend, tenant).await.len(), 22);
}

/// A tenant's second meter of a key is a conflict that names the constraint; another tenant's is none.
pub async fn a_key_names_one_meter_of_a_tenant(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    stored_meter(backend, tenant, "seats", Aggregation::Max).await;
    stored_meter(backend, other, "seats", Aggregation::Max).await;
    let second = meter("seats", Aggregation::Sum);
    let added = in_tenant(backend, tenant, move |store| {
        store.insert_meter(tenant, &second)
    })
    .await;
    assert!(
        matches!(&added, Err(error) if error.conflicts_with("meters_tenant_id_key_key")),
        "{added:?}"
    );
}

/// Where a tenant's own meter has the key of one from the start, every way to look sees its own, and only that.
pub async fn a_tenants_own_meter_hides_the_one_from_the_start(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let own = stored_meter(backend, tenant, "chat", Aggregation::Max).await;
    let meters = all(backend, tenant).await;
    assert_eq!(keys(&meters), STANDARD);
    assert!(meters.contains(&own));
    let asked = ["chat", "chat", "nonsense"].map(str::to_owned);
    let found = in_tenant(backend, tenant, move |store| {
        let page = PageRequest {
            limit: 0,
            cursor: None,
        };
        Ok((
            store.meters_by_key(tenant, &asked)?,
            store.meters(tenant, &page, Some("artifact_generation"))?,
            store.open_batch(tenant, &asked, &[])?.meters,
        ))
    });
    let own = || vec![own.clone()];
    assert_eq!(found.await, Ok((own(), own(), own())));
}

/// Meters come by key, byte by byte, one more than the page holds, behind any key, there or not.
pub async fn meters_come_by_key_a_page_at_a_time(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    for key in ["a_b", "a.b", "a1", "zz"] {
        stored_meter(backend, tenant, key, Aggregation::Count).await;
    }
    let mut expected: Vec<String> = STANDARD.map(str::to_owned).to_vec();
    expected.extend(["a_b", "a.b", "a1", "zz"].map(str::to_owned));
    expected.sort();
    for limit in [1, 3, 19, 20, 50] {
        for after in [None, Some("a"), Some("a.b"), Some("chat"), Some("zz")] {
            let page = PageRequest {
                limit,
                cursor: None,
            };
            let found = in_tenant(backend, tenant, move |store| {
                store.meters(tenant, &page, after)
            });
            let behind = expected
                .iter()
                .filter(|key| after.is_none_or(|after| key.as_str() > after));
            let wanted: Vec<&String> = behind.take(limit as usize + 1).collect();
            assert_eq!(keys(&found.await.unwrap()), wanted, "{limit} {after:?}");
        }
    }
}
