//! What is wrong with the configuration, and where to mend it. No message holds the value of a secret.

use std::{fmt, path::PathBuf};

/// Why the configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{named_by} names the file {}, which cannot be read: {why}", path.display())]
    Unreadable {
        /// The variable that names it.
        named_by: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The file is no TOML.
    #[error("{} is no TOML: line {line}: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        why: String,
    },
    /// Nobody knows this key.
    #[error("{source_name} sets {name}, which is not known{}", suggest(suggestion.as_deref()))]
    Unknown {
        /// The key, or the variable.
        name: String,
        /// The key or variable that was perhaps meant.
        suggestion: Option<String>,
        /// Where it was found.
        source_name: String,
    },
    /// A value breaks a rule.
    #[error("{key} ({source_name}): {why}")]
    Invalid {
        /// The key.
        key: String,
        /// Where the value comes from.
        source_name: String,
        /// The rule.
        why: String,
    },
    /// Two variables say the same thing.
    #[error("{0} and {1} are both set: set one of them")]
    Ambiguous(String, String),
    /// Something that this program needs is not set.
    #[error("{}", list(.0))]
    Missing(Vec<Missing>),
}

/// Something that a program needs and was not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The key.
    pub key: &'static str,
    /// The variable that would set it.
    pub variable: &'static str,
    /// What it is for.
    pub purpose: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            variable,
            purpose,
        } = self;
        write!(
            f,
            "{key} is not set ({purpose}): set {variable} or {variable}_FILE"
        )
    }
}

fn suggest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |meant| format!(": did you mean {meant}?"))
}

fn list(missing: &[Missing]) -> String {
    missing
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
