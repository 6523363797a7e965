//! A new, empty version.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use time::{OffsetDateTime, macros::format_description};

/// Why no version was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("`{0}` must be lower-case letters, digits and underscores, and begin with a letter")]
    Name(String),
    #[error("there is no folder migrations/versions here or above")]
    NoFolder,
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Makes `<time>_<domain>_<what>/{up,down}.sql` in the nearest `migrations/versions`, at or above `from`.
pub(crate) fn version(
    from: &Path,
    domain: &str,
    what: &str,
    now: OffsetDateTime,
) -> Result<PathBuf, CreateError> {
    for name in [domain, what] {
        if !is_name(name) {
            return Err(CreateError::Name(name.to_owned()));
        }
    }
    let versions = from
        .canonicalize()
        .ok()
        .and_then(|from| {
            from.ancestors()
                .map(|it| it.join("migrations/versions"))
                .find(|it| it.is_dir())
        })
        .ok_or(CreateError::NoFolder)?;
    let stamp = now
        .format(format_description!(
            "[year]-[month]-[day]-[hour][minute][second]"
        ))
        .unwrap_or_default();
    let folder = versions.join(format!("{stamp}_{domain}_{what}"));
    let write = |path: PathBuf, text: &str| {
        fs::write(&path, text).map_err(|source| CreateError::Write { path, source })
    };
    fs::create_dir(&folder).map_err(|source| CreateError::Write {
        path: folder.clone(),
        source,
    })?;
    write(
        folder.join("up.sql"),
        "-- Tables only: functions, policies and grants belong to migrations/replaceable.\n",
    )?;
    write(
        folder.join("down.sql"),
        "-- Undoes up.sql, in the opposite order.\n",
    )?;
    Ok(folder)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_version_is_named_after_its_time_its_domain_and_what_it_does() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("bins/migrate");
        fs::create_dir_all(&deep).unwrap();
        let now = datetime!(2030-02-03 04:05:06 UTC);
        assert!(matches!(
            version(&deep, "usage", "x", now),
            Err(CreateError::NoFolder)
        ));
        fs::create_dir_all(root.path().join("migrations/versions")).unwrap();
        let made = version(&deep, "usage", "late_events", now).unwrap();
        assert!(made.ends_with("migrations/versions/2030-02-03-040506_usage_late_events"));
        assert!(made.join("up.sql").is_file() && made.join("down.sql").is_file());
        assert!(matches!(
            version(&deep, "usage", "late_events", now),
            Err(CreateError::Write { .. })
        ));
    }

    #[test]
    fn names_that_would_not_sort_or_quote_are_refused() {
        for name in ["", "Usage", "a-b", "1st", "../up"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
