//! The few variables that decide where PostgreSQL comes from, read here and nowhere else in this crate.

use std::path::PathBuf;

/// `PLINTH_PG_BIN`: the folder that holds `initdb` and `postgres`, when the search should not happen.
pub(crate) fn pg_bin() -> Option<PathBuf> {
    variable("PLINTH_PG_BIN").map(PathBuf::from)
}

/// `PLINTH_NO_INSTALL`: anything but empty or `0` forbids installing packages.
pub(crate) fn installing_forbidden() -> bool {
    variable("PLINTH_NO_INSTALL").is_some_and(|value| value != "0")
}

/// The folders of `PATH`, in order.
pub(crate) fn search_path() -> Vec<PathBuf> {
    variable("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a developer's tool is steered by its environment, not by plinth-config"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
