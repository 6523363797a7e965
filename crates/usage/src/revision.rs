//! Changing a meter. Each change makes a version; an event keeps what the version of its time made of it.

use audit::{Crud, NewEvent, Target};
use kernel::{Denied, FieldError, Name, Page, PageRequest, Principal, StoreError, TenantId};
use time::OffsetDateTime;

use crate::{
    Meter, Store,
    meter::{check_dimensions, check_value_field, is_key},
    permissions,
};

/// What may change about a meter. `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeterChange {
    /// A new name.
    pub name: Option<Name>,
    /// Other dimensions.
    pub dimensions: Option<Vec<String>>,
    /// Another field for the value; `Some(None)` is `quantity`.
    pub value_field: Option<Option<String>>,
    /// Whether a quantity may be less than zero.
    pub allows_negative: Option<bool>,
    /// What never changes, as the client believes it to be: it is refused unless it is so.
    pub fixed: Fixed,
}

/// What is the same in every version of a meter. `None` says nothing about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Its key.
    pub key: Option<String>,
    /// The word for its aggregation.
    pub aggregation: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
}

/// A version of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterVersion {
    /// 1 for the first one.
    pub version: i64,
    /// Its name for people.
    pub name: Name,
    /// Fields by which usage was told apart.
    pub dimensions: Vec<String>,
    /// Where events held their value, when that was not `quantity`.
    pub value_field: Option<String>,
    /// Whether a quantity might be less than zero.
    pub allows_negative: bool,
    /// Since when it was in force.
    pub created_at: OffsetDateTime,
}

impl MeterVersion {
    /// The version in force, made at an instant.
    #[must_use]
    pub fn of(meter: &Meter, created_at: OffsetDateTime) -> Self {
        Self {
            version: meter.version,
            name: meter.name.clone(),
            dimensions: meter.dimensions.clone(),
            value_field: meter.value_field.clone(),
            allows_negative: meter.allows_negative,
            created_at,
        }
    }
}

