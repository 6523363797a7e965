//! Which of our tenants the source means.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use csv::ReaderBuilder;
use kernel::TenantId;

/// Names of tenants in the source, and ours. What was asked once is not asked again.
#[derive(Debug, Default)]
pub(crate) struct Tenants {
    /// What the source's names are called here, where somebody says so.
    renamed: HashMap<String, String>,
    known: HashMap<String, Option<TenantId>>,
    /// Rows of tenants that are not here, by the source's name.
    unknown: BTreeMap<String, u64>,
}

/// The file of names cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {}: {why}", path.display())]
pub(crate) struct TenantsError {
    path: PathBuf,
    why: String,
}

impl Tenants {
    /// Reads lines of `name there,id or slug here`. A first line `old,new` is a header.
    ///
    /// # Errors
    /// [`TenantsError`].
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, TenantsError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let failed = |why: String| TenantsError {
            path: path.to_owned(),
            why,
        };
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(|error| failed(error.to_string()))?;
        let mut renamed = HashMap::new();
        for line in reader.records() {
            let line = line.map_err(|error| failed(error.to_string()))?;
            let mut names = line.iter().map(|name| name.trim_start_matches('\u{feff}'));
            let (Some(old), Some(new), None) = (names.next(), names.next(), names.next()) else {
                return Err(failed(
                    "each line must be: name there,id or slug here".to_owned(),
                ));
            };
            if (old, new) == ("old", "new") {
                continue;
            }
            let before = renamed.insert(old.to_owned(), new.to_owned());
            if before.is_some_and(|before| before != new) {
                return Err(failed(format!("`{old}` stands for two tenants")));
            }
        }
        Ok(Self {
            renamed,
            ..Self::default()
        })
    }

    /// What the source's name is called here.
    pub(crate) fn here<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.get(name).map_or(name, String::as_str)
    }

    /// Names, of these, that were not asked for yet, each once.
    pub(crate) fn unasked<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut unasked: Vec<String> = names
            .filter(|name| !self.known.contains_key(*name))
            .map(str::to_owned)
            .collect();
        unasked.sort_unstable();
        unasked.dedup();
        unasked
    }

    /// Notes what a name stands for.
    pub(crate) fn learn(&mut self, name: String, tenant_id: Option<TenantId>) {
        self.known.insert(name, tenant_id);
    }

    /// What a name stands for, as far as it was asked for.
    pub(crate) fn get(&self, name: &str) -> Option<TenantId> {
        self.known.get(name).copied().flatten()
    }

    /// Counts a row of a tenant that is not here.
    pub(crate) fn count_unknown(&mut self, name: &str) {
        if let Some(rows) = self.unknown.get_mut(name) {
            *rows += 1;
        } else {
            self.unknown.insert(name.to_owned(), 1);
        }
    }

    /// Rows of tenants that are not here, by the source's name.
    pub(crate) const fn unknown(&self) -> &BTreeMap<String, u64> {
        &self.unknown
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn open(text: &str) -> Result<Tenants, TenantsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenants.csv");
        fs::write(&path, text).unwrap();
        Tenants::open(Some(&path))
    }

    #[test]
    fn names_are_translated_where_somebody_says_so() {
        let tenants = open("\u{feff}old,new\n42, acme\n43,globex\n").unwrap();
        assert_eq!(tenants.here("42"), "acme");
        assert_eq!(tenants.here("44"), "44");
    }

    #[test]
    fn a_file_of_names_that_says_two_things_is_refused() {
        for text in ["42,acme\n42,globex\n", "42\n", "42,acme,x\n"] {
            assert!(open(text).is_err(), "{text}");
        }
    }
}
