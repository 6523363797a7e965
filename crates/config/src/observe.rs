//! What the process tells about itself.

use serde::Deserialize;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{ConfigError, value::optional_text};

/// The log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// What is logged, as in `RUST_LOG`.
    pub filter: String,
}

impl Log {
    /// Sends everything that this process logs to its standard output, as these settings say. Once a process.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] when the filter cannot be read, or a log is there already.
    pub fn install(&self) -> Result<(), ConfigError> {
        let refused = |why: String| ConfigError::Invalid {
            key: "log.filter".to_owned(),
            source_name: self.filter.clone(),
            why,
        };
        let filter =
            EnvFilter::try_new(&self.filter).map_err(|error| refused(error.to_string()))?;
        let subscriber = fmt().with_env_filter(filter);
        let installed = match self.format {
            LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
            LogFormat::Pretty => subscriber.with_target(false).try_init(),
        };
        installed.map_err(|error| refused(error.to_string()))
    }
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Traces.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Address of a collector.
    #[serde(deserialize_with = "optional_text")]
    pub otlp_endpoint: Option<String>,
}
