//! By what an answer about usage is told apart, and to what it is narrowed down: project, user, model, and the dimensions of meters.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{FieldError, ProjectId, StoreError, TenantId};

use crate::{
    Meter, Store,
    dimension::{BuiltIn, MAX_DIMENSIONS},
    meter::is_field,
    query::ReadUsageError,
};

/// Values that one question may be narrowed down to.
pub const MAX_VALUES: usize = 100;
/// Bytes of the longest value that anything is narrowed down to.
const MAX_TEXT: usize = 255;

/// By what usage is told apart, besides metric and bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupBy {
    /// By project.
    pub project: bool,
    /// By user.
    pub user: bool,
    /// By model.
    pub model: bool,
    /// By these dimensions of meters.
    pub dimensions: BTreeSet<String>,
}

impl GroupBy {
    /// Reads names of dimensions. Whether a meter declares them is left open.
    ///
    /// # Errors
    /// `unknown_dimension` and `too_many` on `group_by`.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, FieldError> {
        let mut group_by = Self::default();
        for name in names {
            match BuiltIn::of(name) {
                Some(BuiltIn::Project) => group_by.project = true,
                Some(BuiltIn::User) => group_by.user = true,
                Some(BuiltIn::Model) => group_by.model = true,
                None if is_field(name) => {
                    group_by.dimensions.insert(name.to_owned());
                }
                None => return Err(unknown("group_by".to_owned(), name)),
            }
        }
        if group_by.dimensions.len() > MAX_DIMENSIONS {
            return Err(too_many("group_by", MAX_DIMENSIONS));
        }
        Ok(group_by)
    }

    pub(crate) fn any(&self) -> bool {
        self.project || self.user || self.model || !self.dimensions.is_empty()
    }
}

/// What usage is narrowed down to. Alternatives of one dimension widen it, further dimensions narrow it; what names nothing leaves it whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Usage in one of these projects; `None` is usage in no project.
    pub projects: BTreeSet<Option<ProjectId>>,
    /// Usage by one of these users; `""` is usage by nobody.
    pub users: BTreeSet<String>,
    /// Usage with one of these models; `""` is usage with none.
    pub models: BTreeSet<String>,
    /// By name of the dimension: usage with one of these values; `""` is usage without the dimension.
    pub dimensions: BTreeMap<String, BTreeSet<String>>,
}

impl Filter {
    /// Adds one alternative of a dimension.
    ///
    /// # Errors
    /// `unknown_dimension`, `too_long`, `control_character` and `invalid_uuid` on `filter[<name>]`; `too_many` on `filter`.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), FieldError> {
        let refused = |code, message: &'static str| FieldError::new(field(name), code, message);
        if value.len() > MAX_TEXT {
            return Err(refused("too_long", "must be at most 255 bytes"));
        }
        if value.chars().any(char::is_control) {
            let message = "must not contain control characters";
            return Err(refused("control_character", message));
        }
        let text = value.to_owned();
        match BuiltIn::of(name) {
            Some(BuiltIn::Project) => {
                let id = Some(value).filter(|value| !value.is_empty());
                let id = id.map(str::parse).transpose();
                let id = id.map_err(|_| refused("invalid_uuid", "must be a UUID"))?;
                self.projects.insert(id)
            }
            Some(BuiltIn::User) => self.users.insert(text),
            Some(BuiltIn::Model) => self.models.insert(text),
            None if is_field(name) => {
                let values = self.dimensions.entry(name.to_owned());
                values.or_default().insert(text)
            }
            None => return Err(unknown(field(name), name)),
        };
        if self.dimensions.len() > MAX_DIMENSIONS {
            return Err(too_many("filter", MAX_DIMENSIONS));
        }
        if self.values() > MAX_VALUES {
            return Err(too_many("filter", MAX_VALUES));
        }
        Ok(())
    }

    fn values(&self) -> usize {
        let own = self.projects.len() + self.users.len() + self.models.len();
        own + self.dimensions.values().map(BTreeSet::len).sum::<usize>()
    }
}

