//! What usage must be: the same questions, asked of a list of facts with nothing but loops, whole numbers and a clock on the wall.

use std::collections::{BTreeMap, BTreeSet};

use bigdecimal::BigDecimal;
use kernel::{ProjectId, Quantity, Zone};
use time::{Duration, OffsetDateTime};
use usage::{
    Aggregation, Buckets, Filter, Granularity, Meter, UsageRow, ingest::MeteredEvent,
    query::UsageQuery,
};
use uuid::Uuid;

/// A quarter of an hour, which every offset of every zone is made of.
const QUARTER: Duration = Duration::minutes(15);

/// One event, as its maker remembers it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) meter: Meter,
    pub(super) at: OffsetDateTime,
    pub(super) received_at: OffsetDateTime,
    pub(super) dedup: Uuid,
    /// The quantity, in millionths of a millionth.
    pub(super) units: i128,
    pub(super) project_id: Option<ProjectId>,
    pub(super) user_id: Option<String>,
    pub(super) model: Option<String>,
    /// What a meter that counts different values counts.
    pub(super) who: Option<String>,
    /// Where it happened, which some meters tell their usage apart by.
    pub(super) region: Option<String>,
    /// How well it was paid for, which fewer do.
    pub(super) tier: Option<u64>,
}

impl Known {
    /// The event, as a store takes it.
    pub(super) fn to_event(&self, id: &str) -> MeteredEvent<'static> {
        let said = serde_json::json!({
            "id": id,
            "metric": self.meter.key,
            "quantity": quantity(self.units),
            "project_id": self.project_id.map(|id| id.to_string()),
            "user_id": self.user_id,
            "model": self.model,
            "metadata": { "who": self.who, "region": self.region, "tier": self.tier },
        });
        let event = usage::Item::parse_plain(&said.to_string()).event.unwrap();
        super::usage_fixture::metered(&self.meter, event, self.at)
    }

    /// The value of a dimension, if the meter has it.
    fn dimension(&self, name: &str) -> Option<String> {
        let value = match name {
            "region" => self.region.clone(),
            "tier" => self.tier.map(|tier| tier.to_string()),
            _ => None,
        };
        value.filter(|_| self.meter.dimensions.iter().any(|known| known == name))
    }

    /// Whether one of the alternatives of each dimension that is narrowed down holds.
    fn passes(&self, filter: &Filter) -> bool {
        let is_one_of = |wanted: &BTreeSet<String>, text: Option<String>| {
            wanted.is_empty() || wanted.contains(&text.unwrap_or_default())
        };
        (filter.projects.is_empty() || filter.projects.contains(&self.project_id))
            && is_one_of(&filter.users, self.user_id.clone())
            && is_one_of(&filter.models, self.model.clone())
            && (filter.dimensions.iter())
                .all(|(name, values)| is_one_of(values, self.dimension(name)))
    }

    /// What an answer tells it apart by.
    fn group(&self, query: &UsageQuery) -> Group {
        let group_by = &query.group_by;
        let names = group_by.dimensions.iter();
        Group {
            metric: self.meter.key.clone(),
            bucket: bucket_of(query, self.at),
            project_id: self.project_id.filter(|_| group_by.project),
            user_id: self.user_id.clone().filter(|_| group_by.user),
            model: self.model.clone().filter(|_| group_by.model),
            dimensions: names
                .map(|name| (name.clone(), self.dimension(name)))
                .collect(),
        }
    }
}

/// The order of its fields is the order of answers; what is not known comes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    metric: String,
    bucket: OffsetDateTime,
    project_id: Option<ProjectId>,
    user_id: Option<String>,
    model: Option<String>,
    dimensions: BTreeMap<String, Option<String>>,
}

/// Meters, each once.
pub(super) fn by_key(mut meters: Vec<Meter>) -> Vec<Meter> {
    meters.sort_by(|a, b| a.key.cmp(&b.key));
    meters.dedup();
    meters
}

pub(super) fn quantity(units: i128) -> Quantity {
    BigDecimal::new(units.into(), 12).into()
}

