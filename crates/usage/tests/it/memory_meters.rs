//! Meters of a tenant's own.

use audit::EventFilter;
use kernel::{Denied, PageRequest, Scope, StoreError};
use plinth_usage::{Aggregation, CreateMeterError, ListMetersError, NewMeter};
use testkit::contract::{Backend, run};

use crate::memory_fixture::{Desk, page};

fn new(key: &str, aggregation: &str, value_field: Option<&str>) -> NewMeter {
    NewMeter {
        key: key.to_owned(),
        aggregation: aggregation.to_owned(),
        unit: "unit".to_owned(),
        value_field: value_field.map(str::to_owned),
        ..NewMeter::default()
    }
}

#[tokio::test]
async fn a_meter_is_made_once_and_leaves_a_trace() {
    let desk = Desk::new().await;
    let made = desk.usage.create_meter(&desk.by, new("seats", "max", None));
    let made = made.await.unwrap();
    assert_eq!(
        (made.aggregation, made.name.as_str()),
        (Aggregation::Max, "seats")
    );
    for key in ["seats", "chat"] {
        let again = desk
            .usage
            .create_meter(&desk.by, new(key, "sum", None))
            .await;
        assert!(
            matches!(&again, Err(CreateMeterError::Exists { key: taken }) if taken == key),
            "{again:?}"
        );
    }
    let tenant_id = desk.tenant_id;
    let trail = desk.memory.audit();
    let events = trail.run(Scope::tenant(tenant_id), move |store| {
        store.events(tenant_id, &EventFilter::default(), &page(10), None)
    });
    let events = events.await.unwrap() as Vec<audit::AuditEvent>;
    let told: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(told, ["meter.created"], "what failed is not in the trail");
    assert_eq!(events[0].target.id, made.id.to_string());
}

#[tokio::test]
async fn meters_are_listed_page_by_page() {
    let desk = Desk::new().await;
    let made = desk.usage.create_meter(&desk.by, new("seats", "max", None));
    made.await.unwrap();
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest { limit: 5, cursor };
        let answer = desk.usage.meters(&desk.by, page).await.unwrap();
        keys.extend(answer.data.into_iter().map(|meter| meter.key));
        cursor = answer.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(keys.len(), 17);
    assert!(keys.is_sorted() && keys.contains(&"seats".to_owned()));
    let foreign = PageRequest {
        limit: 5,
        cursor: Some(kernel::Cursor::after(&"no\0key")),
    };
    let refused = desk.usage.meters(&desk.by, foreign).await;
    assert!(
        matches!(&refused, Err(ListMetersError::Invalid(error)) if error.code == "invalid_cursor"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn meters_need_permission() {
    let desk = Desk::new().await;
    let writer = desk.with(&["usage.write"]);
    let listed = desk.usage.meters(&writer, page(5)).await;
    assert!(
        matches!(
            listed,
            Err(ListMetersError::Denied(Denied::Forbidden { .. }))
        ),
        "{listed:?}"
    );
    let reader = desk.with(&["meter.read"]);
    let made = desk
        .usage
        .create_meter(&reader, new("seats", "max", None))
        .await;
    assert!(
        matches!(
            made,
            Err(CreateMeterError::Denied(Denied::Forbidden { .. }))
        ),
        "{made:?}"
    );
}

#[tokio::test]
async fn a_meter_may_name_the_field_of_its_value() {
    let desk = Desk::new().await;
    for meter in [
        NewMeter {
            allows_negative: true,
            ..new("cost", "sum", Some("cost"))
        },
        new("people", "unique", Some("user_id")),
    ] {
        desk.usage.create_meter(&desk.by, meter).await.unwrap();
    }
    let taken = desk.send(&[
        r#"{"id":"a","metric":"cost","metadata":{"cost":-0.123456789012}}"#,
        r#"{"id":"b","metric":"cost","metadata":{"cost":"2"}}"#,
        r#"{"id":"c","metric":"cost","quantity":7}"#,
        r#"{"id":"d","metric":"cost","metadata":{"cost":"much"}}"#,
        r#"{"id":"e","metric":"people","user_id":"u1"}"#,
        r#"{"id":"f","metric":"people","metadata":{"user_id":"u2"}}"#,
        r#"{"id":"g","metric":"people","user_id":"u1"}"#,
        r#"{"id":"h","metric":"people"}"#,
    ]);
    assert_eq!(taken.await, "aarraaar");
    // What was sent without a time happened when it was received, a microsecond apart: the last of them after the request began.
    desk.wait(time::Duration::SECOND);
    let summary = desk.usage.summary(&desk.by, 1).await.unwrap();
    let days: Vec<_> = summary
        .days
        .iter()
        .map(|(_, metric, quantity)| (metric.as_str(), quantity.to_string()))
        .collect();
    assert_eq!(
        days,
        [
            ("cost", "1.876543210988".to_owned()),
            ("people", "2".to_owned())
        ]
    );
}

#[tokio::test]
async fn of_two_who_make_the_same_meter_at_once_one_succeeds() {
    let desk = Desk::new().await;
    let make = || desk.usage.create_meter(&desk.by, new("seats", "max", None));
    let (a, b) = tokio::join!(make(), make());
    let made = [&a, &b].into_iter().filter(|made| made.is_ok()).count();
    assert_eq!(made, 1, "{a:?} {b:?}");
    let tenant_id = desk.tenant_id;
    let scope = Scope::tenant(tenant_id);
    let own: Result<Vec<_>, StoreError> = run(desk.memory.usage(), scope, move |store| {
        store.meters_by_key(tenant_id, &["seats".to_owned()])
    })
    .await;
    assert_eq!(own.unwrap().len(), 1);
}
