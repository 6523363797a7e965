//! Where `initdb` and `postgres` are.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::environment;

/// The oldest major version that the schema works with.
pub const OLDEST: u32 = 15;

/// Folders of the distributions, as parent, beginning of the name of a child, and what follows it.
const PLACES: [(&str, &str, &str); 8] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/usr/local/pgsql", "bin", ""),
];

/// A folder with the programs of one PostgreSQL installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
    major: u32,
}

/// Why no PostgreSQL was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// `PLINTH_PG_BIN` names a folder that does not do.
    #[error("PLINTH_PG_BIN names {}, but {why}", folder.display())]
    Named {
        /// The folder it names.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is none, or only older ones.
    #[error("no PostgreSQL {OLDEST} or newer was found{}. Install it with:\n\n    {command}\n\nor set PLINTH_PG_BIN to the folder that holds initdb and postgres", older(*.newest_old))]
    Missing {
        /// The newest version found, when one was.
        newest_old: Option<u32>,
        /// What to type on this machine.
        command: String,
    },
    /// The package manager was asked and failed.
    #[error("installing PostgreSQL failed: {why}. Try by hand:\n\n    {command}\n")]
    Install {
        /// What it said.
        why: String,
        /// What to type on this machine.
        command: String,
    },
}

fn older(newest: Option<u32>) -> String {
    newest
        .map(|major| format!(" (only version {major})"))
        .unwrap_or_default()
}

impl Binaries {
    /// The programs in `PLINTH_PG_BIN` when that is set; else the first that are new enough of `PATH` and the distributions' folders,
    /// newest first.
    ///
    /// # Errors
    /// [`FindError::Named`] when the variable names a folder that does not do, [`FindError::Missing`] when nothing does.
    pub fn find() -> Result<Self, FindError> {
        if let Some(folder) = environment::pg_bin() {
            return match Self::at(&folder) {
                Ok(found) if found.major >= OLDEST => Ok(found),
                Ok(found) => {
                    let why = format!("it holds version {}; {OLDEST} is needed", found.major);
                    Err(FindError::Named { folder, why })
                }
                Err(why) => Err(FindError::Named { folder, why }),
            };
        }
        let found: Vec<_> = folders()
            .iter()
            .filter_map(|folder| Self::at(folder).ok())
            .collect();
        let newest_old = found.iter().map(|binaries| binaries.major).max();
        found
            .into_iter()
            .find(|binaries| binaries.major >= OLDEST)
            .ok_or_else(|| FindError::Missing {
                newest_old,
                command: crate::install::command_to_type(newest_old),
            })
    }

    /// The programs in one folder, or what keeps it from being such a folder.
    fn at(folder: &Path) -> Result<Self, String> {
        for program in ["initdb", "postgres"] {
            if !folder.join(program).is_file() {
                return Err(format!("there is no {program} in it"));
            }
        }
        let said = Command::new(folder.join("postgres"))
            .arg("--version")
            .output()
            .map_err(|error| format!("its postgres does not start: {error}"))?;
        let said = String::from_utf8_lossy(&said.stdout);
        let major = major(&said).ok_or_else(|| format!("its postgres says {said:?}"))?;
        Ok(Self {
            folder: folder.to_owned(),
            major,
        })
    }

    /// The major version, such as 17.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The folder they are in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn folders() -> Vec<PathBuf> {
    let mut folders = environment::search_path();
    for (parent, prefix, rest) in PLACES {
        let mut children: Vec<_> = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some((number(name.strip_prefix(prefix)?), name)))
            .collect();
        children.sort_by_key(|(version, _)| Reverse(*version));
        folders.extend(
            children
                .into_iter()
                .map(|(_, name)| Path::new(parent).join(name).join(rest)),
        );
    }
    folders
}

/// The major version in `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    Some(number(version)).filter(|major| *major > 0)
}

/// The number that a text begins with; 0 when it begins with none.
fn number(text: &str) -> u32 {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_spelling() {
        for (said, expected) in [
            (
                "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres (PostgreSQL) 17devel", Some(17)),
            ("cannot execute binary file", None),
            ("postgres (PostgreSQL) unknown", None),
        ] {
            assert_eq!(major(said), expected, "{said}");
        }
    }

    #[test]
    fn a_folder_without_a_server_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            Binaries::at(folder.path())
                .unwrap_err()
                .contains("no initdb")
        );
        fs::write(folder.path().join("initdb"), "").unwrap();
        assert!(
            Binaries::at(folder.path())
                .unwrap_err()
                .contains("no postgres")
        );
    }
}
