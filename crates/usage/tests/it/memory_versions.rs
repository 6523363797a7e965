//! Meters that change, and usage that is told apart by what they declare.

use audit::EventFilter;
use kernel::{Denied, Name, PageRequest, Scope};
use plinth_usage::{
    ChangeMeterError, Filter, Granularity, GroupBy, MeterChange, MeterError, NewMeter,
    ReadUsageError, UsageRequest, revision::Fixed,
};
use serde_json::json;
use testkit::contract::Backend;
use time::Duration;

use crate::memory_fixture::{Desk, page};

async fn desk() -> Desk {
    let desk = Desk::new().await;
    let meter = NewMeter {
        key: "used".to_owned(),
        aggregation: "sum".to_owned(),
        unit: "token".to_owned(),
        dimensions: vec!["region".to_owned(), "user_id".to_owned()],
        ..NewMeter::default()
    };
    desk.usage.create_meter(&desk.by, meter).await.unwrap();
    desk
}

fn declaring(dimensions: &[&str]) -> MeterChange {
    MeterChange {
        dimensions: Some(dimensions.iter().map(|name| (*name).to_owned()).collect()),
        ..MeterChange::default()
    }
}

fn total(group_by: &[&str], filter: &[(&str, &str)]) -> UsageRequest {
    let mut narrowed = Filter::default();
    for (name, value) in filter {
        narrowed.add(name, value).unwrap();
    }
    UsageRequest {
        metrics: vec!["used".to_owned()],
        from: None,
        to: None,
        granularity: Granularity::Total,
        group_by: GroupBy::parse(group_by.iter().copied()).unwrap(),
        filter: narrowed,
        timezone: None,
    }
}

async fn told(desk: &Desk, request: &UsageRequest) -> Vec<String> {
    let rows = desk.read(request, 1).await.into_iter();
    let told = rows.map(|row| {
        let values = row.dimensions.into_values().map(Option::unwrap_or_default);
        let values: Vec<String> = values.chain([row.quantity.to_string()]).collect();
        values.join(" ")
    });
    told.collect()
}

#[tokio::test]
async fn a_change_leaves_what_it_was_in_the_history_and_in_the_trail() {
    let desk = desk().await;
    desk.wait(Duration::HOUR);
    let change = MeterChange {
        name: Some(Name::parse("name", "Tokens").unwrap()),
        value_field: Some(Some("$.usage.tokens".to_owned())),
        allows_negative: Some(true),
        fixed: Fixed {
            unit: Some("token".to_owned()),
            ..Fixed::default()
        },
        ..declaring(&["region", "tier"])
    };
    let changed = (desk.usage).change_meter(&desk.by, "used".to_owned(), change.clone(), Some(1));
    assert_eq!(changed.await.unwrap().version, 2);
    // The same once more changes nothing.
    let again = (desk.usage).change_meter(&desk.by, "used".to_owned(), change, Some(2));
    assert_eq!(again.await.unwrap().version, 2);
    let history = (desk.usage).meter_versions(&desk.by, "used".to_owned(), page(10));
    let history = history.await.unwrap().data;
    let numbers: Vec<_> = history
        .iter()
        .map(|row| (row.version, row.name.as_str()))
        .collect();
    assert_eq!(numbers, [(2, "Tokens"), (1, "used")]);
    assert_eq!(
        history[0].created_at - history[1].created_at,
        Duration::HOUR
    );

    let tenant_id = desk.tenant_id;
    let trail = desk.memory.audit();
    let events = trail.run(Scope::tenant(tenant_id), move |store| {
        store.events(tenant_id, &EventFilter::default(), &page(10), None)
    });
    let events = events.await.unwrap() as Vec<audit::AuditEvent>;
    let updated: Vec<_> = events
        .iter()
        .filter(|event| event.action == "meter.updated")
        .collect();
    assert_eq!(updated.len(), 1, "what changed nothing is not in the trail");
    let diff = json!({
        "version": [1, 2], "name": ["used", "Tokens"], "value_field": [null, "$.usage.tokens"],
        "dimensions": [["region", "user_id"], ["region", "tier"]], "allows_negative": [false, true],
    });
    assert_eq!(updated[0].diff, Some(diff));
}

#[tokio::test]
async fn what_cannot_be_changed_says_why() {
    let desk = desk().await;
    let change = async |key: &str, expected| {
        let change = declaring(&["tier"]);
        let changed = desk
            .usage
            .change_meter(&desk.by, key.to_owned(), change, expected);
        changed.await.map(|meter| meter.version)
    };
    assert!(matches!(
        change("chat", None).await,
        Err(ChangeMeterError::Standard)
    ));
    for key in ["nonsense", "No Key", "no\0key"] {
        let refused = change(key, None).await;
        assert!(
            matches!(refused, Err(ChangeMeterError::NotFound)),
            "{key:?}"
        );
        let read = desk.usage.meter(&desk.by, key.to_owned()).await;
        assert!(matches!(read, Err(MeterError::NotFound)), "{key:?}");
    }
    assert!(matches!(
        change("used", Some(2)).await,
        Err(ChangeMeterError::Stale)
    ));
    assert_eq!(change("used", Some(1)).await.unwrap(), 2);
    assert!(matches!(
        change("used", Some(1)).await,
        Err(ChangeMeterError::Stale)
    ));
    let reader = desk.with(&["meter.read"]);
    let refused = desk
        .usage
        .change_meter(&reader, "used".to_owned(), declaring(&[]), None);
    assert!(matches!(
        refused.await,
        Err(ChangeMeterError::Denied(Denied::Forbidden { .. }))
    ));
    let writer = desk.with(&["meter.write"]);
    let refused = desk
        .usage
        .meter_versions(&writer, "used".to_owned(), page(1));
    assert!(matches!(
        refused.await,
        Err(MeterError::Denied(Denied::Forbidden { .. }))
    ));
}

