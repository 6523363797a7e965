//! Taking events in.

use kernel::{Denied, Permission, ProjectId, TenantStatus};
use plinth_usage::{
    Filter, Granularity, GroupBy, IngestError, Item, Options, UsageRequest,
    ingest::{MAX_AGE, MAX_AHEAD, MAX_ITEMS},
};
use testkit::contract::usage_fixture::add_project;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::datetime};

use crate::memory_fixture::{Desk, START, letters, page, refusals};

const BACKFILL: Options = Options {
    backfill: true,
    strict: false,
};
const STRICT: Options = Options {
    backfill: false,
    strict: true,
};

fn plain(texts: &[&str]) -> Vec<Item> {
    texts.iter().map(|text| Item::parse_plain(text)).collect()
}

/// The total of one metric until now, in the current month of the tenant.
fn total(metric: &str) -> UsageRequest {
    UsageRequest {
        metrics: vec![metric.to_owned()],
        from: None,
        to: Some(START + Duration::days(100)),
        granularity: Granularity::Total,
        group_by: GroupBy::default(),
        filter: Filter::default(),
        timezone: None,
    }
}

async fn quantity(desk: &Desk, metric: &str) -> String {
    let rows = desk.read(&total(metric), 10).await;
    assert_eq!(rows.len(), 1, "a total that was asked for by name is there");
    rows[0].quantity.to_string()
}

