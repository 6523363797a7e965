//! Usage events: what is taken can be written down and read again as the same event, and what is not has a code.

use std::collections::BTreeMap;

use serde_json::{Value, json, value::RawValue};
use time::format_description::well_known::Rfc3339;
use usage::{
    Form, Item, Metadata, NewEvent, event::MAX_TEXT, ingest::MAX_ITEMS, metadata::MAX_BYTES,
};

use crate::{take, utf8};

/// One event in the plain form.
pub fn event_plain(data: &[u8]) {
    an_item_holds(&Item::parse_plain(utf8(data)));
}

/// One CloudEvent.
pub fn cloud_event(data: &[u8]) {
    let item = Item::parse_cloud_event(utf8(data));
    an_item_holds(&item);
    // What the one form takes, the other can say.
    if let Ok(event) = &item.event {
        let metadata = event.metadata.as_json().unwrap_or("{}");
        let reserved = ["quantity", "project_id", "user_id", "model"];
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(metadata).unwrap();
        assert!(reserved.iter().all(|name| !fields.contains_key(*name)));
    }
}

fn an_item_holds(item: &Item) {
    match &item.event {
        Ok(event) => {
            assert_eq!(item.id.as_deref(), Some(&*event.id));
            an_event_holds(event);
        }
        Err(rejection) => {
            assert!(rejection.code.starts_with("usage."));
            assert!(!rejection.message.is_empty());
            // A field may be called nothing at all.
            let of_none = ["usage.malformed", "usage.invalid_field"].contains(&rejection.code);
            assert!(of_none || !rejection.field.is_empty());
        }
    }
}

fn an_event_holds(event: &NewEvent) {
    let texts = [
        Some(&event.id),
        Some(&event.source),
        Some(&event.metric),
        event.user_id.as_ref(),
        event.model.as_ref(),
    ];
    for text in texts.into_iter().flatten() {
        assert!((1..=MAX_TEXT).contains(&text.len()));
        assert!(!text.chars().any(char::is_control));
    }
    // A time is written with four digits of the year, which the zone's offset may leave.
    let written = event.occurred_at.map(|at| at.format(&Rfc3339));
    if let Some(Err(_)) = written {
        return;
    }
    let occurred_at = written.transpose().unwrap();
    let plain = written_down(event, occurred_at.as_deref());
    let back = Item::parse_plain(&plain).event;
    assert_eq!(back.as_ref(), Ok(event), "{plain}");
    assert_eq!(back.as_ref().map(NewEvent::dedup), Ok(event.dedup()));
    assert_eq!(
        back.as_ref().map(NewEvent::payload_hash),
        Ok(event.payload_hash())
    );
}

fn written_down(event: &NewEvent, occurred_at: Option<&str>) -> String {
    let fields = json!({
        "id": event.id, "source": event.source, "metric": event.metric, "quantity": event.quantity.to_string(),
        "occurred_at": occurred_at, "project_id": event.project_id.map(|id| id.to_string()),
        "user_id": event.user_id, "model": event.model,
    });
    let fields = fields.to_string();
    let fields = fields.strip_suffix('}').unwrap();
    format!(
        "{fields},\"metadata\":{}}}",
        event.metadata.as_json().unwrap_or("null")
    )
}

/// Many events, in each form.
pub fn event_batch(mut data: &[u8]) {
    let [form] = take(&mut data);
    let text = utf8(data);
    match form % 4 {
        0 => lines(text),
        1 => json(text),
        2 => {
            let items = Form::CloudEvent.items(text);
            assert!(
                items.is_err()
                    || items == Ok(vec![Item::parse_cloud_event(text.trim_matches(is_space))])
            );
        }
        _ => {
            let items = Form::CloudEvents.items(text);
            assert!(
                items.is_ok_and(|items| items.len() <= MAX_ITEMS)
                    || items_of(text).is_none_or(|n| n > MAX_ITEMS)
            );
        }
    }
}

/// What JSON calls white space.
const fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r')
}

fn items_of(text: &str) -> Option<usize> {
    serde_json::from_str::<Vec<&RawValue>>(text)
        .ok()
        .map(|items| items.len())
}

fn lines(text: &str) {
    let expected: Vec<Item> = text
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(Item::parse_plain)
        .collect();
    let items = Form::Lines.items(text);
    assert!(items == Ok(expected) || items.is_err());
    assert_eq!(
        items.is_err(),
        text.split('\n')
            .filter(|line| !line.trim().is_empty())
            .count()
            > MAX_ITEMS
    );
}

fn json(text: &str) {
    let items = Form::Json.items(text);
    if let Ok(items) = &items {
        assert!(items.len() <= MAX_ITEMS);
        items.iter().for_each(an_item_holds);
    }
    if let Some(count) = items_of(text) {
        assert_eq!(items.is_ok(), count <= MAX_ITEMS);
        assert_eq!(Form::Json.items(&format!("{{\"events\":{text}}}")), items);
    }
    if let Ok([_]) = items.as_deref()
        && serde_json::from_str::<BTreeMap<String, &RawValue>>(text)
            .is_ok_and(|fields| !fields.contains_key("events"))
    {
        assert_eq!(Form::Json.items(&format!("[{text}]")), items);
    }
}

/// Metadata has one spelling, which means what was written, is bounded, and fits into PostgreSQL.
pub fn metadata(data: &[u8]) {
    let text = utf8(data);
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else {
        return;
    };
    let Ok(metadata) = Metadata::parse(raw) else {
        return;
    };
    let Some(canonical) = metadata.as_json() else {
        assert!(
            serde_json::from_str::<Value>(text)
                .is_ok_and(|value| value == Value::Null || value == json!({}))
        );
        return;
    };
    assert!(canonical.len() <= MAX_BYTES);
    let raw: &RawValue = serde_json::from_str(canonical).unwrap();
    assert_eq!(Metadata::parse(raw).as_ref(), Ok(&metadata));
    // Not where a number is beyond what serde_json's own holds.
    if let (Ok(before), Ok(after)) = (
        serde_json::from_str::<Value>(text),
        serde_json::from_str::<Value>(canonical),
    ) {
        assert_eq!(before, after);
    }
    postgresql_takes(raw);
}

/// PostgreSQL refuses NUL in text, and a number beyond what its `numeric` holds, and with it every event of the statement.
fn postgresql_takes(raw: &RawValue) {
    match raw.get().as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap();
            assert!(!fields.keys().any(|name| name.contains('\0')), "{raw}");
            fields.into_values().for_each(postgresql_takes);
        }
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(raw.get())
            .unwrap()
            .into_iter()
            .for_each(postgresql_takes),
        Some(b'"') => {
            let text: String = serde_json::from_str(raw.get()).unwrap();
            assert!(!text.contains('\0'), "{raw}");
        }
        Some(b'-' | b'0'..=b'9') => {
            let exponent = raw.get().split_once(['e', 'E']).map_or("0", |(_, e)| e);
            let power: i64 = exponent.parse().unwrap();
            assert!((-308..=308).contains(&power), "{raw}");
        }
        _ => {}
    }
}
