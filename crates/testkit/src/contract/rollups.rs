//! `usage::Ledger`: the watermark. What is rolled up shows in what a day is reconciled from.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use kernel::{Scope, StoreError, TenantId, Zone};
use time::{Date, OffsetDateTime, macros::datetime};
use usage::{
    Aggregation,
    day::{MeterDay, UsageDay},
    ingest::MeteredEvent,
    rollup::{self, Touched},
};

use super::{Backend, fixture, run, usage_fixture::*};

/// The day that `fixture::at` begins in.
fn day(tenant_id: TenantId) -> UsageDay {
    UsageDay::new(tenant_id, fixture::at(0).date(), "UTC")
}

/// Number of events that are rolled up, in the buckets and in the events behind the watermark.
async fn rolled(backend: &impl Backend, tenant_id: TenantId) -> (i64, i64) {
    let reconciled = in_books(backend, move |store| store.reconcile(&day(tenant_id))).await;
    let totals = reconciled.unwrap().meters;
    let count = |of: fn(&MeterDay) -> i64| totals.iter().map(of).sum();
    (count(|total| total.count), count(|total| total.raw_count))
}

async fn batch(backend: &impl Backend, name: &str, events: i64) -> Vec<MeteredEvent<'static>> {
    let chat = standard_meter(backend, "chat").await;
    let one = |n: i64| event(&chat, &format!("{name}-{n}"), fixture::at(n % 7), 2);
    (0..events).map(one).collect()
}

