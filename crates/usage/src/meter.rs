//! A meter: what is measured, and how many become one.

use audit::{Crud, NewEvent, Target};
use kernel::{Denied, FieldError, MeterId, Name, Principal, StoreError, text};
use time::OffsetDateTime;

use crate::{
    Store,
    dimension::MAX_DIMENSIONS,
    permissions,
    value::{self, MAX_STEPS},
};

/// What becomes of the events of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// Their quantities, added up.
    Sum,
    /// How many there are.
    Count,
    /// The largest quantity.
    Max,
    /// The smallest quantity.
    Min,
    /// The quantity of the latest: by time of the event, then by time of receipt.
    Latest,
    /// How many different values the meter's field has.
    Unique,
}

impl Aggregation {
    /// Every aggregation.
    pub const ALL: [Self; 6] = [
        Self::Sum,
        Self::Count,
        Self::Max,
        Self::Min,
        Self::Latest,
        Self::Unique,
    ];

    /// The word that stores and clients use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Count => "count",
            Self::Max => "max",
            Self::Min => "min",
            Self::Latest => "latest",
            Self::Unique => "unique",
        }
    }

    /// Reads the word of [`Aggregation::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Something that is measured. Sixteen exist for every tenant from the start; a tenant may add its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// Its id.
    pub id: MeterId,
    /// What events call it: `metric`.
    pub key: String,
    /// A name for people.
    pub name: Name,
    /// What becomes of many events.
    pub aggregation: Aggregation,
    /// The unit of a quantity, such as `token`.
    pub unit: String,
    /// Fields by which its usage is told apart.
    pub dimensions: Vec<String>,
    /// Where an event holds its value, when that is not `quantity`: a field of its metadata, or a path such as `$.usage.tokens`.
    pub value_field: Option<String>,
    /// Whether a quantity may be less than zero: a correction, a balance.
    pub allows_negative: bool,
    /// Goes up with each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// A meter as a client describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMeter {
    /// The key that events will use.
    pub key: String,
    /// A name for people; the key when there is none.
    pub name: Option<String>,
    /// The word for the aggregation.
    pub aggregation: String,
    /// The unit of a quantity.
    pub unit: String,
    /// Fields by which usage is told apart, at most [`MAX_DIMENSIONS`].
    pub dimensions: Vec<String>,
    /// The field that holds the value, or the path to it. `unique` needs one.
    pub value_field: Option<String>,
    /// Whether a quantity may be less than zero.
    pub allows_negative: bool,
}

