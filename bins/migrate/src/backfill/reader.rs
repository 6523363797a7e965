//! Reading rows, a page at a time, ahead of whoever settles them.

use std::{collections::HashSet, sync::mpsc::SyncSender};

use csv::StringRecord;
use usage::import::Position;

use super::{
    reading::{Reading, RowReader},
    rows::{NumberedRows, RowsError},
};

/// Rows that are settled in one transaction, where they are of few tenants.
const PAGE: usize = 2_000;
/// Rows that a page has for each of its tenants: entering one costs a few statements, however many rows it has.
const PER_TENANT: usize = 500;
/// Rows that a page has at most, and bytes.
const MOST: usize = 20_000;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Rows that were read, and where that leaves the reader.
pub(crate) struct Chunk {
    pub(crate) from: u64,
    pub(crate) to: Position,
    pub(crate) rows: Vec<ReadRow>,
    /// How far the source was read, of its size.
    pub(crate) done: u64,
}

/// A row, and what it holds.
pub(crate) struct ReadRow {
    pub(crate) number: u64,
    pub(crate) cells: StringRecord,
    pub(crate) reading: Reading,
}

/// Reads every row, in pages of which one ends exactly where the import stands.
pub(crate) fn read_all(
    mut rows: NumberedRows,
    reader: &RowReader,
    settled: u64,
    chunks: &SyncSender<Result<Chunk, RowsError>>,
) {
    loop {
        let chunk = read_chunk(&mut rows, reader, settled);
        if chunk.as_ref().is_ok_and(|chunk| chunk.rows.is_empty()) {
            return;
        }
        let is_last = chunk.is_err();
        // Whoever settles has given up, and says why.
        if chunks.send(chunk).is_err() || is_last {
            return;
        }
    }
}

fn read_chunk(
    rows: &mut NumberedRows,
    reader: &RowReader,
    settled: u64,
) -> Result<Chunk, RowsError> {
    let from = rows.number();
    let mut page = Filling::default();
    while !page.is_full() && (rows.number() != settled || page.rows.is_empty()) {
        let Some((cells, spoilt)) = rows.next()? else {
            break;
        };
        let reading = spoilt.map_or_else(|| reader.read(&cells), Reading::refused);
        page.add(ReadRow {
            number: rows.number(),
            cells,
            reading,
        });
    }
    Ok(Chunk {
        from,
        to: rows.position(),
        rows: page.rows,
        done: rows.done(),
    })
}

/// A page that is being filled.
#[derive(Default)]
struct Filling {
    rows: Vec<ReadRow>,
    bytes: usize,
    tenants: HashSet<String>,
}

impl Filling {
    fn add(&mut self, row: ReadRow) {
        self.bytes += row.cells.as_slice().len();
        if let Ok(tenant) = &row.reading.tenant
            && !self.tenants.contains(tenant)
        {
            self.tenants.insert(tenant.clone());
        }
        self.rows.push(row);
    }

    fn is_full(&self) -> bool {
        let wanted = PAGE.max(self.tenants.len() * PER_TENANT).min(MOST);
        self.rows.len() >= wanted || self.bytes >= MOST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(tenants: usize) -> usize {
        let mut page = Filling::default();
        for number in 0.. {
            if page.is_full() {
                break;
            }
            let tenant = (number % tenants as u64).to_string();
            page.add(ReadRow {
                number,
                cells: StringRecord::from(vec!["x"]),
                reading: Reading {
                    tenant: Ok(tenant),
                    entries: Vec::new(),
                },
            });
        }
        page.rows.len()
    }

    #[test]
    fn a_page_of_many_tenants_is_larger_up_to_a_point() {
        assert_eq!(
            [1, 10, 40, 5_000].map(rows_of),
            [2_000, 5_000, 20_000, 20_000]
        );
    }
}
