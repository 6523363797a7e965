//! What the columns of a table mean: known tables, and tables that somebody describes.

use std::collections::BTreeMap;

use serde::Serialize;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Value {
    /// A column of the row.
    Column(String),
    /// The same for every row.
    Constant(String),
}

/// One way in which a row becomes an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// The row is one event, under the row's id.
    Row {
        /// The meter's key.
        metric: Value,
        /// How much. It must be there.
        quantity: Value,
    },
    /// A column holds a quantity: an event, when there is something in it. Its id is the row's, `#` and the column's name.
    Column {
        /// The column.
        column: String,
        /// The meter's key.
        metric: String,
        /// Whether the table may lack the column.
        optional: bool,
    },
    /// A column names a meter: one of it, unless another column of the row measured that same meter. Its id is as above.
    Name {
        /// The column.
        column: String,
    },
}

/// What the columns of a table mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Mapping {
    /// The row's key.
    pub(crate) id: String,
    /// Whose row it is.
    pub(crate) tenant: Value,
    /// When it happened.
    pub(crate) occurred_at: String,
    /// By whom.
    pub(crate) user: Option<String>,
    /// With which model.
    pub(crate) model: Option<String>,
    /// In which project.
    pub(crate) project: Option<String>,
    /// A JSON object of other things.
    pub(crate) metadata: Option<String>,
    /// Columns that become fields of the metadata, by the field.
    pub(crate) notes: BTreeMap<String, String>,
    /// What the row measures.
    pub(crate) measures: Vec<Measure>,
}