/// Rolls once, after waiting until there is something to roll.
async fn step(backend: &impl Backend, at_most: u32) -> rollup::Moved {
    for _ in 0..6_000 {
        let moved = in_books(backend, move |store| store.move_events(at_most)).await;
        let moved = moved.unwrap();
        if moved.step.events > 0 {
            return moved;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    in_books(backend, move |store| store.move_events(at_most))
        .await
        .unwrap()
}

/// A step says which buckets of whom it touched, each once, with the zone that the tenant has now; and what moved does not move again.
pub async fn a_step_says_which_buckets_it_touched(backend: &impl Backend) {
    let mut there = fixture::stored_tenant(backend, "there").await;
    let here = fixture::stored_tenant(backend, "here").await.id;
    there.timezone = Zone::parse("timezone", "Asia/Kathmandu").unwrap();
    let (there, row) = (there.id, there);
    run(backend.tenants(), Scope::tenant(there), move |store| {
        store.update_tenant(&row)
    })
    .await
    .unwrap();
    let chat = standard_meter(backend, "chat").await;
    let tokens = standard_meter(backend, "tokens").await;
    let ten = datetime!(2025-11-10 10:00 UTC);
    let sent = |id: &str, minutes: i64| event(&chat, id, ten + time::Duration::minutes(minutes), 1);
    let other = event(&tokens, "d", ten, 1);
    append(
        backend,
        there,
        vec![sent("a", 0), sent("b", 14), sent("c", 15), other],
    )
    .await;
    append(backend, here, vec![sent("a", 44)]).await;

    let (mut events, mut touched) = (0, Vec::new());
    while events < 5 {
        let moved = step(backend, 100).await;
        assert!(moved.step.events > 0, "only {events} moved");
        events += moved.step.events;
        touched.extend(moved.touched);
    }
    touched.sort_by_key(|touched: &Touched| (touched.tenant_id, touched.bucket));
    let quarter = |n: i64| ten + time::Duration::minutes(15 * n);
    let touch = |tenant_id, timezone: &str, bucket| Touched {
        tenant_id,
        timezone: timezone.to_owned(),
        bucket,
    };
    let mut expected = vec![
        touch(there, "Asia/Kathmandu", quarter(0)),
        touch(there, "Asia/Kathmandu", quarter(1)),
        touch(here, "UTC", quarter(2)),
    ];
    expected.sort_by_key(|touched| (touched.tenant_id, touched.bucket));
    assert_eq!((events, touched), (5, expected));

    let again = in_books(backend, |store| store.move_events(100)).await;
    let again = again.unwrap();
    assert_eq!((again.step.events, again.touched), (0, Vec::new()));
}

/// A step is about as large as it was asked to be, but a transaction is never parted; `more` leads to the end.
pub async fn a_step_never_parts_a_transaction(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut ends = BTreeSet::from([0]);
    let mut total = 0;
    for (n, events) in [3, 40, 1, 1, 5, 30, 2].into_iter().enumerate() {
        append(
            backend,
            tenant,
            batch(backend, &n.to_string(), events).await,
        )
        .await;
        total += events;
        ends.insert(total);
    }
    let mut moved = 0;
    for _ in 0..1000 {
        let step = in_books(backend, |store| store.move_events(6)).await;
        let step = step.unwrap().step;
        assert!(step.events <= 40, "{} in one step", step.events);
        moved += i64::try_from(step.events).unwrap();
        assert!(ends.contains(&moved), "{moved} is amid a transaction");
        assert_eq!(rolled(backend, tenant).await, (moved, moved));
        if moved == total {
            break;
        }
        if !step.more {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(moved, total);
}

/// A roller that fails has moved nothing.
pub async fn a_failed_step_has_moved_nothing(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    append(backend, tenant, batch(backend, "a", 10).await).await;
    let mut seen = 0;
    for _ in 0..6_000 {
        let counted = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = counted.clone();
        let failed: Result<(), StoreError> = in_books(backend, move |store| {
            let moved = store.move_events(100)?.step.events;
            counter.store(moved, std::sync::atomic::Ordering::Relaxed);
            Err(StoreError::Unexpected("no".to_owned()))
        })
        .await;
        assert!(failed.is_err());
        seen = counted.load(std::sync::atomic::Ordering::Relaxed);
        if seen > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen, 10);
    assert_eq!(rolled(backend, tenant).await, (0, 0));
    roll_all(backend, 10).await;
    assert_eq!(rolled(backend, tenant).await, (10, 10));
}

/// Rollers that race each other, and writers of whom some take long to commit and some fail: what was committed is rolled up once.
pub async fn what_is_committed_is_rolled_up_once(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let mut batches = Vec::new();
    for n in 0..24 {
        batches.push(batch(backend, &n.to_string(), 10).await);
    }
    let writers = batches.into_iter().enumerate().map(|(n, events)| {
        in_tenant(backend, tenant, move |store| {
            let at = store.open_batch(tenant, &[], &[])?.received_at;
            store.append_events(tenant, at, &events)?;
            match n % 4 {
                // Meanwhile others commit, and rollers come by.
                0 => std::thread::sleep(Duration::from_millis(40)),
                1 => return Err(StoreError::Unexpected("no".to_owned())),
                _ => {}
            }
            Ok(())
        })
    });
    let rollers = (0..2).map(|_| async {
        let mut moved = 0;
        for _ in 0..60 {
            let step = in_books(backend, |store| rollup::roll(store, 15)).await;
            moved += step.unwrap().events;
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        moved
    });
    let (written, moved) = tokio::join!(join_all(writers), join_all(rollers));
    assert_eq!(written.iter().filter(|outcome| outcome.is_ok()).count(), 18);
    let moved: u64 = moved.into_iter().sum();
    roll_all(backend, 180 - moved).await;
    assert_eq!(rolled(backend, tenant).await, (180, 180));
}

/// A later event can have happened earlier: what is latest does not depend on when the roller came by.
pub async fn the_latest_is_the_latest_to_happen(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let level = stored_meter(backend, tenant, "level", Aggregation::Latest).await;
    for (id, second, quantity) in [("a", 5, 50), ("b", 3, 30), ("c", 9, 90), ("d", 9, 91)] {
        let sent = event(&level, id, fixture::at(second), quantity);
        append(backend, tenant, vec![sent]).await;
        roll_all(backend, 1).await;
    }
    let totals = in_books(backend, move |store| store.reconcile(&day(tenant))).await;
    let totals = totals.unwrap().meters;
    assert_eq!(
        totals[0].quantity.to_string(),
        "91",
        "of two at once the one received last"
    );
    assert_eq!(
        (totals[0].count, totals[0].min.to_string()),
        (4, "30".to_owned())
    );
}

/// Months for which room was made stay made, and events of them are received.
pub async fn room_is_made_ahead_once(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let ensure = |months: u32| in_books(backend, move |store| store.ensure_partitions(months));
    ensure(8).await.unwrap();
    for months in [8, 3, 0] {
        assert_eq!(ensure(months).await, Ok(0), "{months} months ahead");
    }
    let sent = batch(backend, "a", 1).await;
    let (now, _) = append(backend, tenant, Vec::new()).await;
    let written = in_tenant(backend, tenant, move |store| {
        store.append_events(tenant, months_later(now, 8), &sent)
    });
    assert_eq!(written.await.unwrap().len(), 1);
    roll_all(backend, 1).await;
}

/// The times of stored events are noted once, and events are as they were.
pub async fn times_are_noted_once(backend: &impl Backend) {
    let tenant = fixture::stored_tenant(backend, "acme").await.id;
    let sent = batch(backend, "a", 3).await;
    append(backend, tenant, sent).await;
    let summarise = || in_books(backend, |store| store.summarise_events());
    summarise().await.unwrap();
    assert_eq!(summarise().await, Ok(0));
    roll_all(backend, 3).await;
}

/// The first instant of the month that begins `months` months after the one around `at`.
fn months_later(at: OffsetDateTime, months: u8) -> OffsetDateTime {
    let (mut year, mut month) = (at.year(), at.month());
    for _ in 0..months {
        month = month.next();
        year += i32::from(month == time::Month::January);
    }
    Date::from_calendar_date(year, month, 1)
        .unwrap()
        .midnight()
        .assume_utc()
}
