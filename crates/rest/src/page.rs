//! Lists: `?limit=…&cursor=…` in, `{data, next_cursor}` out.

use kernel::{FieldError, Page, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which page is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows in the page, 1 to 100; 50 when not given.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-fA-F]{2})*$")]
    pub cursor: Option<String>,
}

impl PageQuery {
    /// Checks both.
    ///
    /// # Errors
    /// `out_of_range`, `invalid_cursor`.
    pub fn parse(&self) -> Result<PageRequest, FieldError> {
        PageRequest::parse(self.limit, self.cursor.as_deref())
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListBody<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where the next page starts; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> ListBody<T> {
    /// The rows of `page`, each turned into what clients see.
    pub fn of<R>(page: Page<R>, show: impl FnMut(R) -> T) -> Self {
        let next_cursor = page
            .next_cursor
            .as_ref()
            .map(|cursor| cursor.as_str().to_owned());
        Self {
            data: page.data.into_iter().map(show).collect(),
            next_cursor,
        }
    }

    /// A list that always fits into one page.
    #[must_use]
    pub const fn whole(data: Vec<T>) -> Self {
        Self {
            data,
            next_cursor: None,
        }
    }
}
