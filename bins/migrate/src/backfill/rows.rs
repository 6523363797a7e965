//! Where rows come from: one after another, always in the same order.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};
use pg::table_reader::{Column, TableError, TableReader};
use sha2::{Digest, Sha256};
use usage::{Rejection, import::Position};

/// Rows of a table.
pub(crate) trait Rows: Send {
    /// The names of the columns.
    fn header(&self) -> &[String];

    /// The next row as bytes, cell by cell; `false` behind the last one.
    ///
    /// # Errors
    /// [`RowsError`]: there is no going on.
    fn next(&mut self, row: &mut ByteRecord) -> Result<bool, RowsError>;

    /// How far it has come, of [`Rows::size`].
    fn done(&self) -> u64;

    /// How much there is: bytes or rows.
    fn size(&self) -> u64;
}

/// Rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowsError {
    #[error("reading {}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("{0} is empty: its first line must name the columns")]
    NoHeader(String),
    #[error("reading from the other database: {0}")]
    Table(#[from] TableError),
}

/// A CSV file with a header.
pub(crate) struct CsvRows {
    path: PathBuf,
    reader: Reader<BufReader<File>>,
    header: Vec<String>,
    size: u64,
}

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

impl CsvRows {
    /// Opens a file and reads its header. A byte order mark is passed over.
    ///
    /// # Errors
    /// [`RowsError::File`], [`RowsError::NoHeader`].
    pub(crate) fn open(path: &Path, delimiter: u8) -> Result<Self, RowsError> {
        let failed = |error: std::io::Error| RowsError::File {
            path: path.to_owned(),
            why: error.to_string(),
        };
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut start = Vec::with_capacity(BOM.len());
        let read = Read::by_ref(&mut file).take(3).read_to_end(&mut start);
        read.map_err(failed)?;
        if start != BOM {
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
        }
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(BufReader::with_capacity(1 << 16, file));
        let mut rows = Self {
            path: path.to_owned(),
            reader,
            header: Vec::new(),
            size,
        };
        let mut header = ByteRecord::new();
        if !rows.next(&mut header)? {
            return Err(RowsError::NoHeader(path.display().to_string()));
        }
        let name = |cell: &[u8]| String::from_utf8_lossy(cell).trim().to_owned();
        rows.header = header.iter().map(name).collect();
        Ok(rows)
    }
}

impl Rows for CsvRows {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn next(&mut self, row: &mut ByteRecord) -> Result<bool, RowsError> {
        let failed = |why| RowsError::File {
            path: self.path.clone(),
            why,
        };
        let line = self.reader.position().line();
        let is_row = self
            .reader
            .read_byte_record(row)
            .map_err(|error| failed(error.to_string()))?;
        if row.as_slice().len() > MAX_ROW {
            return Err(failed(format!(
                "the row in line {line} has over {MAX_ROW} bytes: is a quotation mark missing at its end?"
            )));
        }
        Ok(is_row)
    }