/// Refuses dimensions that no meter of the question declares, or ever did: older events keep theirs.
pub(crate) fn check_declared(
    store: &mut dyn Store,
    tenant_id: TenantId,
    meters: &[Meter],
    group_by: &GroupBy,
    filter: &Filter,
) -> Result<(), ReadUsageError> {
    let grouped = group_by.dimensions.iter();
    let filtered = filter.dimensions.keys();
    let asked = grouped
        .map(|name| (name, "group_by".to_owned()))
        .chain(filtered.map(|name| (name, field(name))));
    let is_declared = |name: &String| meters.iter().any(|meter| meter.dimensions.contains(name));
    let mut open: Vec<(&String, String)> = asked.filter(|(name, _)| !is_declared(name)).collect();
    if !open.is_empty() {
        let before = declared_before(store, tenant_id, meters)?;
        open.retain(|(name, _)| !before.contains(*name));
    }
    match open.into_iter().next() {
        Some((name, field)) => Err(unknown(field, name).into()),
        None => Ok(()),
    }
}

fn declared_before(
    store: &mut dyn Store,
    tenant_id: TenantId,
    meters: &[Meter],
) -> Result<BTreeSet<String>, StoreError> {
    let changed = meters.iter().filter(|meter| meter.version > 1);
    let ids: Vec<_> = changed.map(|meter| meter.id).collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    store.declared_dimensions(tenant_id, &ids)
}

/// The parameter that narrows a dimension down.
fn field(name: &str) -> String {
    format!("filter[{name}]")
}

fn unknown(field: String, name: &str) -> FieldError {
    let shown: String = name.chars().take(64).collect();
    let message =
        format!("must be project, user, model or a dimension of the meters, and {shown} is none");
    FieldError::new(field, "unknown_dimension", message)
}

fn too_many(field: &'static str, most: usize) -> FieldError {
    FieldError::new(field, "too_many", format!("must be at most {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_events_have_fields_for_is_told_from_dimensions_of_meters() {
        let names = ["user_id", "region", "model", "region", "project"];
        let group_by = GroupBy::parse(names).unwrap();
        assert!(group_by.project && group_by.user && group_by.model);
        assert!(group_by.dimensions.iter().eq(["region"]));
        let error = GroupBy::parse(["a b"]).unwrap_err();
        assert_eq!(
            (&*error.field, error.code),
            ("group_by", "unknown_dimension")
        );
        let error = GroupBy::parse(["a", "b", "c", "d", "e"]).unwrap_err();
        assert_eq!(error.code, "too_many");
    }

    #[test]
    fn a_filter_collects_alternatives_by_dimension() {
        let mut filter = Filter::default();
        let project = "01890a5d-ac96-774b-bcce-b302099a8057";
        for (name, value) in [
            ("region", "eu"),
            ("region", "us"),
            ("region", "eu"),
            ("project", project),
            ("project_id", ""),
            ("user", "u,1"),
        ] {
            filter.add(name, value).unwrap();
        }
        assert!(filter.dimensions["region"].iter().eq(["eu", "us"]));
        let projects = BTreeSet::from([None, Some(project.parse().unwrap())]);
        assert_eq!(filter.projects, projects);
        assert!(filter.users.contains("u,1") && filter.models.is_empty());
    }

    #[test]
    fn a_bad_alternative_is_named_by_its_parameter() {
        let refusal = |name: &str, value: &str| {
            let error = Filter::default().add(name, value).unwrap_err();
            (error.field.into_owned(), error.code)
        };
        let of = |name: &str, code| (format!("filter[{name}]"), code);
        assert_eq!(refusal("project", "x"), of("project", "invalid_uuid"));
        assert_eq!(refusal("user", "a\0"), of("user", "control_character"));
        assert_eq!(refusal("a", &"é".repeat(128)), of("a", "too_long"));
        assert_eq!(refusal("a b", "x"), of("a b", "unknown_dimension"));
        let mut filter = Filter::default();
        let added = (0..=MAX_VALUES).try_for_each(|n| filter.add("user", &n.to_string()));
        assert_eq!(added.unwrap_err().code, "too_many");
    }
}
