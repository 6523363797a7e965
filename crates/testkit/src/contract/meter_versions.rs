//! `usage::Store`: what meters are and were.

use std::collections::BTreeSet;

use kernel::{Name, Principal, Scope, StoreError, TenantId};
use usage::{
    Aggregation, Buckets, ChangeMeterError, Filter, GroupBy, Item, Meter, MeterChange,
    MeterVersion, Options, ingest::ingest, query::UsageQuery, revision,
};

use super::{Backend, fixture, run, usage_fixture::*};

/// The next version of a meter.
fn next(before: &Meter, dimensions: &[&str]) -> Meter {
    Meter {
        name: Name::parse("name", &format!("{}, changed", before.name)).unwrap(),
        dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
        value_field: Some("$.usage.tokens".to_owned()),
        allows_negative: !before.allows_negative,
        version: before.version + 1,
        ..before.clone()
    }
}

async fn update(backend: &impl Backend, tenant_id: TenantId, before: &Meter, after: &Meter) {
    let (before, after) = (before.clone(), after.clone());
    let now = fixture::at(after.version * 60);
    let updated = in_tenant(backend, tenant_id, move |store| {
        store.update_meter(tenant_id, &before, &after, now)
    });
    updated.await.unwrap();
}

async fn versions(
    backend: &impl Backend,
    scope: TenantId,
    (tenant_id, meter): (TenantId, &Meter),
    before: Option<i64>,
    limit: u32,
) -> Vec<MeterVersion> {
    let id = meter.id;
    let found = in_tenant(backend, scope, move |store| {
        store.meter_versions(tenant_id, id, before, limit)
    });
    found.await.unwrap()
}

/// Every look finds the meter as it is now, and its history holds what it was.
pub async fn a_changed_meter_is_the_next_version_of_itself(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let first = stored_meter(backend, tenant, "tokens.used", Aggregation::Sum).await;
    let second = next(&first, &["region", "tier"]);
    update(backend, tenant, &first, &second).await;
    let keys = [first.key.clone()];
    let found = in_tenant(backend, tenant, move |store| {
        Ok((
            store.meters_by_key(tenant, &keys)?,
            store.meter_for_update(tenant, &keys[0])?,
            store.open_batch(tenant, &keys, &[])?.meters,
        ))
    });
    let now = vec![second.clone()];
    assert_eq!(found.await, Ok((now.clone(), now.first().cloned(), now)));
    let expected = vec![
        MeterVersion::of(&second, fixture::at(120)),
        MeterVersion::of(&first, first.created_at),
    ];
    let history = versions(backend, tenant, (tenant, &first), None, 10).await;
    assert_eq!(history, expected);
}

/// As many as were asked for, older than any version, there or not.
pub async fn versions_come_newest_first_a_page_at_a_time(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut meter = stored_meter(backend, tenant, "tokens.used", Aggregation::Sum).await;
    stored_meter(backend, tenant, "others", Aggregation::Sum).await;
    for _ in 0..4 {
        let after = next(&meter, &["region"]);
        update(backend, tenant, &meter, &after).await;
        meter = after;
    }
    for (before, limit, expected) in [
        (None, 9, &[5, 4, 3, 2, 1][..]),
        (None, 2, &[5, 4]),
        (Some(4), 2, &[3, 2]),
        (Some(2), 2, &[1]),
        (Some(1), 2, &[]),
        (Some(99), 1, &[5]),
    ] {
        let page = versions(backend, tenant, (tenant, &meter), before, limit).await;
        let numbers: Vec<i64> = page.iter().map(|row| row.version).collect();
        assert_eq!(numbers, expected, "{before:?} {limit}");
    }
}

/// What a meter declared once can be asked for as long as its events are there.
pub async fn every_version_counts_as_a_declaration(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let first = stored_meter(backend, tenant, "tokens.used", Aggregation::Sum).await;
    let second = next(&first, &["region", "tier"]);
    update(backend, tenant, &first, &second).await;
    update(backend, tenant, &second, &next(&second, &["plan"])).await;
    let other = stored_meter(backend, tenant, "others", Aggregation::Sum).await;
    update(backend, tenant, &other, &next(&other, &["colour"])).await;
    for (meters, expected) in [
        (vec![first.id], &["plan", "region", "tier"][..]),
        (
            vec![other.id, first.id],
            &["colour", "plan", "region", "tier"],
        ),
        (vec![standard_meter(backend, "chat").await.id], &[]),
        (vec![], &[]),
    ] {
        let found = in_tenant(backend, tenant, move |store| {
            store.declared_dimensions(tenant, &meters)
        });
        let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found.await, Ok(expected));
    }
}

