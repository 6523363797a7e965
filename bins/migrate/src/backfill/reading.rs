//! Making events of a row, by what its columns mean.

use std::{borrow::Cow, collections::BTreeMap};

use csv::StringRecord;
use kernel::{Quantity, Zone};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use time::format_description::well_known::Rfc3339;
use usage::{Item, Rejection, event::MAX_TEXT, import::Entry};

use super::{
    columns::{self, Columns, Measured, at, cell},
    instant,
};

/// The field of the metadata that keeps the project of the source, when it is none of ours.
const SOURCE_PROJECT: &str = "source_project_id";

/// What a row holds.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Whose it is, as the source spells it.
    pub(crate) tenant: Result<String, Rejection>,
    /// Its events, good or bad; none when the tenant cannot be read.
    pub(crate) entries: Vec<Entry>,
}

/// Reads rows of one table.
#[derive(Debug)]
pub(crate) struct RowReader {
    columns: Columns,
    source: String,
    zone: Zone,
    /// Projects are those of Plinth, rather than the source's own.
    projects_are_ours: bool,
}

/// An event in the plain form, as it would be sent.
#[derive(Serialize)]
struct Plain<'a> {
    id: &'a str,
    source: &'a str,
    metric: &'a str,
    quantity: &'a str,
    occurred_at: &'a str,
    user_id: Option<&'a str>,
    model: Option<&'a str>,
    project_id: Option<&'a str>,
    metadata: Option<&'a RawValue>,
}

/// What the events of a row have in common.
struct Shared<'a> {
    id: &'a str,
    occurred_at: String,
    metadata: Option<Cow<'a, RawValue>>,
}

impl RowReader {
    /// Reads rows that have these columns.
    pub(crate) fn new(columns: Columns, source: &str, zone: Zone, projects_are_ours: bool) -> Self {
        Self {
            columns,
            source: source.to_owned(),
            zone,
            projects_are_ours,
        }
    }

    /// Reads a row.
    pub(crate) fn read(&self, row: &StringRecord) -> Reading {
        if row.len() != self.columns.width {
            return Reading::refused(Rejection::new(
                "backfill.wrong_columns",
                "",
                "must have as many columns as the header",
            ));
        }
        let tenant = at(row, &self.columns.tenant).map(str::trim);
        let Some(tenant) = tenant.filter(|name| is_name(name)) else {
            return Reading::refused(Rejection::new(
                "backfill.missing_tenant",
                "",
                "must say whose row it is",
            ));
        };
        let shared = self.shared(row);
        let mut entries = Vec::with_capacity(self.columns.measures.len());
        for measure in &self.columns.measures {
            self.measure(row, measure, &shared, &mut entries);
        }
        if entries.is_empty() {
            entries.push(self.nothing_measured(row));
        }
        Reading {
            tenant: Ok(tenant.to_owned()),
            entries,
        }
    }

    fn nothing_measured(&self, row: &StringRecord) -> Entry {
        let why = Rejection::new(
            "backfill.nothing_measured",
            "",
            "must hold a quantity or a name of a meter",
        );
        Entry {
            metric: String::new(),
            quantity: None,
            item: self.refused(row, why),
        }
    }

    fn refused(&self, row: &StringRecord, why: Rejection) -> Item {
        Item {
            id: cell(row, self.columns.id).map(str::to_owned),
            event: Err(why),
        }
    }

