//! Reading usage.

use kernel::{Denied, Zone};
use plinth_usage::{
    Filter, Granularity, GroupBy, ReadUsageError, UsageRequest, query::MAX_METRICS,
};
use time::{Duration, OffsetDateTime, macros::datetime};

use crate::memory_fixture::{Desk, START, page};

/// Everything from the start of the month until now.
fn month() -> UsageRequest {
    UsageRequest {
        metrics: Vec::new(),
        from: None,
        to: None,
        granularity: Granularity::Day,
        group_by: GroupBy::default(),
        filter: Filter::default(),
        timezone: None,
    }
}

/// Four days of two metrics, with days that begin at 18:15 UTC.
async fn desk() -> Desk {
    let desk = Desk::new().await;
    let taken = desk.send(&[
        r#"{"id":"a","metric":"chat","quantity":1,"occurred_at":"2026-02-28T18:14:59.999999Z"}"#,
        r#"{"id":"b","metric":"chat","quantity":2,"occurred_at":"2026-02-28T18:15:00Z"}"#,
        r#"{"id":"c","metric":"chat","quantity":3,"occurred_at":"2026-03-01T18:14:59Z","user_id":"u1"}"#,
        r#"{"id":"d","metric":"chat","quantity":4,"occurred_at":"2026-03-01T18:15:00Z","user_id":"u2"}"#,
        r#"{"id":"e","metric":"jobs","quantity":5,"occurred_at":"2026-03-10T00:00:00Z","model":"m"}"#,
        r#"{"id":"f","metric":"chat","quantity":6,"user_id":"u1"}"#,
    ]);
    assert_eq!(taken.await, "aaaaaa");
    // What was sent without a time has happened when it was received: before now.
    desk.wait(Duration::seconds(1));
    desk
}

fn told(rows: &[plinth_usage::UsageRow]) -> Vec<String> {
    let line = |row: &plinth_usage::UsageRow| {
        let user = row.user_id.as_deref().unwrap_or("-");
        format!(
            "{} {} {user} {}",
            row.metric,
            row.bucket.date(),
            row.quantity
        )
    };
    rows.iter().map(line).collect()
}

#[tokio::test]
async fn the_month_of_the_tenants_calendar_is_the_default() {
    let desk = desk().await;
    let expected = [
        "chat 2026-03-01 - 5",
        "chat 2026-03-02 - 4",
        "chat 2026-03-16 - 6",
        "jobs 2026-03-10 - 5",
    ];
    for limit in [1, 2, 100] {
        let rows = desk.read(&month(), limit).await;
        assert_eq!(told(&rows), expected);
        assert_eq!(rows[0].bucket, datetime!(2026-03-01 00:00 +05:45));
        assert_eq!(rows[0].bucket.offset(), time::macros::offset!(+05:45));
    }
    while desk.books.roll(2).await.unwrap().more {}
    assert_eq!(told(&desk.read(&month(), 3).await), expected);
}

#[tokio::test]
async fn what_is_ahead_of_the_clock_is_in_the_next_answer() {
    let desk = desk().await;
    let ahead = [
        r#"{"id":"ahead","metric":"search","occurred_at":"2026-03-16T06:20:00Z"}"#,
        r#"{"id":"far","metric":"search","occurred_at":"2026-03-16T06:20:02Z"}"#,
    ];
    assert_eq!(START, datetime!(2026-03-16 06:15 UTC));
    assert_eq!(desk.send(&ahead).await, "ar");
    desk.wait(Duration::MICROSECOND);
    let request = UsageRequest {
        metrics: vec!["search".to_owned()],
        ..month()
    };
    assert_eq!(
        told(&desk.read(&request, 9).await),
        ["search 2026-03-16 - 1"]
    );
    let summary = desk.usage.summary(&desk.by, 1).await.unwrap();
    assert!(summary.days.iter().any(|(_, metric, _)| metric == "search"));
}

#[tokio::test]
async fn a_question_is_narrowed_and_told_apart() {
    let desk = desk().await;
    let utc = UsageRequest {
        metrics: vec!["chat".to_owned()],
        from: Some(datetime!(2026-02-01 00:00 UTC)),
        to: Some(START),
        granularity: Granularity::Month,
        group_by: GroupBy::parse(["user"]).unwrap(),
        filter: Filter::default(),
        timezone: Some(Zone::utc()),
    };
    let rows = desk.read(&utc, 2).await;
    assert_eq!(
        told(&rows),
        [
            "chat 2026-02-01 - 3",
            "chat 2026-03-01 u1 3",
            "chat 2026-03-01 u2 4"
        ],
        "the end of the range is not in it"
    );
    let hours = UsageRequest {
        granularity: Granularity::Hour,
        group_by: GroupBy::default(),
        filter: Filter::default(),
        from: Some(datetime!(2026-03-01 18:00 UTC)),
        timezone: None,
        ..utc
    };
    let rows = desk.read(&hours, 100).await;
    let buckets: Vec<OffsetDateTime> = rows.iter().map(|row| row.bucket).collect();
    assert_eq!(
        buckets,
        [
            datetime!(2026-03-01 17:15 UTC),
            datetime!(2026-03-01 18:15 UTC)
        ],
        "hours are those of the clock on the tenant's wall"
    );
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let desk = desk().await;
    let many = (0..=MAX_METRICS).map(|n| format!("m{n}")).collect();
    for (request, field, code) in [
        (
            UsageRequest {
                metrics: vec!["nonsense".to_owned()],
                ..month()
            },
            "metric",
            "unknown_metric",
        ),
        (
            UsageRequest {
                metrics: vec!["no\0key".to_owned()],
                ..month()
            },
            "metric",
            "unknown_metric",
        ),
        (
            UsageRequest {
                metrics: many,
                ..month()
            },
            "metric",
            "too_many",
        ),
        (
            UsageRequest {
                from: Some(START + Duration::days(1)),
                ..month()
            },
            "from",
            "not_before_to",
        ),
        (
            UsageRequest {
                from: Some(datetime!(1999-12-31 00:00 UTC)),
                ..month()
            },
            "from",
            "out_of_range",
        ),
        (
            UsageRequest {
                from: Some(datetime!(2010-01-01 00:00 UTC)),
                granularity: Granularity::Quarter,
                ..month()
            },
            "granularity",
            "too_many_buckets",
        ),
    ] {
        let refused = desk.usage.usage(&desk.by, request, page(10)).await;
        let Err(ReadUsageError::Invalid(error)) = refused else {
            unreachable!("{refused:?}")
        };
        assert_eq!((&*error.field, error.code), (field, code));
    }
    let writer = desk.with(&["usage.write"]);
    let refused = desk.usage.usage(&writer, month(), page(10)).await;
    assert!(
        matches!(
            refused,
            Err(ReadUsageError::Denied(Denied::Forbidden { .. }))
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_summary_has_the_last_days_of_the_tenants_calendar() {
    let desk = desk().await;
    let summary = desk.usage.summary(&desk.by, 7).await.unwrap();
    assert_eq!(summary.from, datetime!(2026-03-10 00:00 +05:45));
    let days: Vec<String> = summary
        .days
        .iter()
        .map(|(day, metric, quantity)| format!("{day} {metric} {quantity}"))
        .collect();
    assert_eq!(days, ["2026-03-10 jobs 5", "2026-03-16 chat 6"]);
    for days in [0, -1, 367, i64::MAX] {
        let refused = desk.usage.summary(&desk.by, days).await;
        assert!(
            matches!(refused, Err(ReadUsageError::Invalid(_))),
            "{refused:?}"
        );
    }
}
