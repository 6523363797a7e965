//! The worker's books: rolling up, and closing days.

use kernel::{Scope, StoreError};
use testkit::contract::{Backend, run};
use time::{Duration, macros::date};

use crate::memory_fixture::{Desk, START};

/// Rolls until there is nothing left, and says how many events moved.
async fn roll(desk: &Desk) -> u64 {
    let mut moved = 0;
    loop {
        let step = desk.books.roll(10).await.unwrap();
        moved += step.events;
        if !step.more {
            return moved;
        }
    }
}

#[tokio::test]
async fn a_day_is_closed_when_it_is_over_and_again_after_a_late_event() {
    let desk = Desk::new().await;
    let today = date!(2026 - 03 - 16);
    let record = || desk.memory.day_record(desk.tenant_id, today);
    assert_eq!(
        desk.send(&[r#"{"id":"a","metric":"chat","quantity":"1.25"}"#])
            .await,
        "a"
    );
    assert_eq!(roll(&desk).await, 1);
    assert_eq!(desk.books.close_due_days(10).await, Ok(0), "it is noon");
    desk.wait(Duration::hours(12));
    assert_eq!(desk.books.close_due_days(10).await, Ok(1));
    assert_eq!(desk.books.close_due_days(10).await, Ok(0));
    let first = record().await.unwrap();
    assert_eq!(
        (first.is_closed, first.closes, first.drift),
        (true, 1, Some(0.into()))
    );
    assert_eq!(first.totals[0].quantity.to_string(), "1.25");

    let late = START
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    let late = format!(r#"{{"id":"b","metric":"chat","quantity":2,"occurred_at":"{late}"}}"#);
    assert_eq!(desk.send(&[&late]).await, "a");
    assert_eq!(
        desk.books.close_due_days(10).await,
        Ok(0),
        "nobody knows of it yet"
    );
    assert_eq!(roll(&desk).await, 1);
    assert_eq!(record().await.unwrap().closes, 1);
    assert!(!record().await.unwrap().is_closed);
    desk.wait(Duration::SECOND);
    assert_eq!(desk.books.close_due_days(10).await, Ok(1));
    let second = record().await.unwrap();
    assert_eq!((second.closes, second.totals[0].count), (2, 2));
    assert_eq!(second.totals[0].quantity.to_string(), "3.25");

    let facts: Result<Vec<_>, StoreError> = run(desk.memory.outbox(), Scope::global(), |store| {
        store.unrelayed(9)
    })
    .await;
    let closes: Vec<_> = facts
        .unwrap()
        .iter()
        .map(|fact| fact.payload["close"].clone())
        .collect();
    assert_eq!(closes, [1, 2]);
}

#[tokio::test]
async fn as_many_days_close_as_were_asked_for_the_oldest_first() {
    let desk = Desk::new().await;
    for day in 10..=14 {
        let text =
            format!(r#"{{"id":"{day}","metric":"chat","occurred_at":"2026-03-{day}T12:00:00Z"}}"#);
        assert_eq!(desk.send(&[&text]).await, "a");
    }
    assert_eq!(roll(&desk).await, 5);
    assert_eq!(desk.books.close_due_days(2).await, Ok(2));
    let is_closed = async |day| {
        let record = desk.memory.day_record(desk.tenant_id, day).await;
        record.unwrap().is_closed
    };
    assert!(is_closed(date!(2026 - 03 - 11)).await);
    assert!(!is_closed(date!(2026 - 03 - 12)).await);
    assert_eq!(desk.books.close_due_days(10).await, Ok(3));
    assert_eq!(
        desk.books.ensure_partitions(2).await,
        Ok(0),
        "memory has none"
    );
}