    fn shared<'a>(&self, row: &'a StringRecord) -> Result<Shared<'a>, Rejection> {
        let id = cell(row, self.columns.id).ok_or_else(|| {
            Rejection::new("usage.missing_id", "id", "must be there, and not empty")
        })?;
        let wrong = |message| {
            let column = self.columns.occurred_at.0.clone();
            Rejection::new("usage.invalid_time", column, message)
        };
        let time = cell(row, self.columns.occurred_at.1).ok_or_else(|| wrong("must be there"))?;
        let time = instant::parse(time.trim(), &self.zone)
            .and_then(|at| at.format(&Rfc3339).ok())
            .ok_or_else(|| wrong("must be a time, such as 2025-01-02 03:04:05+00"))?;
        Ok(Shared {
            id,
            occurred_at: time,
            metadata: self.metadata(row)?,
        })
    }

    fn metadata<'a>(&self, row: &'a StringRecord) -> Result<Option<Cow<'a, RawValue>>, Rejection> {
        let unreadable = || Rejection::field("metadata", "must be a JSON object");
        let text = self.columns.metadata.and_then(|place| cell(row, place));
        let given = text.map(serde_json::from_str::<&RawValue>).transpose();
        let given = given.map_err(|_| unreadable())?;
        let theirs = self.columns.project.filter(|_| !self.projects_are_ours);
        let theirs = theirs.and_then(|place| cell(row, place));
        let notes = self
            .columns
            .notes
            .iter()
            .filter_map(|(field, place)| Some((field.as_str(), cell(row, *place)?)))
            .chain(theirs.map(|project| (SOURCE_PROJECT, project)));
        let notes: BTreeMap<&str, &str> = notes.collect();
        if notes.is_empty() {
            return Ok(given.map(Cow::Borrowed));
        }
        let mut fields: BTreeMap<String, Box<RawValue>> = match given {
            Some(raw) if raw.get() != "null" => {
                serde_json::from_str(raw.get()).map_err(|_| unreadable())?
            }
            _ => BTreeMap::new(),
        };
        for (field, text) in notes {
            let text = to_raw_value(text).map_err(|_| unreadable())?;
            fields.entry(field.to_owned()).or_insert(text);
        }
        let fields = to_raw_value(&fields).map_err(|_| unreadable())?;
        Ok(Some(Cow::Owned(fields)))
    }

    fn measure(
        &self,
        row: &StringRecord,
        measure: &Measured,
        shared: &Result<Shared<'_>, Rejection>,
        entries: &mut Vec<Entry>,
    ) {
        let entry = match measure {
            Measured::Row { metric, quantity } => {
                let metric = at(row, metric).unwrap_or_default();
                self.entry(row, shared, None, metric, at(row, quantity).map(str::trim))
            }
            Measured::Column { name, cell, metric } => {
                let Some(quantity) = columns::cell(row, *cell).map(str::trim) else {
                    return;
                };
                self.entry(row, shared, Some(name), metric, Some(quantity))
            }
            Measured::Name { name, cell } => {
                let Some(metric) = columns::cell(row, *cell).map(str::trim) else {
                    return;
                };
                if entries.iter().any(|entry| entry.metric == metric) {
                    return;
                }
                self.entry(row, shared, Some(name), metric, Some("1"))
            }
        };
        entries.push(entry);
    }

    fn entry(
        &self,
        row: &StringRecord,
        shared: &Result<Shared<'_>, Rejection>,
        column: Option<&str>,
        metric: &str,
        quantity: Option<&str>,
    ) -> Entry {
        let item = match (shared, quantity) {
            (Ok(shared), Some(quantity)) => {
                let id = match column {
                    None => Cow::Borrowed(shared.id),
                    Some(column) => Cow::Owned(format!("{}#{column}", shared.id)),
                };
                self.item(row, shared, &id, metric, quantity)
            }
            (Err(rejection), _) => self.refused(row, rejection.clone()),
            (_, None) => {
                let why = Rejection::new("usage.invalid_quantity", "quantity", "must be there");
                self.refused(row, why)
            }
        };
        let read = match &item.event {
            Ok(event) => Some(event.quantity.clone()),
            Err(_) => quantity.and_then(|text| Quantity::parse(text).ok()),
        };
        let metric = if is_name(metric) { metric } else { "" };
        Entry {
            metric: metric.to_owned(),
            quantity: read,
            item,
        }
    }

    /// By the rules for events that are sent: the text is the one that a client would write.
    fn item(
        &self,
        row: &StringRecord,
        shared: &Shared<'_>,
        id: &str,
        metric: &str,
        quantity: &str,
    ) -> Item {
        let optional = |place: Option<usize>| place.and_then(|place| cell(row, place));
        let ours = self.columns.project.filter(|_| self.projects_are_ours);
        let plain = Plain {
            id,
            source: &self.source,
            metric,
            quantity,
            occurred_at: &shared.occurred_at,
            user_id: optional(self.columns.user),
            model: optional(self.columns.model),
            project_id: optional(ours),
            metadata: shared.metadata.as_deref(),
        };
        Item::parse_plain(&serde_json::to_string(&plain).unwrap_or_default())
    }
}

impl Reading {
    /// A row of which nothing can be read.
    pub(crate) const fn refused(rejection: Rejection) -> Self {
        Self {
            tenant: Err(rejection),
            entries: Vec::new(),
        }
    }
}