/// Another tenant neither finds the meter, nor changes it, nor sees what it was. Meters from the start are nobody's to change.
pub async fn a_meter_is_changed_by_its_tenant_alone(backend: &impl Backend) {
    let (tenant, other) = (
        fixture::stored_tenant(backend, "acme").await.id,
        fixture::stored_tenant(backend, "other").await.id,
    );
    let meter = stored_meter(backend, tenant, "seats", Aggregation::Max).await;
    for (scope, owner, key) in [
        (other, tenant, "seats"),
        (other, other, "seats"),
        (tenant, tenant, "chat"),
    ] {
        let found = in_tenant(backend, scope, move |store| {
            store.meter_for_update(owner, key)
        });
        assert_eq!(found.await, Ok(None), "{key}");
    }
    let (before, after) = (meter.clone(), next(&meter, &["region"]));
    let changed = in_tenant(backend, other, move |store| {
        store.update_meter(tenant, &before, &after, fixture::at(1))
    });
    // It is refused, or comes to nothing.
    let _ = changed.await;
    let history = versions(backend, tenant, (tenant, &meter), None, 9).await;
    assert_eq!(history, [MeterVersion::of(&meter, meter.created_at)]);
    let theirs = versions(backend, other, (tenant, &meter), None, 9).await;
    assert_eq!(theirs, []);
    let id = meter.id;
    let declared = in_tenant(backend, other, move |store| {
        store.declared_dimensions(tenant, &[id])
    });
    assert_eq!(declared.await, Ok(BTreeSet::new()));
}

/// Both mean the version that they read: one makes the next, and the other learns that it has changed. Who means any version waits.
pub async fn of_two_who_change_a_meter_at_once_one_is_told(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let meter = stored_meter(backend, tenant, "seats", Aggregation::Max).await;
    let change = async |name: &str, expected: Option<i64>| {
        let change = MeterChange {
            name: Some(Name::parse("name", name).unwrap()),
            ..MeterChange::default()
        };
        let by = Principal::system("contract", Some(tenant));
        run(backend.usage(), Scope::tenant(tenant), move |store| {
            revision::change(store, "seats", change, expected, &by, fixture::at(1))
        })
        .await
    };
    for round in 1..=5 {
        let (one, other) = (format!("one {round}"), format!("other {round}"));
        let (one, other) = tokio::join!(change(&one, Some(round)), change(&other, Some(round)));
        let is_stale = |result: &Result<_, _>| matches!(result, Err(ChangeMeterError::Stale));
        let made = [&one, &other].into_iter().flatten().next().unwrap();
        assert_eq!(made.version, round + 1);
        assert_ne!(is_stale(&one), is_stale(&other), "{one:?} {other:?}");
    }
    let (one, other) = tokio::join!(change("one", None), change("other", None));
    let made = BTreeSet::from([one.unwrap().version, other.unwrap().version]);
    assert_eq!(made, BTreeSet::from([7, 8]));
    let history = versions(backend, tenant, (tenant, &meter), None, 99).await;
    assert_eq!(history.len(), 8);
}

/// Dimensions, value and hash are the event's own from the moment it comes in.
pub async fn events_keep_what_the_version_of_their_time_made_of_them(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let first = stored_meter(backend, tenant, "used", Aggregation::Sum).await;
    let by = Principal::system("contract", Some(tenant));
    let send = async |id: &str| {
        let said = serde_json::json!({
            "id": id, "metric": "used", "quantity": 5,
            "metadata": { "region": "eu", "usage": { "tokens": "0.25" } },
        });
        let items = vec![Item::parse_plain(&said.to_string())];
        let by = by.clone();
        let sent = run(backend.usage(), Scope::tenant(tenant), move |store| {
            ingest(store, items, Options::default(), &by)
        });
        assert_eq!(sent.await.unwrap().counts()[0], 1, "{id}");
    };
    send("a").await;
    let second = next(&first, &["region"]);
    update(backend, tenant, &first, &second).await;
    send("b").await;
    let third = Meter {
        value_field: None,
        ..next(&second, &[])
    };
    update(backend, tenant, &second, &third).await;
    send("c").await;
    let now: Result<_, StoreError> = in_tenant(backend, tenant, move |store| {
        Ok(store.open_batch(tenant, &[], &[])?.received_at)
    })
    .await;
    let (from, to) = (
        now.clone().unwrap() - time::Duration::HOUR,
        now.unwrap() + time::Duration::HOUR,
    );
    let query = UsageQuery {
        meters: vec![third],
        from,
        to,
        buckets: Buckets::At(vec![from]),
        group_by: GroupBy {
            dimensions: ["region".to_owned()].into(),
            ..GroupBy::default()
        },
        filter: Filter::default(),
        project_id: None,
        with_empty: false,
    };
    for has_rolled in [false, true] {
        if has_rolled {
            roll_all(backend, 3).await;
        }
        let rows = read(backend, tenant, &query, None, 9).await;
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.dimensions["region"].as_deref(),
                    row.quantity.to_string(),
                )
            })
            .collect();
        let expected = [(None, "10".to_owned()), (Some("eu"), "0.25".to_owned())];
        assert_eq!(told, expected, "rolled up: {has_rolled}");
    }
}
