//! The few variables of this tool, read here and nowhere else. It takes no configuration file: it must run before there is one.

use std::fs;

/// The database to change: `OWNER_DATABASE_URL`, else `DATABASE_URL`; each also as `…_FILE`.
pub(crate) fn database_url() -> Option<String> {
    ["OWNER_DATABASE_URL", "DATABASE_URL"]
        .into_iter()
        .find_map(secret)
}

/// The database to write usage into, as the API does: `DATABASE_URL`, also as `…_FILE`.
pub(crate) fn app_database_url() -> Option<String> {
    secret("DATABASE_URL")
}

/// The database to read usage from: `SOURCE_DATABASE_URL`, also as `…_FILE`.
pub(crate) fn source_database_url() -> Option<String> {
    secret("SOURCE_DATABASE_URL")
}

/// What kind of machine this is: `PLINTH_ENV`, else the `environment` of the servers' configuration.
pub(crate) fn kind() -> Option<String> {
    ["PLINTH_ENV", "PLINTH__ENVIRONMENT"]
        .into_iter()
        .find_map(variable)
}

fn secret(name: &str) -> Option<String> {
    variable(name).or_else(|| {
        let text = fs::read_to_string(variable(&format!("{name}_FILE"))?).ok()?;
        Some(text.trim().to_owned())
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
