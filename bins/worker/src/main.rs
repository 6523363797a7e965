//! The Plinth worker: reads the configuration, opens the database and the mailer, and hands them to `plinth-jobs`.

mod wiring;

use std::{io::Write, process::ExitCode, time::Duration};

use config::{Config, ConfigError, Service};
use kernel::StoreError;

/// Why the worker did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Mail(#[from] gateways::mail::MailerError),
    #[error(transparent)]
    Archive(#[from] usage::retention::ArchiveError),
    #[error("the database: {0}")]
    Database(#[from] StoreError),
    #[error("the runtime: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Died(#[from] jobs::Died),
}

/// How long statements that still run are waited for when everything else has ended.
const LAST_STATEMENTS: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell when this fails.
            let _ = writeln!(std::io::stderr(), "plinth-worker: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Failure> {
    let config = Config::load_for(Service::Worker)?;
    config.log.install()?;
    // Jobs wait for the database or for a mail server; they do not calculate.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(config.database.max_connections + 8)
        .thread_name("worker")
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(wiring::run(&config));
    runtime.shutdown_timeout(LAST_STATEMENTS);
    outcome
}
