//! Usage: how long events are kept, and where they go.

use serde::Deserialize;

use crate::value::optional_text;

/// Days for which events are kept at least: an id counts once for 35 days, which must not lose a month.
pub(crate) const MIN_RETENTION_DAYS: u32 = 70;

/// Usage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Days for which events are kept after the end of their month; 0 is for ever.
    pub retention_days: u32,
    /// Where they go before that.
    pub export: UsageExport,
}

/// Where a month of events is written before it goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageExport {
    /// The folder.
    #[serde(deserialize_with = "optional_text")]
    pub directory: Option<String>,
    /// How it is written.
    pub format: ExportFormat,
}

/// How a month of events is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Compressed lines.
    Csv,
}

impl Usage {
    /// Days for which events are kept; `None` when that is for ever.
    #[must_use]
    pub const fn retention_days(&self) -> Option<u32> {
        match self.retention_days {
            0 => None,
            days => Some(days),
        }
    }
}
