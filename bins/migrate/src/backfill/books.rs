//! The books of an import: what the source holds against what the tenants have of it.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use kernel::TenantId;
use serde::{Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use usage::{
    Status,
    import::{Entry, ImportTotal, Imported},
};

/// Events and their sum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sum {
    pub(crate) events: i128,
    #[serde(serialize_with = "plain")]
    pub(crate) quantity: BigDecimal,
}

/// Events, their sum, and when the first and the last of them happened.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Span {
    #[serde(flatten)]
    pub(crate) sum: Sum,
    #[serde(serialize_with = "instant")]
    pub(crate) first_at: Option<OffsetDateTime>,
    #[serde(serialize_with = "instant")]
    pub(crate) last_at: Option<OffsetDateTime>,
}

/// One tenant and metric.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Line {
    /// What the source holds.
    pub(crate) source: Span,
    /// What the tenant has, counted from its events.
    pub(crate) plinth: Span,
    /// What the import wrote.
    pub(crate) accepted: Sum,
    /// What was there before, or twice in the source.
    pub(crate) duplicates: Sum,
    /// What stands for another event already.
    pub(crate) conflicts: Sum,
    /// What broke a rule.
    pub(crate) rejected: Sum,
    /// What is missing: of the source, neither refused nor there. Nothing but zero is right.
    pub(crate) difference: Sum,
}

/// The books, by tenant and metric.
#[derive(Debug, Default)]
pub(crate) struct Books {
    lines: BTreeMap<TenantId, BTreeMap<String, Line>>,
}

fn plain<S: Serializer>(quantity: &BigDecimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&quantity.normalized().to_plain_string())
}

fn instant<S: Serializer>(at: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    at.and_then(|at| at.format(&Rfc3339).ok())
        .serialize(serializer)
}

impl Sum {
    fn add(&mut self, events: i128, quantity: &BigDecimal) {
        self.events += events;
        self.quantity += quantity;
    }

    fn less(&self, other: &Self) -> Self {
        Self {
            events: self.events - other.events,
            quantity: &self.quantity - &other.quantity,
        }
    }

    /// Whether there is nothing.
    pub(crate) fn is_zero(&self) -> bool {
        self.events == 0 && self.quantity == BigDecimal::default()
    }
}

impl Books {
    /// Counts an event of the source.
    pub(crate) fn count(&mut self, tenant_id: TenantId, entry: &Entry) {
        let lines = self.lines.entry(tenant_id).or_default();
        if !lines.contains_key(&entry.metric) {
            lines.insert(entry.metric.clone(), Line::default());
        }
        let Some(line) = lines.get_mut(&entry.metric) else {
            return;
        };
        let span = &mut line.source;
        match &entry.quantity {
            Some(quantity) => span.sum.add(1, quantity.as_decimal()),
            None => span.sum.events += 1,
        }
        if let Some(at) = entry.item.event.as_ref().ok().and_then(|it| it.occurred_at) {
            span.first_at = Some(span.first_at.map_or(at, |first| first.min(at)));
            span.last_at = Some(span.last_at.map_or(at, |last| last.max(at)));
        }
    }

    /// Enters what became of events.
    pub(crate) fn settle(&mut self, tenant_id: TenantId, totals: &[ImportTotal]) {
        let lines = self.lines.entry(tenant_id).or_default();
        for total in totals {
            let line = lines.entry(total.metric.clone()).or_default();
            let sum = match total.status {
                Status::Accepted => &mut line.accepted,
                Status::Duplicate => &mut line.duplicates,
                Status::Conflict => &mut line.conflicts,
                Status::Rejected => &mut line.rejected,
            };
            sum.add(total.events.into(), &total.quantity);
        }
    }

    /// Enters what a tenant has.
    pub(crate) fn enter(&mut self, tenant_id: TenantId, imported: Vec<Imported>) {
        let lines = self.lines.entry(tenant_id).or_default();
        for Imported {
            metric,
            events,
            quantity,
            first_at,
            last_at,
        } in imported
        {
            let line = lines.entry(metric).or_default();
            line.plinth.sum.add(events.into(), &quantity);
            line.plinth.first_at = Some(first_at);
            line.plinth.last_at = Some(last_at);
        }
    }

    /// Works out what is missing.
    pub(crate) fn close(&mut self) {
        for line in self.lines.values_mut().flat_map(BTreeMap::values_mut) {
            let refused = [&line.duplicates, &line.conflicts, &line.rejected];
            let left = refused
                .into_iter()
                .fold(line.source.sum.clone(), |left, sum| left.less(sum));
            line.difference = left.less(&line.plinth.sum);
        }
    }

    /// Whether everything is accounted for.
    pub(crate) fn balance(&self) -> bool {
        self.lines().all(|(_, _, line)| line.difference.is_zero())
    }

    /// Every line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (TenantId, &str, &Line)> {
        self.lines.iter().flat_map(|(tenant_id, lines)| {
            lines
                .iter()
                .map(|(metric, line)| (*tenant_id, metric.as_str(), line))
        })
    }

    /// Every tenant that the source has events of.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        self.lines.keys().copied().collect()
    }

    /// The sum over every line of one column.
    pub(crate) fn events(&self, column: impl Fn(&Line) -> &Sum) -> i128 {
        self.lines().map(|(_, _, line)| column(line).events).sum()
    }
}

#[cfg(test)]
mod tests {
    use kernel::Quantity;
    use usage::{Item, Rejection};

    use super::*;

    #[test]
    fn what_is_neither_there_nor_refused_is_missing() {
        let tenant_id: TenantId = "01900000-0000-7000-8000-000000000001".parse().unwrap();
        let mut books = Books::default();
        for quantity in [Some(2), Some(3), Some(5), None] {
            let entry = Entry {
                metric: "chat".to_owned(),
                quantity: quantity.map(Quantity::from),
                item: Item {
                    id: None,
                    event: Err(Rejection::field("x", "y")),
                },
            };
            books.count(tenant_id, &entry);
        }
        let total = |status, events, quantity: i64| ImportTotal {
            metric: "chat".to_owned(),
            status,
            events,
            quantity: quantity.into(),
        };
        books.settle(
            tenant_id,
            &[
                total(Status::Rejected, 1, 0),
                total(Status::Duplicate, 1, 2),
                total(Status::Accepted, 2, 8),
            ],
        );
        let mut missing = Books {
            lines: books.lines.clone(),
        };
        missing.close();
        assert!(!missing.balance());
        let (_, _, line) = missing.lines().next().unwrap();
        assert_eq!(
            line.difference,
            Sum {
                events: 2,
                quantity: 8.into()
            }
        );
        let at = OffsetDateTime::UNIX_EPOCH;
        let imported = Imported {
            metric: "chat".to_owned(),
            events: 2,
            quantity: 8.into(),
            first_at: at,
            last_at: at,
        };
        books.enter(tenant_id, vec![imported]);
        books.close();
        assert!(books.balance());
    }
}
