//! Where in a row the columns of a mapping are.

use csv::StringRecord;

use super::mapping::{Mapping, Measure, Value};

/// A value's place in a row.
#[derive(Debug)]
pub(crate) enum Place {
    Cell(usize),
    Constant(String),
}

/// One way in which a row becomes an event: see [`Measure`].
#[derive(Debug)]
pub(crate) enum Measured {
    Row {
        metric: Place,
        quantity: Place,
    },
    Column {
        name: String,
        cell: usize,
        metric: String,
    },
    Name {
        name: String,
        cell: usize,
    },
}

/// The columns of one table.
#[derive(Debug)]
pub(crate) struct Columns {
    /// How many cells a row has.
    pub(crate) width: usize,
    pub(crate) id: usize,
    pub(crate) tenant: Place,
    pub(crate) occurred_at: (String, usize),
    pub(crate) user: Option<usize>,
    pub(crate) model: Option<usize>,
    pub(crate) project: Option<usize>,
    pub(crate) metadata: Option<usize>,
    /// Fields of the metadata, and the cells that hold them.
    pub(crate) notes: Vec<(String, usize)>,
    pub(crate) measures: Vec<Measured>,
}

/// The mapping asks for a column that the table does not have, or has twice.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("there is no column `{name}`; the columns are {there}. Say which one it is with --map")]
    Missing { name: String, there: String },
    #[error("there are two columns `{0}`")]
    Twice(String),
}

/// Whether a header has the columns that a mapping asks for, each once.
///
/// # Errors
/// See [`HeaderError`].
pub(crate) fn check_header(mapping: &Mapping, header: &[String]) -> Result<(), HeaderError> {
    for (name, may_lack) in mapping.columns() {
        match header.iter().filter(|column| *column == name).count() {
            1 => {}
            0 if may_lack => {}
            0 => {
                return Err(HeaderError::Missing {
                    name: name.to_owned(),
                    there: header.join(", "),
                });
            }
            _ => return Err(HeaderError::Twice(name.to_owned())),
        }
    }
    Ok(())
}

/// The place of a column. Those that must be there are, once the header was checked.
fn must(header: &[String], name: &str) -> usize {
    find(header, name).unwrap_or(usize::MAX)
}

fn find(header: &[String], name: &str) -> Option<usize> {
    header.iter().position(|column| column == name)
}

fn place(header: &[String], value: &Value) -> Place {
    match value {
        Value::Column(name) => Place::Cell(must(header, name)),
        Value::Constant(text) => Place::Constant(text.clone()),
    }
}

fn measured(header: &[String], measure: &Measure) -> Option<Measured> {
    match measure {
        Measure::Row { metric, quantity } => Some(Measured::Row {
            metric: place(header, metric),
            quantity: place(header, quantity),
        }),
        Measure::Column { column, metric, .. } => {
            find(header, column).map(|cell| Measured::Column {
                name: column.clone(),
                cell,
                metric: metric.clone(),
            })
        }
        Measure::Name { column } => Some(Measured::Name {
            name: column.clone(),
            cell: must(header, column),
        }),
    }
}

impl Columns {
    /// Finds the columns of a mapping in a header.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub(crate) fn find(mapping: &Mapping, header: &[String]) -> Result<Self, HeaderError> {
        check_header(mapping, header)?;
        let maybe = |name: &Option<String>| name.as_deref().and_then(|name| find(header, name));
        let notes = mapping.notes.iter();
        let measures = mapping.measures.iter();
        Ok(Self {
            width: header.len(),
            id: must(header, &mapping.id),
            tenant: place(header, &mapping.tenant),
            occurred_at: (
                mapping.occurred_at.clone(),
                must(header, &mapping.occurred_at),
            ),
            user: maybe(&mapping.user),
            model: maybe(&mapping.model),
            project: maybe(&mapping.project),
            metadata: maybe(&mapping.metadata),
            notes: notes
                .filter_map(|(field, column)| Some((field.clone(), find(header, column)?)))
                .collect(),
            measures: measures
                .filter_map(|measure| measured(header, measure))
                .collect(),
        })
    }
}

/// What a cell holds, unless it is empty: exports write NULL as nothing.
pub(crate) fn cell(row: &StringRecord, place: usize) -> Option<&str> {
    row.get(place).filter(|text| !text.is_empty())
}

/// What stands at a place, unless it is empty.
pub(crate) fn at<'a>(row: &'a StringRecord, place: &'a Place) -> Option<&'a str> {
    match place {
        Place::Cell(place) => cell(row, *place),
        Place::Constant(text) => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_are_missing_or_there_twice_are_named() {
        let mapping = Mapping::of_table("metered_events").unwrap();
        let header = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let new = |text: &str| Columns::find(&mapping, &header(text));
        let error = new("id,tenant_id,metric,occurred_at").unwrap_err();
        assert_eq!(
            error,
            HeaderError::Missing {
                name: "quantity".to_owned(),
                there: "id, tenant_id, metric, occurred_at".to_owned(),
            }
        );
        let error = new("id,tenant_id,metric,quantity,occurred_at,id").unwrap_err();
        assert_eq!(error, HeaderError::Twice("id".to_owned()));
    }
}