    fn done(&self) -> u64 {
        self.reader.position().byte()
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// No event is as large. A quotation mark that nothing closes makes one row of all that follow.
const MAX_ROW: usize = 1 << 20;

/// A table of another PostgreSQL.
pub(crate) struct TableRows {
    reader: TableReader,
    header: Vec<String>,
    size: u64,
    done: u64,
}

impl TableRows {
    /// Begins to read those of the `wanted` columns that there are. Keys that count up give the order, and otherwise times and keys, so that
    /// rows which are added come behind those that were there.
    ///
    /// # Errors
    /// [`RowsError::Table`].
    pub(crate) fn start(
        mut reader: TableReader,
        wanted: &[&str],
        id: &str,
        occurred_at: &str,
    ) -> Result<Self, RowsError> {
        let columns = reader.columns().iter();
        let header: Vec<String> = columns
            .map(|column| column.name.clone())
            .filter(|name| wanted.contains(&name.as_str()))
            .collect();
        let counts_up = |column: &Column| column.name == id && column.is_integer;
        let order: &[&str] = if reader.columns().iter().any(counts_up) {
            &[id]
        } else {
            &[occurred_at, id]
        };
        let order: Vec<String> = order.iter().map(|name| (*name).to_owned()).collect();
        reader.start(&header, &order)?;
        Ok(Self {
            size: reader.estimate(),
            reader,
            header,
            done: 0,
        })
    }
}

impl Rows for TableRows {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn next(&mut self, row: &mut ByteRecord) -> Result<bool, RowsError> {
        let Some(cells) = self.reader.next_row()? else {
            return Ok(false);
        };
        row.clear();
        for cell in &cells {
            row.push_field(cell.as_deref().unwrap_or_default().as_bytes());
        }
        self.done += 1;
        Ok(true)
    }

    fn done(&self) -> u64 {
        self.done
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// Rows with their number, and a digest over all that have been read.
pub(crate) struct NumberedRows {
    rows: Box<dyn Rows>,
    hash: Sha256,
    number: u64,
    record: ByteRecord,
}

impl NumberedRows {
    pub(crate) fn new(rows: Box<dyn Rows>) -> Self {
        let mut numbered = Self {
            hash: Sha256::new(),
            number: 0,
            record: ByteRecord::new(),
            rows,
        };
        // The same cells under other names are other rows.
        let header: ByteRecord = numbered.rows.header().to_vec().into();
        add(&mut numbered.hash, &header);
        numbered
    }

    /// The next row: its text, or its nearest text and why it is none.
    ///
    /// # Errors
    /// As [`Rows::next`].
    pub(crate) fn next(&mut self) -> Result<Option<(StringRecord, Option<Rejection>)>, RowsError> {
        if !self.rows.next(&mut self.record)? {
            return Ok(None);
        }
        self.number += 1;
        add(&mut self.hash, &self.record);
        Ok(Some(text(&self.record)))
    }

    /// Where it stands, with the digest over every row so far. What counts are the cells, and not how a file quotes them or ends its lines.
    pub(crate) fn position(&self) -> Position {
        Position {
            rows: self.number,
            digest: base16ct::lower::encode_string(&self.hash.clone().finalize()),
        }
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn done(&self) -> u64 {
        self.rows.done()
    }
}

fn add(hash: &mut Sha256, record: &ByteRecord) {
    hash.update(
        u64::try_from(record.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes(),
    );
    for cell in record {
        hash.update(u64::try_from(cell.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(cell);
    }
}

fn text(record: &ByteRecord) -> (StringRecord, Option<Rejection>) {
    StringRecord::from_byte_record(record.clone()).map_or_else(
        |_| {
            let nearest = record.iter().map(String::from_utf8_lossy).collect();
            let why = Rejection::new("backfill.invalid_text", "", "must be UTF-8");
            (nearest, Some(why))
        },
        |text| (text, None),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn position(content: &[u8]) -> (Position, Vec<Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, content).unwrap();
        let mut rows = NumberedRows::new(Box::new(CsvRows::open(&path, b',').unwrap()));
        let mut read = Vec::new();
        while let Some((row, _)) = rows.next().unwrap() {
            read.push(row.iter().map(str::to_owned).collect());
        }
        (rows.position(), read)
    }

    #[test]
    fn how_a_file_is_written_makes_no_difference() {
        let (plain, rows) = position(b"id,note\n1,\"a, \"\"b\"\"\nc\"\n2,d\n");
        assert_eq!(rows, [["1", "a, \"b\"\nc"], ["2", "d"]]);
        for same in [
            &b"\xef\xbb\xbfid,note\n1,\"a, \"\"b\"\"\nc\"\n2,d\n"[..],
            b"id,note\r\n1,\"a, \"\"b\"\"\nc\"\r\n2,d\r\n",
            b"\"id\",\"note\"\n1,\"a, \"\"b\"\"\nc\"\n\n2,d",
        ] {
            assert_eq!(position(same).0, plain);
        }
        for other in [
            &b"id,note\n1,\"a, \"\"b\"\"\nc\"\n2,e\n"[..],
            b"id,text\n1,\"a, \"\"b\"\"\nc\"\n2,d\n",
            b"id,note\n2,d\n1,\"a, \"\"b\"\"\nc\"\n",
            b"id,note\n1,\"a, \"\"b\"\"\nc2\"\n,d\n",
        ] {
            assert_ne!(position(other).0.digest, plain.digest);
        }
    }

    #[test]
    fn text_that_is_not_utf_8_spoils_its_own_row_only() {
        let (position, rows) = position(b"id,note\n1,caf\xe9\n2,caf\xc3\xa9\n");
        assert_eq!(position.rows, 2);
        assert_eq!(rows[1][1], "café");
        assert_eq!(rows[0][1], "caf\u{fffd}");
    }

    #[test]
    fn a_file_without_a_header_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, b"").unwrap();
        assert!(matches!(
            CsvRows::open(&path, b','),
            Err(RowsError::NoHeader(_))
        ));
    }
}