/// Why a meter was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateMeterError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A field breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The tenant has a meter with this key already, of its own or from the start.
    #[error("there is a meter {key} already")]
    Exists {
        /// The key.
        key: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a meter.
///
/// # Errors
/// See [`CreateMeterError`].
pub fn create(
    store: &mut dyn Store,
    new: NewMeter,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Meter, CreateMeterError> {
    let tenant_id = by.may(&permissions::METER_WRITE)?;
    let meter = describe(new, now)?;
    if !store
        .meters_by_key(tenant_id, std::slice::from_ref(&meter.key))?
        .is_empty()
    {
        return Err(CreateMeterError::Exists { key: meter.key });
    }
    if let Err(error) = store.insert_meter(tenant_id, &meter) {
        let taken = error.conflicts_with("meters_tenant_id_key_key");
        return Err(if taken {
            CreateMeterError::Exists { key: meter.key }
        } else {
            error.into()
        });
    }
    let target = Target::new("meter", meter.id, meter.key.clone());
    let event = NewEvent::new(tenant_id, "meter.created", Crud::Create, target, by, now)
        .field("aggregation", meter.aggregation.as_str());
    store.record(event)?;
    Ok(meter)
}

fn describe(new: NewMeter, now: OffsetDateTime) -> Result<Meter, FieldError> {
    if !is_key(&new.key) {
        return Err(FieldError::new(
            "key",
            "invalid_key",
            "must be a lower-case letter, then at most 63 of a-z, 0-9, _ and .",
        ));
    }
    let name = Name::parse("name", new.name.as_deref().unwrap_or(&new.key))?;
    let aggregation = Aggregation::parse(&new.aggregation).ok_or_else(|| {
        FieldError::new(
            "aggregation",
            "invalid_aggregation",
            "must be sum, count, max, min, latest or unique",
        )
    })?;
    if new.unit.is_empty() {
        return Err(FieldError::new("unit", "required", "must not be empty"));
    }
    text::check("unit", &new.unit, 64)?;
    check_dimensions(&new.dimensions)?;
    check_value_field(new.value_field.as_deref(), aggregation)?;
    Ok(Meter {
        id: MeterId::new(now),
        key: new.key,
        name,
        aggregation,
        unit: new.unit,
        dimensions: new.dimensions,
        value_field: new.value_field,
        allows_negative: new.allows_negative,
        version: 1,
        created_at: now,
    })
}

/// Whether text is written like the key of a meter.
pub(crate) fn is_key(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.')
}

/// Whether text may be the name of a field of an event.
pub(crate) fn is_field(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(crate) fn check_dimensions(dimensions: &[String]) -> Result<(), FieldError> {
    if dimensions.len() > MAX_DIMENSIONS {
        return Err(FieldError::new(
            "dimensions",
            "too_many",
            "must be at most 4",
        ));
    }
    for (at, dimension) in dimensions.iter().enumerate() {
        let field = format!("dimensions[{at}]");
        if !is_field(dimension) {
            return Err(FieldError::new(
                field,
                "invalid_field",
                "must be the name of a field",
            ));
        }
        if dimensions
            .iter()
            .take(at)
            .any(|earlier| earlier == dimension)
        {
            return Err(FieldError::new(
                field,
                "repeated",
                "must not be there twice",
            ));
        }
    }
    Ok(())
}

pub(crate) fn check_value_field(
    field: Option<&str>,
    aggregation: Aggregation,
) -> Result<(), FieldError> {
    match field {
        Some(field) if !is_path(field) => Err(FieldError::new(
            "value_field",
            "invalid_field",
            "must be the name of a field, or $. and at most 8 names with points between them",
        )),
        None if aggregation == Aggregation::Unique => Err(FieldError::new(
            "value_field",
            "required",
            "must name the field whose different values are counted",
        )),
        _ => Ok(()),
    }
}

/// Whether text may say where an event holds a value.
fn is_path(text: &str) -> bool {
    let steps = || value::steps(text);
    (is_field(text) || text.starts_with("$."))
        && steps().count() <= MAX_STEPS
        && steps().all(is_field)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A meter that no rule has looked at.
    pub(crate) fn meter(key: &str, aggregation: &str) -> Meter {
        Meter {
            id: MeterId::new(OffsetDateTime::UNIX_EPOCH),
            key: key.to_owned(),
            name: Name::stored(key.to_owned()),
            aggregation: Aggregation::parse(aggregation).unwrap(),
            unit: "unit".to_owned(),
            dimensions: Vec::new(),
            value_field: None,
            allows_negative: false,
            version: 1,
            created_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn seats() -> NewMeter {
        NewMeter {
            key: "seats.active".into(),
            aggregation: "max".into(),
            unit: "seat".into(),
            ..NewMeter::default()
        }
    }

    fn refusal(new: NewMeter) -> (String, &'static str) {
        let error = describe(new, OffsetDateTime::UNIX_EPOCH).unwrap_err();
        (error.field.into_owned(), error.code)
    }

    #[test]
    fn a_meter_is_named_by_its_key_when_nobody_names_it() {
        let meter = describe(seats(), OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(meter.name.as_str(), "seats.active");
        assert_eq!(meter.aggregation, Aggregation::Max);
    }

    #[test]
    fn keys_are_lower_case_words() {
        for key in [
            "",
            "Seats",
            "1seat",
            "_a",
            "a b",
            "a-b",
            "é",
            &"a".repeat(65),
        ] {
            let new = NewMeter {
                key: key.to_owned(),
                ..seats()
            };
            assert_eq!(refusal(new), ("key".to_owned(), "invalid_key"), "{key}");
        }
        assert!(is_key(&"a".repeat(64)));
    }

    #[test]
    fn unique_needs_a_field_to_count() {
        let new = NewMeter {
            aggregation: "unique".into(),
            ..seats()
        };
        assert_eq!(refusal(new.clone()), ("value_field".to_owned(), "required"));
        let new = NewMeter {
            value_field: Some("user_id".into()),
            ..new
        };
        assert!(describe(new, OffsetDateTime::UNIX_EPOCH).is_ok());
    }

    #[test]
    fn a_value_field_is_a_name_or_a_path_of_names() {
        let with = |field: &str| NewMeter {
            value_field: Some(field.to_owned()),
            ..seats()
        };
        let longest = format!("${}", format!(".{}", "x".repeat(64)).repeat(8));
        for field in ["tokens", "$.tokens", "$.usage.total_tokens", &longest] {
            let made = describe(with(field), OffsetDateTime::UNIX_EPOCH).unwrap();
            assert_eq!(made.value_field.as_deref(), Some(field));
        }
        for field in [
            "",
            "spent.tokens",
            "$",
            "$.",
            "$.a..b",
            "$.a[0]",
            "$$.a",
            "$.a.b.c.d.e.f.g.h.i",
            "tok ens",
        ] {
            let refused = ("value_field".to_owned(), "invalid_field");
            assert_eq!(refusal(with(field)), refused, "{field}");
        }
    }

    #[test]
    fn dimensions_are_few_and_different() {
        let dimensions = |names: &[&str]| NewMeter {
            dimensions: names.iter().map(|name| (*name).to_owned()).collect(),
            ..seats()
        };
        assert_eq!(
            refusal(dimensions(&["a", "b", "c", "d", "e"])).1,
            "too_many"
        );
        assert_eq!(
            refusal(dimensions(&["a", "a"])),
            ("dimensions[1]".to_owned(), "repeated")
        );
        assert_eq!(refusal(dimensions(&["a b"])).1, "invalid_field");
    }
}
