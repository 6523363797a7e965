//! The few variables that steer this tool, read here and nowhere else.

use std::path::PathBuf;

use crate::failure::Failure;

/// `PLINTH_HOME`: the folder for data and secrets; `.plinth` below the current folder when it is not set.
pub(crate) fn home() -> PathBuf {
    variable("PLINTH_HOME").map_or_else(|| PathBuf::from(".plinth"), PathBuf::from)
}

/// `PLINTH_PORT`: the port of the API; 8080 when it is not set.
pub(crate) fn port() -> Result<u16, Failure> {
    let Some(text) = variable("PLINTH_PORT") else {
        return Ok(8080);
    };
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| Failure(format!("PLINTH_PORT is {text:?}, which is no port")))
}

/// The cargo that runs us; none when somebody started the binary itself.
pub(crate) fn cargo() -> Option<PathBuf> {
    variable("CARGO").map(PathBuf::from)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a developer's tool is steered by its environment, not by plinth-config"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