/// Whether text can be the name of something: what cannot is counted without one.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::backfill::mapping::Mapping;

    fn read(table: &str, header: &str, row: &[&str]) -> Reading {
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        let mapping = Mapping::of_table(table).unwrap();
        let columns = Columns::find(&mapping, &header).unwrap();
        let reader = RowReader::new(columns, "s", Zone::utc(), false);
        reader.read(&StringRecord::from(row.to_vec()))
    }

    fn events(reading: &Reading) -> Vec<String> {
        let entries = reading.entries.iter();
        let event = |entry: &Entry| match &entry.item.event {
            Ok(event) => format!("{} {} {}", event.id, event.metric, event.quantity),
            Err(rejection) => format!("{} {}", rejection.code, rejection.field),
        };
        entries.map(event).collect()
    }

    #[test]
    fn a_row_of_usage_logs_is_one_event() {
        let header = "id,workspace_id,user_id,metric_type,quantity,model,metadata,created_at";
        let row = [
            "7",
            "acme",
            "12",
            "llm_tokens_input",
            "1200",
            "small",
            r#"{"run": 1}"#,
            "2025-01-02 03:04:05.5",
        ];
        let reading = read("usage_logs", header, &row);
        assert_eq!(reading.tenant.as_deref(), Ok("acme"));
        let event = reading.entries[0].item.event.clone().unwrap();
        assert_eq!(event.id, "7");
        assert_eq!(event.user_id.as_deref(), Some("12"));
        assert_eq!(event.model.as_deref(), Some("small"));
        assert_eq!(event.metadata.as_json(), Some(r#"{"run":1}"#));
        assert_eq!(
            event.occurred_at,
            Some(datetime!(2025-01-02 03:04:05.5 UTC))
        );
        let row = ["7", "acme", "", "chat", "", "", "", "2025-01-02 03:04:05"];
        assert_eq!(
            events(&read("usage_logs", header, &row)),
            ["usage.invalid_quantity quantity"]
        );
    }

    #[test]
    fn a_row_of_usage_events_is_an_event_for_each_column_that_holds_something() {
        let header =
            "id,tenant_id,event_type,resource_id,agent_minutes,task_count,api_calls,occurred_at";
        let at = "2025-01-02 03:04:05";
        for (row, expected) in [
            (
                ["e", "t", "workflow_started", "", "", "", "", at],
                vec!["e#event_type workflow_started 1"],
            ),
            (
                ["e", "t", "agent_minute", "", "2.50", "", "", at],
                vec!["e#agent_minutes agent_minute 2.5"],
            ),
            (
                ["e", "t", "task_completed", "", "0.25", "3", "4", at],
                vec![
                    "e#agent_minutes agent_minute 0.25",
                    "e#task_count task_completed 3",
                    "e#api_calls api_calls 4",
                ],
            ),
            (
                ["e", "t", "task_completed", "", "", "", "", at],
                vec!["e#event_type task_completed 1"],
            ),
            (
                ["e", "t", "", "", "", "", "", at],
                vec!["backfill.nothing_measured "],
            ),
        ] {
            assert_eq!(events(&read("usage_events", header, &row)), expected);
        }
    }

    #[test]
    fn a_row_of_token_usage_counts_tokens_and_what_they_were_used_for() {
        let header =
            "id,workspace_id,project_id,chat_id,tokens_used,usage_type,created_at,created_by";
        let row = [
            "e",
            "t",
            "p1",
            "c1",
            "512",
            "chat",
            "2025-01-02 03:04:05+00",
            "ann",
        ];
        let reading = read("token_usage", header, &row);
        assert_eq!(
            events(&reading),
            ["e#tokens_used tokens 512", "e#usage_type chat 1"]
        );
        let event = reading.entries[0].item.event.clone().unwrap();
        let metadata = r#"{"chat_id":"c1","source_project_id":"p1","usage_type":"chat"}"#;
        assert_eq!(event.metadata.as_json(), Some(metadata));
        assert_eq!(event.user_id.as_deref(), Some("ann"));
    }

    #[test]
    fn a_bad_row_is_refused_by_the_rule_that_it_breaks() {
        let header = "id,tenant_id,metric,quantity,metadata,occurred_at";
        let at = "2025-01-02 03:04:05";
        for (row, expected) in [
            (["", "t", "chat", "1", "", at], "usage.missing_id id"),
            (["e", "t", "", "1", "", at], "usage.unknown_metric metric"),
            (
                ["e", "t", "chat", "one", "", at],
                "usage.invalid_quantity quantity",
            ),
            (
                ["e", "t", "chat", "0.0000000000001", "", at],
                "usage.quantity_too_precise quantity",
            ),
            (
                ["e", "t", "chat", "1", "{", at],
                "usage.invalid_field metadata",
            ),
            (
                ["e", "t", "chat", "1", "[]", at],
                "usage.invalid_field metadata",
            ),
            (
                ["e", "t", "chat", "1", "", "yesterday"],
                "usage.invalid_time occurred_at",
            ),
            (
                ["e", "t", "chat", "1", "", ""],
                "usage.invalid_time occurred_at",
            ),
        ] {
            assert_eq!(events(&read("metered_events", header, &row)), [expected]);
        }
        let short = read("metered_events", header, &["e", "t"]);
        assert_eq!(short.tenant.unwrap_err().code, "backfill.wrong_columns");
        let nobody = read("metered_events", header, &["e", "", "chat", "1", "", at]);
        assert_eq!(nobody.tenant.unwrap_err().code, "backfill.missing_tenant");
    }
}
