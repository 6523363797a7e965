//! Events are rolled up once, whoever rolls and whoever dies.

use std::{sync::mpsc, time::Duration};

use kernel::{Scope, StoreError};
use pg::migrate::Migrator;
use usage::{
    Filter, Granularity, GroupBy, IngestError, Item, Ledger, Options, Store, UsageRequest, ingest,
    rollup,
};

use crate::usage_fixture::{Fixture, event};

const ROLLED: &str = "select coalesce(sum(count), 0) from usage_rollups";

fn batch(name: &str, events: u32) -> Vec<Item> {
    let one = |n| {
        let user = n % 7;
        event(&format!(
            r#"{{"id":"{name}-{n}","metric":"chat","quantity":2,"user_id":"u{user}"}}"#
        ))
    };
    (0..events).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rollers_that_race_each_other_and_writers_roll_up_each_event_once() {
    let fixture = Fixture::new("UTC").await;
    let rollers = (0..2).map(|_| {
        let books = fixture.books.clone();
        tokio::spawn(async move {
            let mut moved = 0;
            for _ in 0..150 {
                moved += books.roll(60).await.unwrap().events;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            moved
        })
    });
    let rollers: Vec<_> = rollers.collect();
    let writers = (0..6).map(|writer| {
        let (usage, by) = (fixture.usage.clone(), fixture.by.clone());
        tokio::spawn(async move {
            for n in 0..10 {
                let items = batch(&format!("{writer}-{n}"), 25);
                usage.ingest(&by, items, Options::default()).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut moved = 0;
    for roller in rollers {
        moved += roller.await.unwrap();
    }
    fixture.roll_all(1500 - moved).await;
    assert_eq!(fixture.number(ROLLED), 1500);
    assert_eq!(fixture.text("select sum(sum) from usage_rollups"), "3000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roller_that_is_killed_half_way_has_done_nothing() {
    let fixture = Fixture::new("UTC").await;
    fixture.ingest(batch("a", 100)).await;
    let ledger = fixture.ledger("doomed_roller");
    let (moved, wait_moved) = mpsc::channel();
    let (go_on, wait_go_on) = mpsc::channel::<()>();
    let doomed = tokio::spawn(async move {
        let work = move |store: &mut (dyn Ledger + 'static)| {
            let mut events = 0;
            for _ in 0..500 {
                events = rollup::roll(store, 1000)?.events;
                if events > 0 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            moved.send(events).unwrap();
            wait_go_on.recv_timeout(Duration::from_secs(20)).unwrap();
            Ok::<_, StoreError>(())
        };
        ledger.run(Scope::global(), work).await
    });
    assert_eq!(
        wait_moved.recv_timeout(Duration::from_secs(20)).unwrap(),
        100
    );
    assert_eq!(fixture.roll().await, 0, "somebody else is rolling");
    fixture.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'doomed_roller' and datname = current_database()",
    );
    go_on.send(()).unwrap();
    assert!(doomed.await.unwrap().is_err());
    assert_eq!(fixture.number(ROLLED), 0);
    fixture.roll_all(100).await;
    assert_eq!(fixture.number(ROLLED), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_commits_late_is_not_passed_over() {
    let fixture = Fixture::new("UTC").await;
    let store = fixture.store("");
    let (written, wait_written) = mpsc::channel();
    let (go_on, wait_go_on) = mpsc::channel::<()>();
    let (by, scope) = (fixture.by.clone(), fixture.scope());
    let slow = tokio::spawn(async move {
        let work = move |store: &mut (dyn Store + 'static)| {
            ingest::ingest(store, batch("slow", 3), Options::default(), &by)?;
            written.send(()).unwrap();
            wait_go_on.recv_timeout(Duration::from_secs(20)).unwrap();
            Ok::<_, IngestError>(())
        };
        store.run(scope, work).await
    });
    wait_written.recv_timeout(Duration::from_secs(20)).unwrap();
    fixture.ingest(batch("fast", 5)).await;
    assert_eq!(
        fixture.roll().await,
        0,
        "the fast one is behind the slow one's transaction"
    );
    go_on.send(()).unwrap();
    slow.await.unwrap().unwrap();
    fixture.roll_all(8).await;
    assert_eq!(fixture.number(ROLLED), 8);
}

#[tokio::test]
async fn a_transaction_that_is_larger_than_a_step_is_a_step() {
    let fixture = Fixture::new("UTC").await;
    fixture.ingest(batch("large", 900)).await;
    fixture.ingest(batch("small", 10)).await;
    fixture.roll_all(910).await;
    assert_eq!(fixture.number(ROLLED), 910);
}

/// What was sent, as a client is told.
async fn total(fixture: &Fixture) -> String {
    let request = UsageRequest {
        metrics: vec!["chat".to_owned()],
        from: Some(time::macros::datetime!(2026-01-01 00:00 UTC)),
        to: None,
        granularity: Granularity::Total,
        group_by: GroupBy::default(),
        filter: Filter::default(),
        timezone: None,
    };
    let rows = fixture.read(&request, 10).await;
    rows.iter().map(|row| row.quantity.to_string()).collect()
}

#[tokio::test]
async fn a_watermark_from_another_life_of_the_database_stops_the_roller() {
    let fixture = Fixture::new("UTC").await;
    fixture.ingest(batch("rolled", 7)).await;
    fixture.roll_all(7).await;
    fixture.ingest(batch("fresh", 2)).await;
    // What a restored cluster finds: the numbers of the old one, far ahead of its own.
    fixture.execute("update usage_events set txid = txid + 1000000000000");
    fixture.execute("update usage_watermark set txid = txid + 1000000000000");
    assert!(matches!(
        fixture.books.roll(100).await,
        Err(StoreError::Unexpected(_))
    ));
    let pg = fixture.db.pg();
    assert!(matches!(
        pg.refuse_unsafe().await,
        Err(StoreError::Unexpected(_))
    ));
    let mut migrator = Migrator::connect(&fixture.db.owner_url()).unwrap();
    migrator.up().unwrap();
    pg.refuse_unsafe().await.unwrap();
    assert_eq!(total(&fixture).await, "18");
    fixture.ingest(batch("after", 4)).await;
    fixture.roll_all(6).await;
    assert_eq!(fixture.text("select sum(sum) from usage_rollups"), "26");
    assert_eq!(total(&fixture).await, "26");
    fixture.execute("select app.rebase_usage_watermark()");
    assert_eq!(fixture.roll().await, 0, "a second time does nothing");
    assert_eq!(total(&fixture).await, "26");

    // A young database, whose dump has what was not rolled up: that alone is ahead.
    fixture.ingest(batch("last", 3)).await;
    fixture.execute(
        "update usage_events set txid = txid + 1000000000000 where txid >= (select txid from usage_watermark)",
    );
    migrator.up().unwrap();
    fixture.roll_all(3).await;
    assert_eq!(total(&fixture).await, "32");
}
