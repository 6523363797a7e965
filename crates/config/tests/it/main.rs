//! What the configuration accepts, what it refuses, and what it says then.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

extern crate plinth_config as config;

mod catalogue;
mod layers;
mod page;
mod refusals;
mod secrets;

use config::{Config, ConfigError};

/// The configuration of an environment with these variables and no others.
fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_variables(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

/// The same, with a configuration file of this text.
fn load_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plinth.toml");
    std::fs::write(&path, text).unwrap();
    let mut all = vec![("PLINTH_CONFIG", path.to_str().unwrap())];
    all.extend_from_slice(variables);
    load(&all)
}