/// Why a mapping is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MappingError {
    #[error(
        "`{0}` is not a table that is known; say what its columns mean with --map, as in --map id=id,tenant=workspace_id,occurred_at=created_at,metric=event_name,quantity=qty"
    )]
    UnknownTable(String),
    #[error("`{0}` in --map is not of the form field=column")]
    Pair(String),
    #[error(
        "`{0}` is not a field that --map knows: id, tenant, occurred_at, metric, quantity, user, model, project, metadata, metadata.<field>"
    )]
    Field(String),
    #[error("--map names `{0}` twice")]
    Twice(String),
    #[error("--map must say which column is the {0}")]
    Missing(&'static str),
    #[error("`{0}` in --measure is not of the form metric=column")]
    Measure(String),
    #[error("say either metric and quantity in --map, or --measure, not both")]
    Both,
    #[error("the {0} must be a column, not the same for every row")]
    Constant(&'static str),
}

fn column(name: &str) -> Value {
    Value::Column(name.to_owned())
}

fn some(name: &str) -> Option<String> {
    Some(name.to_owned())
}

fn measured(name: &str, metric: &str, optional: bool) -> Measure {
    Measure::Column {
        column: name.to_owned(),
        metric: metric.to_owned(),
        optional,
    }
}

fn named(name: &str) -> Measure {
    Measure::Name {
        column: name.to_owned(),
    }
}

fn notes(names: &[&str]) -> BTreeMap<String, String> {
    let pairs = names
        .iter()
        .map(|name| ((*name).to_owned(), (*name).to_owned()));
    pairs.collect()
}

fn usage_logs(base: Mapping) -> Mapping {
    Mapping {
        user: some("user_id"),
        model: some("model"),
        metadata: some("metadata"),
        measures: vec![Measure::Row {
            metric: column("metric_type"),
            quantity: column("quantity"),
        }],
        ..base
    }
}

fn usage_events(base: Mapping) -> Mapping {
    Mapping {
        tenant: column("tenant_id"),
        occurred_at: "occurred_at".to_owned(),
        notes: notes(&["resource_id"]),
        measures: vec![
            measured("agent_minutes", "agent_minute", false),
            measured("task_count", "task_completed", false),
            measured("api_calls", "api_calls", false),
            named("event_type"),
        ],
        ..base
    }
}

fn metered_events(base: Mapping) -> Mapping {
    Mapping {
        tenant: column("tenant_id"),
        occurred_at: "occurred_at".to_owned(),
        project: some("project_id"),
        metadata: some("metadata"),
        measures: vec![Measure::Row {
            metric: column("metric"),
            quantity: column("quantity"),
        }],
        ..base
    }
}

fn token_usage(base: Mapping) -> Mapping {
    Mapping {
        user: some("created_by"),
        project: some("project_id"),
        notes: notes(&["chat_id", "usage_type"]),
        measures: vec![
            measured("tokens_used", "tokens", false),
            measured("prompt_tokens", "llm_tokens_input", true),
            measured("completion_tokens", "llm_tokens_output", true),
            named("usage_type"),
        ],
        ..base
    }
}

impl Mapping {
    /// A table that is known.
    pub(crate) fn of_table(table: &str) -> Option<Self> {
        let base = Self {
            id: "id".to_owned(),
            tenant: column("workspace_id"),
            occurred_at: "created_at".to_owned(),
            user: None,
            model: None,
            project: None,
            metadata: None,
            notes: BTreeMap::new(),
            measures: Vec::new(),
        };
        match table.rsplit('.').next().unwrap_or(table) {
            "usage_logs" => Some(usage_logs(base)),
            "usage_events" => Some(usage_events(base)),
            "metered_events" => Some(metered_events(base)),
            "token_usage" => Some(token_usage(base)),
            _ => None,
        }
    }

    /// What `--map` and `--measure` say: of any table, or changing what is known of one.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub(crate) fn described(
        table: &str,
        map: &[String],
        measures: &[String],
    ) -> Result<Self, MappingError> {
        let mut said = pairs(map)?;
        let mut mapping = match Self::of_table(table) {
            Some(known) => known,
            None if said.is_empty() => return Err(MappingError::UnknownTable(table.to_owned())),
            None => Self::blank(&said)?,
        };
        let mut put = |field: &'static str, into: &mut String| -> Result<(), MappingError> {
            if let Some(text) = said.remove(field) {
                *into = of_column(field, &text)?;
            }
            Ok(())
        };
        put("id", &mut mapping.id)?;
        put("occurred_at", &mut mapping.occurred_at)?;
        if let Some(text) = said.remove("tenant") {
            mapping.tenant = value(&text);
        }
        let optional = [
            ("user", &mut mapping.user),
            ("model", &mut mapping.model),
            ("project", &mut mapping.project),
            ("metadata", &mut mapping.metadata),
        ];
        for (field, into) in optional {
            if let Some(text) = said.remove(field) {
                *into = Some(of_column(field, &text)?);
            }
        }
        let (metric, quantity) = (said.remove("metric"), said.remove("quantity"));
        mapping.measure(metric, quantity, measures)?;
        for (field, text) in said {
            let note = field.strip_prefix("metadata.").unwrap_or_default();
            mapping.notes.insert(note.to_owned(), text);
        }
        Ok(mapping)
    }

    /// A table that nothing is known of.
    fn blank(said: &BTreeMap<String, String>) -> Result<Self, MappingError> {
        let must = |field: &'static str| {
            let text = said.get(field).ok_or(MappingError::Missing(field))?;
            Ok(text.clone())
        };
        Ok(Self {
            id: must("id")?,
            tenant: value(&must("tenant")?),
            occurred_at: must("occurred_at")?,
            user: None,
            model: None,
            project: None,
            metadata: None,
            notes: BTreeMap::new(),
            measures: Vec::new(),
        })
    }

    fn measure(
        &mut self,
        metric: Option<String>,
        quantity: Option<String>,
        measures: &[String],
    ) -> Result<(), MappingError> {
        if !measures.is_empty() {
            if metric.is_some() || quantity.is_some() {
                return Err(MappingError::Both);
            }
            let read = |text: &String| match text.split_once('=') {
                Some((metric, column)) if !metric.is_empty() && !column.is_empty() => {
                    Ok(measured(column, metric, false))
                }
                _ => Err(MappingError::Measure(text.clone())),
            };
            self.measures = measures.iter().map(read).collect::<Result<_, _>>()?;
            return Ok(());
        }
        let before = match self.measures.first() {
            Some(Measure::Row { metric, quantity }) => Some((metric.clone(), quantity.clone())),
            _ => None,
        };
        if metric.is_none() && quantity.is_none() && !self.measures.is_empty() {
            return Ok(());
        }
        let (old_metric, old_quantity) = before.unzip();
        let metric = metric.as_deref().map(value).or(old_metric);
        let quantity = quantity.as_deref().map(value).or(old_quantity);
        self.measures = vec![Measure::Row {
            metric: metric.ok_or(MappingError::Missing("metric"))?,
            quantity: quantity.ok_or(MappingError::Missing("quantity"))?,
        }];
        Ok(())
    }

    /// Every column that is read, each once, and whether the table may lack it.
    pub(crate) fn columns(&self) -> Vec<(&str, bool)> {
        let mut columns: Vec<(&str, bool)> = vec![(&self.id, false), (&self.occurred_at, false)];
        columns.extend(self.tenant.column().map(|name| (name, false)));
        // What only describes an event may be left out of an export.
        let described = [&self.user, &self.model, &self.project, &self.metadata];
        let described = described.into_iter().flatten().map(String::as_str);
        columns.extend(described.map(|name| (name, true)));
        columns.extend(self.notes.values().map(|name| (name.as_str(), true)));
        for measure in &self.measures {
            match measure {
                Measure::Row { metric, quantity } => {
                    let values = [metric, quantity].into_iter().filter_map(Value::column);
                    columns.extend(values.map(|name| (name, false)));
                }
                Measure::Column {
                    column, optional, ..
                } => columns.push((column, *optional)),
                Measure::Name { column } => columns.push((column, false)),
            }
        }
        let mut once: BTreeMap<&str, bool> = BTreeMap::new();
        for (name, optional) in columns {
            once.entry(name)
                .and_modify(|may_lack| *may_lack &= optional)
                .or_insert(optional);
        }
        once.into_iter().collect()
    }
}