/// Why a meter, or what it was, was not read.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The tenant has no such meter.
    #[error("there is no such meter")]
    NotFound,
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The cursor is of another list.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a meter was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeMeterError {
    /// The tenant has no such meter.
    #[error("there is no such meter")]
    NotFound,
    /// The meter is there for every tenant from the start.
    #[error("a meter from the start cannot be changed: make one of another key")]
    Standard,
    /// Somebody else changed it first: `If-Match` names an older version.
    #[error("the meter has changed since it was read")]
    Stale,
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A field breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes a meter of the tenant's own. With `expected`, only when it still has that version. What changes nothing makes no version.
///
/// # Errors
/// See [`ChangeMeterError`].
pub fn change(
    store: &mut dyn Store,
    key: &str,
    change: MeterChange,
    expected: Option<i64>,
    by: &Principal,
    now: OffsetDateTime,
) -> Result<Meter, ChangeMeterError> {
    let tenant_id = by.may(&permissions::METER_WRITE)?;
    let own = if is_key(key) {
        store.meter_for_update(tenant_id, key)?
    } else {
        None
    };
    let Some(before) = own else {
        return Err(match find(store, tenant_id, key)? {
            Some(_) => ChangeMeterError::Standard,
            None => ChangeMeterError::NotFound,
        });
    };
    if expected.is_some_and(|version| version != before.version) {
        return Err(ChangeMeterError::Stale);
    }
    let mut after = changed(&before, change)?;
    if after == before {
        return Ok(before);
    }
    after.version += 1;
    store.update_meter(tenant_id, &before, &after, now)?;
    store.record(told(tenant_id, &before, &after, by, now))?;
    Ok(after)
}

fn changed(before: &Meter, change: MeterChange) -> Result<Meter, FieldError> {
    let fixed = change.fixed;
    let aggregation = before.aggregation.as_str();
    for (field, asked, is) in [
        ("key", fixed.key, before.key.as_str()),
        ("aggregation", fixed.aggregation, aggregation),
        ("unit", fixed.unit, before.unit.as_str()),
    ] {
        if asked.is_some_and(|asked| asked != is) {
            let message = format!("never changes and is {is}: make another meter");
            return Err(FieldError::new(field, "immutable", message));
        }
    }
    let mut after = before.clone();
    after.name = change.name.unwrap_or(after.name);
    after.dimensions = change.dimensions.unwrap_or(after.dimensions);
    after.value_field = change.value_field.unwrap_or(after.value_field);
    after.allows_negative = change.allows_negative.unwrap_or(after.allows_negative);
    check_dimensions(&after.dimensions)?;
    check_value_field(after.value_field.as_deref(), after.aggregation)?;
    Ok(after)
}

fn told(
    tenant_id: TenantId,
    before: &Meter,
    after: &Meter,
    by: &Principal,
    now: OffsetDateTime,
) -> NewEvent {
    let target = Target::new("meter", after.id, after.key.clone());
    let mut event = NewEvent::new(tenant_id, "meter.updated", Crud::Update, target, by, now)
        .changed("version", before.version, after.version);
    if before.name != after.name {
        event = event.changed("name", before.name.as_str(), after.name.as_str());
    }
    if before.dimensions != after.dimensions {
        let (old, new) = (before.dimensions.clone(), after.dimensions.clone());
        event = event.changed("dimensions", old, new);
    }
    if before.value_field != after.value_field {
        let (old, new) = (before.value_field.clone(), after.value_field.clone());
        event = event.changed("value_field", old, new);
    }
    if before.allows_negative != after.allows_negative {
        let (old, new) = (before.allows_negative, after.allows_negative);
        event = event.changed("allows_negative", old, new);
    }
    event
}

/// The tenant's meter of a key, its own or one from the start.
fn find(
    store: &mut dyn Store,
    tenant_id: TenantId,
    key: &str,
) -> Result<Option<Meter>, StoreError> {
    // A store need not be able to hold what cannot be a key.
    if !is_key(key) {
        return Ok(None);
    }
    Ok(store.meters_by_key(tenant_id, &[key.to_owned()])?.pop())
}

/// Reads a meter, as it is now.
///
/// # Errors
/// See [`MeterError`].
pub fn read(store: &mut dyn Store, key: &str, by: &Principal) -> Result<Meter, MeterError> {
    let tenant_id = by.may(&permissions::METER_READ)?;
    find(store, tenant_id, key)?.ok_or(MeterError::NotFound)
}

/// A page of what a meter is and was, the newest first. One from the start has one version.
///
/// # Errors
/// See [`MeterError`].
pub fn versions(
    store: &mut dyn Store,
    key: &str,
    page: &PageRequest,
    by: &Principal,
) -> Result<Page<MeterVersion>, MeterError> {
    let tenant_id = by.may(&permissions::METER_READ)?;
    let before: Option<i64> = page.key()?;
    let meter = find(store, tenant_id, key)?.ok_or(MeterError::NotFound)?;
    let rows = store.meter_versions(tenant_id, meter.id, before, page.limit + 1)?;
    let rows = if rows.is_empty() && before.is_none() {
        vec![MeterVersion::of(&meter, meter.created_at)]
    } else {
        rows
    };
    Ok(Page::from_rows(rows, page.limit, |row| row.version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::tests::meter;

    #[test]
    fn what_is_not_said_stays() {
        let before = Meter {
            dimensions: vec!["region".to_owned()],
            value_field: Some("$.usage.tokens".to_owned()),
            ..meter("tokens.used", "sum")
        };
        let fixed = Fixed {
            key: Some("tokens.used".to_owned()),
            aggregation: Some("sum".to_owned()),
            unit: Some("unit".to_owned()),
        };
        let nothing = MeterChange {
            fixed,
            ..MeterChange::default()
        };
        assert_eq!(changed(&before, nothing), Ok(before.clone()));
        let change = MeterChange {
            value_field: Some(None),
            allows_negative: Some(true),
            ..MeterChange::default()
        };
        let after = changed(&before, change).unwrap();
        assert_eq!(after.dimensions, before.dimensions);
        assert_eq!((after.value_field, after.allows_negative), (None, true));
    }

    #[test]
    fn key_aggregation_and_unit_never_change() {
        let before = meter("tokens.used", "sum");
        let other = || Some("max".to_owned());
        for (fixed, field) in [
            (
                Fixed {
                    key: other(),
                    ..Fixed::default()
                },
                "key",
            ),
            (
                Fixed {
                    aggregation: other(),
                    ..Fixed::default()
                },
                "aggregation",
            ),
            (
                Fixed {
                    unit: other(),
                    ..Fixed::default()
                },
                "unit",
            ),
        ] {
            let change = MeterChange {
                fixed,
                ..MeterChange::default()
            };
            let error = changed(&before, change).unwrap_err();
            assert_eq!((&*error.field, error.code), (field, "immutable"));
        }
    }

    #[test]
    fn a_change_keeps_to_the_rules_of_making() {
        let people = Meter {
            value_field: Some("who".to_owned()),
            ..meter("people", "unique")
        };
        for (change, field, code) in [
            (
                MeterChange {
                    value_field: Some(None),
                    ..MeterChange::default()
                },
                "value_field",
                "required",
            ),
            (
                MeterChange {
                    value_field: Some(Some("a.b".to_owned())),
                    ..MeterChange::default()
                },
                "value_field",
                "invalid_field",
            ),
            (
                MeterChange {
                    dimensions: Some(vec!["a b".to_owned()]),
                    ..MeterChange::default()
                },
                "dimensions[0]",
                "invalid_field",
            ),
        ] {
            let error = changed(&people, change).unwrap_err();
            assert_eq!((&*error.field, error.code), (field, code));
        }
    }
}