#[tokio::test]
async fn an_event_counts_once_in_whatever_form_it_is_sent() {
    let desk = Desk::new().await;
    let cloud =
        r#"{"specversion":"1.0","id":"1","source":"plinth","type":"chat","data":{"quantity":0.1}}"#;
    let items = vec![
        Item::parse_plain(r#"{"id":"1","metric":"chat","quantity":"0.10"}"#),
        Item::parse_cloud_event(cloud),
        Item::parse_plain(r#"{"id":"1","metric":"chat","quantity":0.2}"#),
        Item::parse_plain(r#"{"id":"1","metric":"chat","source":"app","quantity":0.2}"#),
        Item::parse_plain("no JSON"),
    ];
    let receipt = desk
        .usage
        .ingest(&desk.by, items.clone(), Options::default());
    let receipt = receipt.await.unwrap();
    assert_eq!(letters(&receipt), "adcar");
    assert_eq!(receipt.counts(), [2, 1, 1, 1]);
    assert_eq!(refusals(&receipt), [(4, "usage.malformed")]);
    assert_eq!(quantity(&desk, "chat").await, "0.3");
    let again = desk.usage.ingest(&desk.by, items, Options::default());
    assert_eq!(letters(&again.await.unwrap()), "ddcdr");
    assert_eq!(quantity(&desk, "chat").await, "0.3");
}

#[tokio::test]
async fn an_id_is_free_again_after_thirty_five_days() {
    let desk = Desk::new().await;
    let event = &[r#"{"id":"1","metric":"chat"}"#];
    assert_eq!(desk.send(event).await, "a");
    desk.wait(Duration::days(35) - Duration::microseconds(1));
    assert_eq!(desk.send(event).await, "d");
    desk.wait(Duration::microseconds(1));
    assert_eq!(desk.send(event).await, "a");
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_alone() {
    let desk = Desk::new().await;
    let items = plain(&[
        r#"{"id":"a","metric":"chat"}"#,
        r#"{"id":"b","metric":"nonsense"}"#,
        r#"{"id":"c","metric":"chat","quantity":-1}"#,
        r#"{"id":"d","metric":"chat","project_id":"018f0000-0000-7000-8000-000000000000"}"#,
        r#"{"id":"e","metric":"chat","occurred_at":"1999-12-31T23:59:59Z"}"#,
        r#"{"metric":"chat"}"#,
    ]);
    let expected = [
        (1, "usage.unknown_metric"),
        (2, "usage.negative_quantity"),
        (3, "usage.unknown_project"),
        (4, "usage.too_old"),
        (5, "usage.missing_id"),
    ];
    let strict = desk.usage.ingest(&desk.by, items.clone(), STRICT).await;
    let Err(IngestError::Strict(failures)) = strict else {
        unreachable!("{strict:?}")
    };
    let codes: Vec<_> = failures.iter().map(|(at, why)| (*at, why.code)).collect();
    assert_eq!(codes, expected);
    assert_eq!(quantity(&desk, "chat").await, "0", "all or nothing");

    let receipt = desk.usage.ingest(&desk.by, items, Options::default()).await;
    assert_eq!(refusals(&receipt.unwrap()), expected);
    assert_eq!(quantity(&desk, "chat").await, "1");
    let good = plain(&[
        r#"{"id":"a","metric":"chat"}"#,
        r#"{"id":"f","metric":"chat"}"#,
    ]);
    let receipt = desk.usage.ingest(&desk.by, good, STRICT).await.unwrap();
    assert_eq!(letters(&receipt), "da", "a duplicate is no failure");
}

#[tokio::test]
async fn age_is_measured_by_the_clock_of_the_store() {
    let desk = Desk::new().await;
    let instant = Duration::microseconds(1);
    let at = |time: OffsetDateTime| {
        let time = time.format(&Rfc3339).unwrap();
        let text = format!(r#"{{"id":"{time}","metric":"chat","occurred_at":"{time}"}}"#);
        Item::parse_plain(&text)
    };
    let items = vec![
        at(START + MAX_AHEAD),
        at(START + MAX_AHEAD + instant),
        at(START - MAX_AGE),
        at(START - MAX_AGE - instant),
        at(datetime!(2000-01-01 00:00 UTC)),
        at(datetime!(2000-01-01 00:00 UTC) - instant),
    ];
    let taken = desk
        .usage
        .ingest(&desk.by, items.clone(), Options::default());
    assert_eq!(letters(&taken.await.unwrap()), "ararrr");
    let taken = desk.usage.ingest(&desk.by, items, BACKFILL).await.unwrap();
    assert_eq!(letters(&taken), "drdaar");
    let too_old = refusals(&taken);
    assert_eq!(too_old[0].1, "usage.too_far_in_the_future");
    assert_eq!(too_old[1].1, "usage.too_old");
}

#[tokio::test]
async fn a_request_has_a_size_and_needs_permission() {
    let desk = Desk::new().await;
    let one = || Item::parse_plain(r#"{"id":"1","metric":"chat"}"#);
    let ingest = async |by: &kernel::Principal, items: usize, options: Options| {
        let items = (0..items).map(|_| one()).collect();
        desk.usage.ingest(by, items, options).await
    };
    let plain = Options::default();
    let large = ingest(&desk.by, MAX_ITEMS + 1, plain).await;
    assert!(
        matches!(large, Err(IngestError::TooMany(1001))),
        "{large:?}"
    );
    let reader = desk.with(&["usage.read"]);
    let writer = desk.with(&["usage.write"]);
    for (by, options, needed) in [
        (&reader, plain, "usage.write"),
        (&writer, BACKFILL, "usage.backfill"),
    ] {
        let refused = ingest(by, 1, options).await;
        let Err(IngestError::Denied(Denied::Forbidden { required })) = refused else {
            unreachable!("{refused:?}")
        };
        assert_eq!(required, Permission::of(needed));
    }
    let mut frozen = desk.by.clone();
    frozen.grant.as_mut().unwrap().status = TenantStatus::Frozen;
    let refused = ingest(&frozen, 1, plain).await;
    assert!(
        matches!(refused, Err(IngestError::Denied(Denied::ReadOnly { .. }))),
        "{refused:?}"
    );
    assert_eq!(quantity(&desk, "chat").await, "0");
    let taken = ingest(&writer, MAX_ITEMS, plain).await.unwrap();
    assert_eq!(taken.counts(), [1, 999, 0, 0]);
}

#[tokio::test]
async fn a_key_of_one_project_sends_and_reads_that_project() {
    let desk = Desk::new().await;
    let [own, other] = [1, 2].map(|n| ProjectId::new(START + Duration::seconds(n)));
    let bound = {
        let mut by = desk.by.clone();
        by.grant.as_mut().unwrap().project_id = Some(own);
        by
    };
    let items = || {
        vec![
            Item::parse_plain(r#"{"id":"a","metric":"chat","quantity":2}"#),
            Item::parse_plain(&format!(
                r#"{{"id":"b","metric":"chat","quantity":3,"project_id":"{own}"}}"#
            )),
            Item::parse_plain(&format!(
                r#"{{"id":"c","metric":"chat","quantity":5,"project_id":"{other}"}}"#
            )),
        ]
    };
    let ingest = async |by: &kernel::Principal| {
        let taken = desk.usage.ingest(by, items(), Options::default()).await;
        letters(&taken.unwrap())
    };
    assert_eq!(ingest(&bound).await, "rrr", "no project is there yet");
    add_project(&desk.memory, desk.tenant_id, own).await;
    add_project(&desk.memory, desk.tenant_id, other).await;
    assert_eq!(ingest(&bound).await, "aar");
    assert_eq!(ingest(&desk.by).await, "cda", "`a` was the project's");
    assert_eq!(quantity(&desk, "chat").await, "10");
    let seen = desk
        .usage
        .usage(&bound, total("chat"), page(10))
        .await
        .unwrap();
    assert_eq!(seen.data[0].quantity.to_string(), "5");
}
