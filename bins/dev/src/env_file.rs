//! Files of `KEY=value` lines, which shells, editors and `docker --env-file` all read. Values hold no quotes, spaces or newlines.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Values by key.
pub(crate) type Values = BTreeMap<String, String>;

/// Reads a file; one that is not there holds nothing.
pub(crate) fn read(path: &Path) -> io::Result<Values> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Values::new()),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Values {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Replaces a file as a whole, readable by its owner alone.
pub(crate) fn write<'a>(
    path: &Path,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> io::Result<()> {
    let text: String = values
        .into_iter()
        .map(|(key, value)| format!("{key}={value}\n"))
        .collect();
    write_private(path, &text)
}

/// Replaces a file as a whole, readable by its owner alone: whoever reads it sees the old text or the new one, never half of it.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let _left_over = fs::remove_file(&fresh);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev.env");
        assert!(read(&path).unwrap().is_empty());
        write(
            &path,
            [
                ("PLINTH_URL", "http://x"),
                ("DATABASE_URL", "postgres://a?b=c"),
            ],
        )
        .unwrap();
        let values = read(&path).unwrap();
        assert_eq!(values.get("DATABASE_URL").unwrap(), "postgres://a?b=c");
        assert_eq!(values.len(), 2);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