/// The whole answer to a question.
pub(super) fn answer(known: &[Known], query: &UsageQuery) -> Vec<UsageRow> {
    let mut asked: Vec<(Group, &Known)> = Vec::new();
    for fact in known {
        let is_in_range = query.from <= fact.at && fact.at < query.to;
        let is_wanted = query.meters.iter().any(|meter| meter.id == fact.meter.id);
        let is_of_project = query.project_id.is_none() || query.project_id == fact.project_id;
        if is_in_range && is_wanted && is_of_project && fact.passes(&query.filter) {
            asked.push((fact.group(query), fact));
        }
    }
    let mut groups: Vec<Group> = asked.iter().map(|(group, _)| group.clone()).collect();
    if query.with_empty {
        groups.extend(query.meters.iter().map(|meter| Group {
            metric: meter.key.clone(),
            bucket: bucket_of(query, query.from),
            project_id: None,
            user_id: None,
            model: None,
            dimensions: BTreeMap::new(),
        }));
    }
    groups.sort();
    groups.dedup();
    groups
        .into_iter()
        .map(|group| {
            let members = asked.iter().filter(|(of, _)| *of == group);
            let members: Vec<&Known> = members.map(|(_, fact)| *fact).collect();
            let mut meters = query.meters.iter();
            let meter = meters.find(|meter| meter.key == group.metric).unwrap();
            UsageRow {
                quantity: total(meter, &members),
                aggregation: meter.aggregation,
                unit: meter.unit.clone(),
                metric: group.metric,
                bucket: group.bucket,
                project_id: group.project_id,
                user_id: group.user_id,
                model: group.model,
                dimensions: group.dimensions,
            }
        })
        .collect()
}

/// What a meter makes of events; nought of none.
pub(super) fn total(meter: &Meter, members: &[&Known]) -> Quantity {
    let mut units = 0;
    let mut latest = None;
    let mut seen: Vec<&str> = Vec::new();
    for (place, fact) in members.iter().enumerate() {
        let age = (fact.at, fact.received_at, fact.dedup);
        match meter.aggregation {
            Aggregation::Sum => units += fact.units,
            Aggregation::Count => units += 1_000_000_000_000,
            Aggregation::Max if place == 0 || fact.units > units => units = fact.units,
            Aggregation::Min if place == 0 || fact.units < units => units = fact.units,
            Aggregation::Latest if latest < Some(age) => {
                latest = Some(age);
                units = fact.units;
            }
            Aggregation::Unique => {
                if let Some(who) = fact.who.as_deref().filter(|who| !seen.contains(who)) {
                    seen.push(who);
                    units += 1_000_000_000_000;
                }
            }
            _ => {}
        }
    }
    quantity(units)
}

/// How a range is cut, found by walking over it and looking at the clock every quarter of an hour.
pub(super) fn cut(
    from: OffsetDateTime,
    to: OffsetDateTime,
    granularity: Granularity,
    zone: &Zone,
) -> Buckets {
    let clock = |at: OffsetDateTime| {
        let local = zone.localise(at);
        let (year, day, month) = (local.year(), local.ordinal(), u8::from(local.month()));
        match granularity {
            Granularity::Hour => (local.offset().whole_seconds(), year, day, local.hour()),
            Granularity::Day => (0, year, day, 0),
            _ => (0, year, 0, month),
        }
    };
    match granularity {
        Granularity::Quarter => return Buckets::Quarters,
        Granularity::Total => return Buckets::At(vec![from]),
        _ => {}
    }
    let mut at = quarter_of(from);
    let around = clock(at);
    while clock(at - QUARTER) == around {
        at -= QUARTER;
    }
    let mut starts = vec![at];
    while at < to {
        if clock(at) != clock(*starts.last().unwrap()) {
            starts.push(at);
        }
        at += QUARTER;
    }
    Buckets::At(starts)
}

fn bucket_of(query: &UsageQuery, at: OffsetDateTime) -> OffsetDateTime {
    match &query.buckets {
        Buckets::Quarters => quarter_of(at),
        Buckets::At(starts) => {
            let mut bucket = starts[0];
            for start in starts {
                if *start <= at {
                    bucket = *start;
                }
            }
            bucket
        }
    }
}

fn quarter_of(at: OffsetDateTime) -> OffsetDateTime {
    let seconds = at.unix_timestamp();
    OffsetDateTime::from_unix_timestamp(seconds - seconds.rem_euclid(900)).unwrap()
}