impl Value {
    fn column(&self) -> Option<&str> {
        match self {
            Self::Column(name) => Some(name),
            Self::Constant(_) => None,
        }
    }
}

/// `@text` is the same for every row, anything else is a column.
fn value(text: &str) -> Value {
    text.strip_prefix('@').map_or_else(
        || Value::Column(text.to_owned()),
        |text| Value::Constant(text.to_owned()),
    )
}

fn of_column(field: &'static str, text: &str) -> Result<String, MappingError> {
    match value(text) {
        Value::Column(name) => Ok(name),
        Value::Constant(_) => Err(MappingError::Constant(field)),
    }
}

fn pairs(map: &[String]) -> Result<BTreeMap<String, String>, MappingError> {
    const FIELDS: [&str; 9] = [
        "id",
        "tenant",
        "occurred_at",
        "metric",
        "quantity",
        "user",
        "model",
        "project",
        "metadata",
    ];
    let mut said = BTreeMap::new();
    for pair in map {
        let (field, text) = match pair.split_once('=') {
            Some((field, text)) if !text.is_empty() && text != "@" => (field.trim(), text.trim()),
            _ => return Err(MappingError::Pair(pair.clone())),
        };
        let is_note = field
            .strip_prefix("metadata.")
            .is_some_and(|it| !it.is_empty());
        if !is_note && !FIELDS.contains(&field) {
            return Err(MappingError::Field(field.to_owned()));
        }
        if said.insert(field.to_owned(), text.to_owned()).is_some() {
            return Err(MappingError::Twice(field.to_owned()));
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(table: &str, map: &str, measures: &[&str]) -> Result<Mapping, MappingError> {
        let map: Vec<String> = map
            .split(',')
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect();
        let measures: Vec<String> = measures.iter().map(|it| (*it).to_owned()).collect();
        Mapping::described(table, &map, &measures)
    }

    #[test]
    fn a_table_that_is_not_known_needs_to_be_described() {
        let unknown = described("clicks", "", &[]).unwrap_err();
        assert_eq!(unknown, MappingError::UnknownTable("clicks".to_owned()));
        let mapping = described(
            "clicks",
            "id=uuid,tenant=account,occurred_at=at,metric=@api_calls,quantity=@1,metadata.page=url",
            &[],
        )
        .unwrap();
        assert_eq!(mapping.tenant, column("account"));
        assert_eq!(mapping.notes["page"], "url");
        assert_eq!(
            mapping.measures,
            [Measure::Row {
                metric: Value::Constant("api_calls".to_owned()),
                quantity: Value::Constant("1".to_owned()),
            }]
        );
        let names: Vec<&str> = mapping
            .columns()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["account", "at", "url", "uuid"]);
    }

    #[test]
    fn one_row_may_be_measured_by_several_columns() {
        let map = "id=id,tenant=org,occurred_at=at";
        let measures = ["llm_tokens_input=prompt", "llm_tokens_output=completion"];
        let mapping = described("calls", map, &measures).unwrap();
        assert_eq!(mapping.measures.len(), 2);
        let both = described(
            "calls",
            "id=id,tenant=org,occurred_at=at,metric=m",
            &measures,
        );
        assert_eq!(both.unwrap_err(), MappingError::Both);
    }

    #[test]
    fn what_is_known_of_a_table_can_be_changed() {
        let mapping = described("app.usage_logs", "occurred_at=logged_at", &[]).unwrap();
        assert_eq!(mapping.occurred_at, "logged_at");
        assert_eq!(
            mapping.measures,
            Mapping::of_table("usage_logs").unwrap().measures
        );
        let mapping = described("usage_logs", "quantity=amount", &[]).unwrap();
        assert_eq!(
            mapping.measures,
            [Measure::Row {
                metric: column("metric_type"),
                quantity: column("amount"),
            }]
        );
    }

    #[test]
    fn a_map_with_a_slip_in_it_is_refused() {
        let base = "id=id,tenant=t,occurred_at=at";
        for (map, error) in [
            ("id".to_owned(), MappingError::Pair("id".to_owned())),
            ("idd=x".to_owned(), MappingError::Field("idd".to_owned())),
            ("id=a,id=b".to_owned(), MappingError::Twice("id".to_owned())),
            (
                "id=a,tenant=b".to_owned(),
                MappingError::Missing("occurred_at"),
            ),
            (base.to_owned(), MappingError::Missing("metric")),
            (
                format!("{base},metric=m"),
                MappingError::Missing("quantity"),
            ),
            (
                "id=@7,tenant=t,occurred_at=at,metric=m,quantity=q".to_owned(),
                MappingError::Constant("id"),
            ),
        ] {
            assert_eq!(described("clicks", &map, &[]).unwrap_err(), error, "{map}");
        }
    }
}
