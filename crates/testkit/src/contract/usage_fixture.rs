//! Meters and events, and the ways in which suites write, read and roll them up.

use std::{borrow::Cow, time::Duration};

use kernel::{MeterId, Name, ProjectId, Scope, StoreError, TenantId};
use tenancy::Project;
use time::OffsetDateTime;
use usage::{
    Aggregation, Item, Ledger, Meter, NewEvent, Store, UsageRow,
    dimension::dims_of,
    ingest::{Appended, MeteredEvent},
    query::{After, UsageQuery},
    rollup,
    value::value_hash,
};

use super::{Backend, fixture, projects, run};

/// A generator that gives the same numbers in each run.
pub struct Dice(pub u64);

impl Dice {
    /// A number less than `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// One of several.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()].clone()
    }
}

/// Adds a project that events may name.
pub async fn add_project(backend: &impl Backend, tenant_id: TenantId, project_id: ProjectId) {
    let id = project_id.to_string();
    let slug = id.rsplit('-').next().unwrap_or_default();
    let project = Project {
        id: project_id,
        ..projects::project(tenant_id, &format!("p-{slug}"))
    };
    projects::insert(backend, &project).await.unwrap();
}

/// A meter that is nowhere yet. `unique` ones count the field `who`.
#[must_use]
pub fn meter(key: &str, aggregation: Aggregation) -> Meter {
    Meter {
        id: MeterId::new(fixture::at(0)),
        key: key.to_owned(),
        name: Name::parse("name", key).unwrap(),
        aggregation,
        unit: "unit".to_owned(),
        dimensions: Vec::new(),
        value_field: (aggregation == Aggregation::Unique).then(|| "who".to_owned()),
        allows_negative: true,
        version: 1,
        created_at: fixture::at(0),
    }
}

/// A meter that is there.
pub async fn stored_meter(
    backend: &impl Backend,
    tenant_id: TenantId,
    key: &str,
    aggregation: Aggregation,
) -> Meter {
    stored(backend, tenant_id, meter(key, aggregation)).await
}

/// The meter, once it is there.
pub async fn stored(backend: &impl Backend, tenant_id: TenantId, meter: Meter) -> Meter {
    let row = meter.clone();
    in_tenant(backend, tenant_id, move |store| {
        store.insert_meter(tenant_id, &row)
    })
    .await
    .unwrap();
    meter
}

/// A meter from the start.
pub async fn standard_meter(backend: &impl Backend, key: &str) -> Meter {
    let keys = [key.to_owned()];
    let nobody = TenantId::new(fixture::at(0));
    let found = in_tenant(backend, nobody, move |store| {
        store.meters_by_key(nobody, &keys)
    });
    found.await.unwrap().remove(0)
}

/// An event of `quantity` at an instant, as the rules hand it to a store.
#[must_use]
pub fn event(meter: &Meter, id: &str, at: OffsetDateTime, quantity: i64) -> MeteredEvent<'static> {
    let plain = serde_json::json!({ "id": id, "metric": meter.key });
    let event = Item::parse_plain(&plain.to_string()).event.unwrap();
    metered(
        meter,
        NewEvent {
            quantity: quantity.into(),
            ..event
        },
        at,
    )
}

/// An event of a meter at an instant. Of a meter that counts values, it may have none.
#[must_use]
pub fn metered(meter: &Meter, mut event: NewEvent, at: OffsetDateTime) -> MeteredEvent<'static> {
    event.occurred_at = Some(at);
    MeteredEvent {
        meter_id: meter.id,
        dedup: event.dedup(),
        payload_hash: event.payload_hash(),
        occurred_at: at,
        quantity: event.quantity.clone(),
        dims: dims_of(meter, &event).unwrap(),
        value_hash: value_hash(meter, &event).unwrap_or_default(),
        event: Cow::Owned(event),
    }
}

/// One command of a tenant.
pub async fn in_tenant<T: Send + 'static>(
    backend: &impl Backend,
    tenant_id: TenantId,
    command: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    run(backend.usage(), Scope::tenant(tenant_id), |store| {
        command(store)
    })
    .await
}

/// One command of the worker, over all tenants.
pub async fn in_books<T: Send + 'static>(
    backend: &impl Backend,
    command: impl FnOnce(&mut dyn Ledger) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    run(backend.ledger(), Scope::global(), |store| command(store)).await
}

/// Writes a batch as a request does, and says when it was received and what became of it.
pub async fn append(
    backend: &impl Backend,
    tenant_id: TenantId,
    events: Vec<MeteredEvent<'static>>,
) -> (OffsetDateTime, Vec<Appended>) {
    let written = in_tenant(backend, tenant_id, move |store| {
        let received_at = store.open_batch(tenant_id, &[], &[])?.received_at;
        let appended = store.append_events(tenant_id, received_at, &events)?;
        Ok((received_at, appended))
    });
    written.await.unwrap()
}

/// The answers to a question, at most `limit` behind `after`.
pub async fn read(
    backend: &impl Backend,
    tenant_id: TenantId,
    query: &UsageQuery,
    after: Option<After>,
    limit: u32,
) -> Vec<UsageRow> {
    let query = query.clone();
    let read = in_tenant(backend, tenant_id, move |store| {
        store.usage(tenant_id, &query, after.as_ref(), limit)
    });
    read.await.unwrap()
}

/// Rolls up and opens the days, as the worker does, until `events` have moved. Not all need be there to be moved at once: on a database
/// that is shared, the transactions of others hold the horizon back for moments.
pub async fn roll_all(backend: &impl Backend, events: u64) {
    let mut moved = 0;
    for _ in 0..6_000 {
        let step = in_books(backend, |store| rollup::roll(store, 500)).await;
        let step = step.unwrap();
        moved += step.events;
        if moved >= events {
            break;
        }
        if !step.more {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(moved, events);
}
