//! Refused rows, in a file of their own: as they came, with the code and the reason in front.

use std::{
    fs::{self, File, OpenOptions},
    io::BufWriter,
    path::{Path, PathBuf},
};

use csv::{StringRecord, Writer, WriterBuilder};
use usage::Rejection;

/// Columns in front of the row's own.
const COLUMNS: [&str; 4] = ["row", "code", "field", "reason"];

/// A file of refused rows.
pub(crate) struct Rejects {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
}

/// A refused row, or one refused event of it.
#[derive(Debug, Clone)]
pub(crate) struct Reject {
    /// Which row, the first being 1.
    pub(crate) row: u64,
    /// Why.
    pub(crate) why: Rejection,
    /// The row as it came.
    pub(crate) cells: StringRecord,
}

/// The file cannot be written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("writing {}: {why}", path.display())]
pub(crate) struct RejectsError {
    path: PathBuf,
    why: String,
}

impl Rejects {
    /// Opens a file for the rows behind `settled`. What an earlier run of the same import wrote of the rows before it stays; what it wrote
    /// of later ones, which were not settled after all, goes.
    ///
    /// # Errors
    /// [`RejectsError`].
    pub(crate) fn open(path: &Path, header: &[String], settled: u64) -> Result<Self, RejectsError> {
        let failed = |why: String| RejectsError {
            path: path.to_owned(),
            why,
        };
        let kept = if settled > 0 && path.is_file() {
            kept(path, settled).map_err(|error| failed(error.to_string()))?
        } else {
            Vec::new()
        };
        // Beside the old file first: whoever is killed here loses nothing.
        let fresh = path.with_extension("csv.new");
        let mut writer = WriterBuilder::new()
            .flexible(true)
            .from_path(&fresh)
            .map_err(|error| failed(error.to_string()))?;
        let own = header.iter().map(String::as_str);
        let written = writer
            .write_record(COLUMNS.into_iter().chain(own))
            .and_then(|()| kept.iter().try_for_each(|row| writer.write_record(row)))
            .and_then(|()| writer.flush().map_err(Into::into));
        written.map_err(|error| failed(error.to_string()))?;
        drop(writer);
        fs::rename(&fresh, path).map_err(|error| failed(error.to_string()))?;
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            writer: WriterBuilder::new()
                .flexible(true)
                .from_writer(BufWriter::new(file)),
        })
    }

    /// Writes rows, and waits until the disk has them: they are written before the import moves behind them.
    ///
    /// # Errors
    /// [`RejectsError`].
    pub(crate) fn write(&mut self, rejects: &[Reject]) -> Result<(), RejectsError> {
        if rejects.is_empty() {
            return Ok(());
        }
        let failed = |why: String| RejectsError {
            path: self.path.clone(),
            why,
        };
        for Reject { row, why, cells } in rejects {
            let row = row.to_string();
            let front = [&row, why.code, &*why.field, why.message];
            self.writer
                .write_record(front.into_iter().chain(cells.iter()))
                .map_err(|error| failed(error.to_string()))?;
        }
        self.writer
            .flush()
            .and_then(|()| self.writer.get_ref().get_ref().sync_data())
            .map_err(|error| failed(error.to_string()))
    }
}

/// Rows of an earlier file that were settled. The last line may be torn: whoever wrote it was killed, and did not settle it.
fn kept(path: &Path, settled: u64) -> Result<Vec<StringRecord>, csv::Error> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path)?;
    let mut kept = Vec::new();
    for row in reader.records() {
        let Ok(row) = row else { continue };
        let number = row.get(0).and_then(|text| text.parse::<u64>().ok());
        if number.is_some_and(|number| number <= settled) {
            kept.push(row);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(row: u64) -> Reject {
        Reject {
            row,
            why: Rejection::new("usage.too_old", "occurred_at", "must be later"),
            cells: StringRecord::from(vec!["e", "a \"b\""]),
        }
    }

    #[test]
    fn what_was_not_settled_is_written_again_and_nothing_else_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects.csv");
        let header = ["id".to_owned(), "note".to_owned()];
        let mut first = Rejects::open(&path, &header, 0).unwrap();
        first.write(&[reject(3), reject(5), reject(9)]).unwrap();
        drop(first);
        let torn = fs::read_to_string(&path).unwrap() + "11,usage.too";
        fs::write(&path, torn).unwrap();
        let mut second = Rejects::open(&path, &header, 5).unwrap();
        second.write(&[reject(9)]).unwrap();
        drop(second);
        let line =
            |row| format!("{row},usage.too_old,occurred_at,must be later,e,\"a \"\"b\"\"\"\n");
        let expected = format!(
            "row,code,field,reason,id,note\n{}{}{}",
            line(3),
            line(5),
            line(9)
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }
}
