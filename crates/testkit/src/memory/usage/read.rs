//! Reading usage: events sorted into groups, and what the aggregations make of each.

use std::collections::{BTreeMap, BTreeSet};

use bigdecimal::BigDecimal;
use kernel::ProjectId;
use time::OffsetDateTime;
use usage::{
    Aggregation, Buckets, Filter, Meter,
    dimension::read_dims,
    query::{After, UsageQuery, UsageRow, micros},
    rollup::quarter_of,
};
use uuid::Uuid;

use super::StoredEvent;

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
                vec![String::new(); query.group_by.dimensions.len()],
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
        .map(|(key, (meter, events))| row(key, meter, query, &events))
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
        && is_let_through(event, &query.filter)
}

/// What names no alternative lets everything through.
fn is_let_through(event: &StoredEvent, filter: &Filter) -> bool {
    let said = &event.metered.event;
    let text = |wanted: &BTreeSet<String>, text: Option<&String>| {
        wanted.is_empty() || wanted.contains(text.map_or("", String::as_str))
    };
    let projects = &filter.projects;
    (projects.is_empty() || projects.contains(&said.project_id))
        && text(&filter.users, said.user_id.as_ref())
        && text(&filter.models, said.model.as_ref())
        && (filter.dimensions.is_empty() || {
            let dims = read_dims(event.metered.dims.as_deref());
            let mut wanted = filter.dimensions.iter();
            wanted.all(|(name, values)| text(values, dims.get(name)))
        })
}

fn group_of(event: &StoredEvent, meter: &Meter, query: &UsageQuery) -> After {
    let by = &query.group_by;
    let said = &event.metered.event;
    let text = |wanted: bool, text: &Option<String>| {
        let known = text.clone().filter(|_| wanted);
        known.unwrap_or_default()
    };
    let dims = read_dims(event.metered.dims.as_deref());
    let dims = by.dimensions.iter().map(|name| dims.get(name).cloned());
    (
        meter.key.clone(),
        bucket_of(&query.buckets, event.metered.occurred_at),
        said.project_id
            .filter(|_| by.project)
            .map_or(Uuid::nil(), ProjectId::as_uuid),
        text(by.user, &said.user_id),
        text(by.model, &said.model),
        dims.map(Option::unwrap_or_default).collect(),
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

fn row(key: After, meter: &Meter, query: &UsageQuery, events: &[&StoredEvent]) -> UsageRow {
    let (metric, bucket, project_id, user_id, model, dims) = key;
    let known = |text: String| Some(text).filter(|text| !text.is_empty());
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
        user_id: known(user_id),
        model: known(model),
        dimensions: (query.group_by.dimensions.iter().cloned())
            .zip(dims.into_iter().map(known))
            .collect(),
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
            let values = events.iter().filter_map(|event| event.metered.value_hash);
            number(values.collect::<BTreeSet<Uuid>>().len())
        }
    }
}