#[tokio::test]
async fn a_history_comes_page_by_page_and_one_from_the_start_is_short() {
    let desk = desk().await;
    let chat = desk.usage.meter(&desk.by, "chat".to_owned()).await.unwrap();
    let history = desk
        .usage
        .meter_versions(&desk.by, "chat".to_owned(), page(1));
    let history = history.await.unwrap();
    assert_eq!((history.data[0].version, chat.version), (1, 1));
    assert!(history.next_cursor.is_none());
    let changed = desk
        .usage
        .change_meter(&desk.by, "used".to_owned(), declaring(&["tier"]), None);
    changed.await.unwrap();
    let (mut numbers, mut request) = (Vec::new(), page(1));
    loop {
        let history = desk
            .usage
            .meter_versions(&desk.by, "used".to_owned(), request);
        let history = history.await.unwrap();
        numbers.extend(history.data.into_iter().map(|row| row.version));
        let Some(cursor) = history.next_cursor else {
            break;
        };
        request = PageRequest {
            limit: 1,
            cursor: Some(cursor),
        };
    }
    assert_eq!(numbers, [2, 1]);
}

#[tokio::test]
async fn usage_is_told_apart_by_what_a_meter_declares_or_declared() {
    let desk = desk().await;
    let taken = desk.send(&[
        r#"{"id":"a","metric":"used","quantity":1,"metadata":{"region":"eu","tier":"gold"}}"#,
        r#"{"id":"b","metric":"used","quantity":2,"metadata":{"region":"us"},"user_id":"u"}"#,
        r#"{"id":"c","metric":"used","quantity":4}"#,
        r#"{"id":"d","metric":"used","quantity":8,"metadata":{"region":["eu"]}}"#,
        r#"{"id":"e","metric":"chat","quantity":8,"metadata":{"region":["eu"]}}"#,
    ]);
    assert_eq!(taken.await, "aaara");
    let change = desk
        .usage
        .change_meter(&desk.by, "used".to_owned(), declaring(&["tier"]), None);
    change.await.unwrap();
    let taken = desk.send(&[
        r#"{"id":"f","metric":"used","quantity":16,"metadata":{"region":"eu","tier":"gold"}}"#,
        r#"{"id":"g","metric":"used","quantity":32,"metadata":{"region":"eu","tier":2}}"#,
    ]);
    assert_eq!(taken.await, "aa");
    desk.wait(Duration::SECOND);
    for (group_by, filter, expected) in [
        (&["region"][..], &[][..], &[" 52", "eu 1", "us 2"][..]),
        (
            &["tier", "region"],
            &[],
            &["  4", " 2 32", " gold 16", "eu  1", "us  2"],
        ),
        (&[], &[("region", "eu"), ("region", "us")], &["3"]),
        (&[], &[("region", ""), ("tier", "gold")], &["16"]),
        (&["region"], &[("user", "")], &[" 52", "eu 1"]),
        (&[], &[("region", "nowhere")], &["0"]),
    ] {
        let told = told(&desk, &total(group_by, filter)).await;
        assert_eq!(told, expected, "{group_by:?} {filter:?}");
    }
}

#[tokio::test]
async fn a_dimension_that_no_meter_has_is_named() {
    let desk = desk().await;
    let refusal = async |metric: &str, group_by: &[&str], filter: &[(&str, &str)]| {
        let request = UsageRequest {
            metrics: vec![metric.to_owned()],
            ..total(group_by, filter)
        };
        match desk.usage.usage(&desk.by, request, page(1)).await {
            Err(ReadUsageError::Invalid(error)) => (
                error.field.into_owned(),
                error.code,
                error.message.into_owned(),
            ),
            other => ("".to_owned(), "", format!("{other:?}")),
        }
    };
    let (field, code, message) = refusal("used", &["region", "colour"], &[]).await;
    assert_eq!((&*field, code), ("group_by", "unknown_dimension"));
    assert!(message.contains("colour"), "{message}");
    let (field, code, _) = refusal("used", &[], &[("colour", "red")]).await;
    assert_eq!((&*field, code), ("filter[colour]", "unknown_dimension"));
    // It is a dimension of another meter, which is not asked for.
    let (field, ..) = refusal("chat", &["region"], &[]).await;
    assert_eq!(field, "group_by");
    // Of all meters, one has it.
    let all = UsageRequest {
        metrics: Vec::new(),
        ..total(&["region"], &[("region", "eu")])
    };
    assert!(desk.usage.usage(&desk.by, all, page(1)).await.is_ok());
}
