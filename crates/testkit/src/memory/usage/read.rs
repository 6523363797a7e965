//! Reading usage: events sorted into groups, and what the aggregations make of each.

use std::collections::{BTreeMap, BTreeSet};

use bigdecimal::BigDecimal;
use kernel::ProjectId;
use time::OffsetDateTime;
use usage::{
    Aggregation, Buckets, GroupBy, Meter,
    query::{After, UsageQuery, UsageRow, micros},
};
use uuid::Uuid;

use super::{StoredEvent, quarter_of};

/// The answers to `query`, in the order of [`After`], at most `limit` behind `after`.
pub(super) fn rows<'a>(
    events: impl Iterator<Item = &'a StoredEvent>,
    query: &UsageQuery,
    after: Option<&After>,
    limit: u32,
) -> Vec<UsageRow> {
    let mut groups: BTreeMap<After, (&Meter, Vec<&StoredEvent>)> = BTreeMap::new();
    if query.with_empty {
        for meter in &query.meters {
            let key = (
                meter.key.clone(),
                bucket_of(&query.buckets, query.from),
                Uuid::nil(),
                String::new(),
                String::new(),
            );
            groups.insert(key, (meter, Vec::new()));
        }
    }
    for event in events.filter(|event| is_asked_for(event, query)) {
        let metered = &event.metered;
        let mut meters = query.meters.iter();
        if let Some(meter) = meters.find(|meter| meter.id == metered.meter_id) {
            let group = groups.entry(group_of(event, meter, query));
            group.or_insert((meter, Vec::new())).1.push(event);
        }
    }
    groups
        .into_iter()
        .filter(|(key, _)| after.is_none_or(|after| key > after))
        .take(limit as usize)
        .map(|(key, (meter, events))| row(key, meter, &events))
        .collect()
}

fn is_asked_for(event: &StoredEvent, query: &UsageQuery) -> bool {
    let at = event.metered.occurred_at;
    let project_id = event.metered.event.project_id;
    at >= query.from
        && at < query.to
        && query
            .project_id
            .is_none_or(|wanted| project_id == Some(wanted))
}

fn group_of(event: &StoredEvent, meter: &Meter, query: &UsageQuery) -> After {
    let GroupBy {
        project,
        user,
        model,
    } = query.group_by;
    let said = &event.metered.event;
    let text = |wanted: bool, text: &Option<String>| {
        let known = text.clone().filter(|_| wanted);
        known.unwrap_or_default()
    };
    (
        meter.key.clone(),
        bucket_of(&query.buckets, event.metered.occurred_at),
        said.project_id
            .filter(|_| project)
            .map_or(Uuid::nil(), ProjectId::as_uuid),
        text(user, &said.user_id),
        text(model, &said.model),
    )
}

/// The start of the bucket around an instant, in microseconds since 1970.
fn bucket_of(buckets: &Buckets, at: OffsetDateTime) -> i64 {
    let start = match buckets {
        Buckets::Quarters => quarter_of(at),
        Buckets::At(starts) => {
            let last = starts.iter().rfind(|start| **start <= at);
            last.copied().unwrap_or(at)
        }
    };
    micros(start)
}

fn row(key: After, meter: &Meter, events: &[&StoredEvent]) -> UsageRow {
    let (metric, bucket, project_id, user_id, model) = key;
    let bucket = OffsetDateTime::from_unix_timestamp_nanos(i128::from(bucket) * 1000);
    UsageRow {
        metric,
        aggregation: meter.aggregation,
        unit: meter.unit.clone(),
        bucket: crate::must("reading the start of a bucket", bucket),
        quantity: quantity(meter, events).into(),
        project_id: Some(project_id)
            .filter(|id| !id.is_nil())
            .map(ProjectId::from),
        user_id: Some(user_id).filter(|user| !user.is_empty()),
        model: Some(model).filter(|model| !model.is_empty()),
    }
}

/// What the meter's aggregation makes of events; nought of none.
pub(super) fn quantity(meter: &Meter, events: &[&StoredEvent]) -> BigDecimal {
    let quantities = events.iter().map(|event| event.quantity());
    let number = |count: usize| BigDecimal::from(u64::try_from(count).unwrap_or(u64::MAX));
    match meter.aggregation {
        Aggregation::Sum => quantities.sum(),
        Aggregation::Count => number(events.len()),
        Aggregation::Max => quantities.max().cloned().unwrap_or_default(),
        Aggregation::Min => quantities.min().cloned().unwrap_or_default(),
        Aggregation::Latest => {
            let latest = events.iter().max_by_key(|event| event.age());
            latest.map_or_else(BigDecimal::default, |event| event.quantity().clone())
        }
        Aggregation::Unique => {
            let values = events.iter().filter_map(|event| value(meter, event));
            number(values.collect::<BTreeSet<String>>().len())
        }
    }
}

/// The text of the field that the meter counts: of the event's own, and otherwise of its metadata.
fn value(meter: &Meter, event: &StoredEvent) -> Option<String> {
    let (name, said) = (meter.value_field.as_deref()?, &event.metered.event);
    let own = match name {
        "user_id" => said.user_id.clone(),
        "model" => said.model.clone(),
        "project_id" => said.project_id.map(|id| id.to_string()),
        _ => None,
    };
    own.or_else(|| said.metadata.field(name).map(as_text))
}

/// As PostgreSQL's `->>` reads JSON: strings without their quotes, numbers without exponents.
fn as_text(json: String) -> String {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(&json).unwrap_or(json),
        Some(b'-' | b'0'..=b'9') => json
            .parse::<BigDecimal>()
            .map_or(json, |number| number.to_plain_string()),
        _ => json,
    }
}
