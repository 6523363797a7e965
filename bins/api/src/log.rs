//! The log, as the configuration wants it.

use config::{Log, LogFormat};
use tracing_subscriber::{EnvFilter, fmt};

use plinth_api::Failure;

/// Sends everything that is logged to the standard output.
pub(crate) fn install(log: &Log) -> Result<(), Failure> {
    let filter =
        EnvFilter::try_new(&log.filter).map_err(|error| Failure::Log(error.to_string()))?;
    let subscriber = fmt().with_env_filter(filter);
    let installed = match log.format {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        LogFormat::Pretty => subscriber.with_target(false).try_init(),
    };
    installed.map_err(|error| Failure::Log(error.to_string()))
}
