//! Days are closed once, without drift, and again when an event comes late.

use std::{
    fmt::Debug,
    sync::{Arc, mpsc},
    time::Duration,
};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use kernel::{Scope, StoreError, UnitOfWork, Zone};
use time::{OffsetDateTime, macros::datetime};
use tokio::task::JoinHandle;
use usage::{Books, Ledger, Options, Store, day::Close, ingest};

use crate::usage_fixture::{At, Fixture, event};

const STATE: &str = "select concat_ws(' ', day, state, closes, trim_scale(drift)) from usage_days";
const WAITING: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'";
const FACTS: &str = "select count(*) from outbox where topic = 'usage.day_closed'";

fn sent(id: &str, at: &str) -> Vec<usage::Item> {
    vec![event(&format!(
        r#"{{"id":"{id}","metric":"agent_minute","quantity":"1.25","occurred_at":"{at}"}}"#
    ))]
}

fn books_at(fixture: &Fixture, now: OffsetDateTime) -> Books {
    Books::new(fixture.ledger("books"), Arc::new(At(now)))
}

#[tokio::test]
async fn a_day_closes_without_drift_and_a_late_event_reopens_it() {
    let fixture = Fixture::new("Asia/Kathmandu").await;
    // Noon of the 10th there; the day ends at 18:15 UTC.
    fixture.ingest(sent("a", "2025-11-10T06:15:00Z")).await;
    fixture.roll_all(1).await;
    let early = books_at(&fixture, datetime!(2025-11-10 18:14:59 UTC));
    assert_eq!(
        early.close_due_days(10).await.unwrap(),
        0,
        "the day has not ended"
    );
    let later = books_at(&fixture, datetime!(2025-11-10 18:15 UTC));

    fixture.ingest(sent("b", "2025-11-10T18:14:59Z")).await;
    assert_eq!(
        later.close_due_days(10).await.unwrap(),
        0,
        "an event waits for the rollup"
    );
    fixture.roll_all(1).await;
    assert_eq!(later.close_due_days(10).await.unwrap(), 1);
    assert_eq!(fixture.text(STATE), "2025-11-10 closed 1 0");
    assert_eq!(
        later.close_due_days(10).await.unwrap(),
        0,
        "a closed day is not due"
    );
    assert_eq!(fixture.number(FACTS), 1);

    fixture.ingest(sent("c", "2025-11-09T18:15:00Z")).await;
    assert_eq!(
        fixture.text(STATE),
        "2025-11-10 closed 1 0",
        "not yet known"
    );
    fixture.roll_all(1).await;
    assert_eq!(fixture.text("select state from usage_days"), "reopened");
    assert_eq!(later.close_due_days(10).await.unwrap(), 1);
    assert_eq!(fixture.text(STATE), "2025-11-10 closed 2 0");
    assert_eq!(fixture.number(FACTS), 2);
    assert_eq!(
        fixture.text("select concat_ws(' ', day, quantity, sum, count) from usage_daily"),
        "2025-11-10 3.75 3.75 3"
    );
    assert_eq!(
        fixture.text("select payload -> 'metrics' from outbox order by key desc limit 1"),
        r#"[{"metric": "agent_minute", "quantity": "3.75"}]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_close_at_once_close_each_day_once() {
    let fixture = Fixture::new("UTC").await;
    for day in 1..=20 {
        fixture
            .ingest(sent(
                &format!("{day}"),
                &format!("2025-11-{day:02}T12:00:00Z"),
            ))
            .await;
    }
    fixture.roll_all(20).await;
    let workers = (0..4).map(|_| {
        let books = fixture.books.clone();
        tokio::spawn(async move { books.close_due_days(100).await.unwrap() })
    });
    let mut closed = 0;
    for worker in workers.collect::<Vec<_>>() {
        closed += worker.await.unwrap();
    }
    assert_eq!(closed, 20);
    assert_eq!(fixture.number(FACTS), 20);
    assert_eq!(
        fixture.number("select count(*) from usage_days where state = 'closed' and drift = 0"),
        20
    );
}

#[tokio::test]
async fn a_day_that_cannot_be_closed_does_not_hold_up_the_others() {
    let fixture = Fixture::new("UTC").await;
    for day in 10..=12 {
        let at = format!("2025-11-{day}T06:15:00Z");
        fixture.ingest(sent(&format!("{day}"), &at)).await;
    }
    fixture.roll_all(3).await;
    fixture.execute(
        "create function spoil() returns trigger language plpgsql as $$ begin raise 'spoiled'; end $$;
         create trigger spoil before insert on usage_daily for each row when (new.day = '2025-11-10')
             execute function spoil()",
    );
    let error = fixture.books.close_due_days(10).await.unwrap_err();
    assert!(error.to_string().contains("spoiled"), "{error}");
    assert_eq!(
        fixture.text(
            "select string_agg(concat_ws(' ', day, state), ', ' order by day) from usage_days"
        ),
        "2025-11-10 open, 2025-11-11 closed, 2025-11-12 closed"
    );
}

#[tokio::test]
async fn drift_is_found_and_written_down() {
    let fixture = Fixture::new("UTC").await;
    fixture.ingest(sent("a", "2025-11-10T06:15:00Z")).await;
    fixture.roll_all(1).await;
    fixture.execute("update usage_rollups set sum = sum + 2");
    assert_eq!(fixture.books.close_due_days(10).await.unwrap(), 1);
    assert_eq!(fixture.text(STATE), "2025-11-10 closed 1 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_up_while_its_day_is_closed_opens_the_day_again() {
    let fixture = Fixture::new("UTC").await;
    fixture.ingest(sent("a", "2025-11-10T06:15:00Z")).await;
    fixture.roll_all(1).await;
    // A writer that began before the closer and commits after the closer has looked: the roller may move what it wrote.
    let (by, scope) = (fixture.by.clone(), fixture.scope());
    let late = held(
        fixture.store(""),
        scope,
        move |store: &mut (dyn Store + 'static)| {
            let options = Options {
                backfill: true,
                strict: true,
            };
            ingest::ingest(store, sent("b", "2025-11-10T06:15:00Z"), options, &by).map(drop)
        },
    );
    let closer = held(
        fixture.ledger("slow_closer"),
        Scope::global(),
        move |store: &mut (dyn Ledger + 'static)| {
            let now = datetime!(2025-11-12 00:00 UTC);
            let due = store.due_days(now, 1)?;
            let close = usage::day::close(store, &due[0], now)?;
            assert!(matches!(close, Close::Closed { .. }), "{close:?}");
            Ok::<_, StoreError>(())
        },
    );
    late.commit().await;
    let books = fixture.books.clone();
    let roller = tokio::spawn(async move {
        for _ in 0..1000 {
            if books.roll(10).await.unwrap().events > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nothing to move");
    });
    while fixture.number(WAITING) == 0 {
        assert!(!roller.is_finished(), "it did not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    closer.commit().await;
    roller.await.unwrap();
    assert_eq!(fixture.text(STATE), "2025-11-10 reopened 1 0");
    assert_eq!(fixture.books.close_due_days(10).await.unwrap(), 1);
    assert_eq!(
        fixture.text("select concat_ws(' ', quantity, count) from usage_daily"),
        "2.50 2"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_up_for_long_holds_nothing_up() {
    let fixture = Fixture::new("UTC").await;
    fixture.ingest(sent("a", "2025-11-10T06:15:00Z")).await;
    fixture.roll_all(1).await;
    // Who adds a day up asks this table, and nobody who writes events or rolls them up does.
    let mut in_the_way = PgConnection::establish(&fixture.db.superuser_url()).unwrap();
    in_the_way
        .batch_execute("begin; lock table usage_dropped_partitions in access exclusive mode")
        .unwrap();
    let books = fixture.books.clone();
    let closer = tokio::spawn(async move { books.close_due_days(10).await });
    while fixture.number(WAITING) == 0 {
        assert!(!closer.is_finished(), "it did not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Of the same day.
    fixture.ingest(sent("b", "2025-11-10T06:15:00Z")).await;
    fixture.roll_all(1).await;
    in_the_way.batch_execute("commit").unwrap();
    assert_eq!(closer.await.unwrap().unwrap(), 1);
    assert_eq!(
        fixture.text(STATE),
        "2025-11-10 reopened 1 0",
        "overtaken while it was added up"
    );
    assert_eq!(fixture.books.close_due_days(10).await.unwrap(), 1);
    assert_eq!(fixture.text(STATE), "2025-11-10 closed 2 0");
    assert_eq!(fixture.text("select count from usage_daily"), "2");
}

/// A transaction that has done its work and is not committed yet.
struct Held(mpsc::Sender<()>, JoinHandle<()>);

fn held<S: ?Sized + 'static, E: From<StoreError> + Debug + Send + 'static>(
    db: Arc<dyn UnitOfWork<S>>,
    scope: Scope,
    work: impl FnOnce(&mut S) -> Result<(), E> + Send + 'static,
) -> Held {
    let (done, wait_done) = mpsc::channel();
    let (go_on, wait_go_on) = mpsc::channel();
    let wait = Duration::from_secs(20);
    let task = tokio::spawn(async move {
        let work = move |store: &mut S| {
            work(store)?;
            done.send(()).unwrap();
            wait_go_on.recv_timeout(wait).unwrap();
            Ok::<_, E>(())
        };
        db.run(scope, work).await.unwrap();
    });
    wait_done.recv_timeout(wait).unwrap();
    Held(go_on, task)
}

impl Held {
    async fn commit(self) {
        self.0.send(()).unwrap();
        self.1.await.unwrap();
    }
}

#[tokio::test]
async fn the_summary_has_the_last_days_of_the_tenants_calendar() {
    let fixture = Fixture::new("Asia/Kolkata").await;
    let now = kernel::Clock::now(&kernel::SystemClock);
    let zone = Zone::parse("timezone", "Asia/Kolkata").unwrap();
    let today = zone.day_of(now);
    let noon = |days: i64| {
        let at = zone.start_of_day(today - time::Duration::days(days)) + time::Duration::seconds(1);
        at.format(&time::format_description::well_known::Rfc3339)
            .unwrap()
    };
    fixture.ingest(sent("today", &noon(0))).await;
    fixture.ingest(sent("old", &noon(6))).await;
    fixture.ingest(sent("older", &noon(7))).await;
    let summary = fixture.usage.summary(&fixture.by, 7).await.unwrap();
    let days: Vec<_> = summary
        .days
        .iter()
        .map(|(day, metric, _)| (*day, metric.as_str()))
        .collect();
    assert_eq!(
        days,
        [
            (today - time::Duration::days(6), "agent_minute"),
            (today, "agent_minute")
        ]
    );
    for days in [0, -1, 367, i64::MAX] {
        assert!(
            fixture.usage.summary(&fixture.by, days).await.is_err(),
            "{days}"
        );
    }
}
