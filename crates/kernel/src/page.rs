//! Keyset pages: `?limit=…&cursor=…` in, `{data, next_cursor}` out.
//!
//! A cursor is opaque to clients and a sort key to stores: a few strings, in the order of the list's `ORDER BY`.

use serde::{Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

use crate::FieldError;

/// Most rows that one page holds.
pub const MAX_LIMIT: u32 = 100;
/// Characters that a cursor may have: keys hold names of up to 255 characters, of which a usage row has two.
const MAX_CURSOR: usize = 8 * 1024;
/// Rows in a page when the client does not say.
pub const DEFAULT_LIMIT: u32 = 50;

/// Where the next page starts: the sort key of the last row seen, as JSON in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor behind the row with this sort key.
    #[must_use]
    pub fn after<K: Serialize>(key: &K) -> Self {
        let json = serde_json::to_vec(key).unwrap_or_default();
        Self(base16ct::lower::encode_string(&json))
    }

    /// Reads a cursor that a client sends back.
    ///
    /// # Errors
    /// `invalid_cursor` when this is no cursor at all. Whether it is one *of this list* shows in [`Cursor::key`].
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        if text.len() <= MAX_CURSOR && base16ct::mixed::decode_vec(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid())
        }
    }

    /// The sort key.
    ///
    /// # Errors
    /// `invalid_cursor` when the cursor was made for another list.
    pub fn key<K: DeserializeOwned>(&self) -> Result<K, FieldError> {
        let json = base16ct::mixed::decode_vec(&self.0).map_err(|_| invalid())?;
        serde_json::from_slice(&json).map_err(|_| invalid())
    }

    /// The text that goes to the client.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn invalid() -> FieldError {
    FieldError::new(
        "cursor",
        "invalid_cursor",
        "must be a next_cursor that this list gave",
    )
}

/// The instant in a cursor, written as nanoseconds since 1970. No row is older.
///
/// # Errors
/// `invalid_cursor` when no row can have been written then: a store could not compare with it.
pub fn instant(nanos: i128) -> Result<OffsetDateTime, FieldError> {
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .filter(|at| *at >= OffsetDateTime::UNIX_EPOCH)
        .ok_or_else(invalid)
}

/// Which page a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows wanted, 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// Where to go on; `None` is the first page.
    pub cursor: Option<Cursor>,
}

impl PageRequest {
    /// Checks the two query parameters.
    ///
    /// # Errors
    /// `out_of_range` on `limit`; `invalid_cursor` on `cursor`.
    pub fn parse(limit: Option<u32>, cursor: Option<&str>) -> Result<Self, FieldError> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(FieldError::new(
                "limit",
                "out_of_range",
                "must be between 1 and 100",
            ));
        }
        Ok(Self {
            limit,
            cursor: cursor.map(Cursor::parse).transpose()?,
        })
    }

    /// The first page, as large as it may be.
    #[must_use]
    pub const fn first() -> Self {
        Self {
            limit: MAX_LIMIT,
            cursor: None,
        }
    }

    /// The sort key to go on behind, or `None` on the first page.
    ///
    /// # Errors
    /// `invalid_cursor` when the cursor belongs to another list.
    pub fn key<K: DeserializeOwned>(&self) -> Result<Option<K>, FieldError> {
        self.cursor.as_ref().map(Cursor::key).transpose()
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where the next page starts, when there is one.
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page from up to `limit + 1` rows: the row too many only proves that there is a next page.
    #[must_use]
    pub fn from_rows<K: Serialize>(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|row| Cursor::after(&key(row)));
        Self {
            data: rows,
            next_cursor,
        }
    }

    /// The same page with every row turned into something else.
    #[must_use]
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            data: self.data.into_iter().map(f).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_wire_and_garbage_does_not() {
        let cursor = Cursor::after(&("2026-01-01", 7));
        let back = Cursor::parse(cursor.as_str()).unwrap();
        assert_eq!(
            back.key::<(String, i32)>().unwrap(),
            ("2026-01-01".to_owned(), 7)
        );
        assert!(back.key::<i32>().is_err());
        let names = ("é".repeat(255), "字".repeat(255));
        let long = Cursor::after(&names);
        assert_eq!(
            Cursor::parse(long.as_str())
                .unwrap()
                .key::<(String, String)>()
                .unwrap(),
            names
        );
        assert_eq!(Cursor::parse("5B375D").unwrap().key::<[i32; 1]>(), Ok([7]));
        for garbage in ["zz", "abc", "+7", "é", &"0".repeat(MAX_CURSOR + 2)] {
            assert!(Cursor::parse(garbage).is_err(), "{garbage}");
        }
    }

    #[test]
    fn an_instant_that_no_row_has_is_no_part_of_a_cursor() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        assert_eq!(instant(now.unix_timestamp_nanos()), Ok(now));
        for nanos in [-1, i128::MIN, i128::MAX] {
            assert_eq!(instant(nanos).unwrap_err().code, "invalid_cursor");
        }
    }

    #[test]
    fn a_page_knows_whether_there_is_another() {
        let page = Page::from_rows(vec![1, 2, 3], 2, |row| *row);
        assert_eq!(page.data, [1, 2]);
        assert_eq!(page.next_cursor.unwrap().key::<i32>().unwrap(), 2);
        assert!(
            Page::from_rows(vec![1, 2], 2, |row| *row)
                .next_cursor
                .is_none()
        );
    }
}
