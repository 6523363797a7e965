//! The Plinth API server: reads the configuration, opens the database, and serves until it is told to stop.

use std::{io::Write, net::TcpListener, process::ExitCode, time::Duration};

use config::{Config, Service};
use plinth_api::Failure;
use rest::Services;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell when this fails.
            let _ = writeln!(std::io::stderr(), "plinth-api: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Failure> {
    let config = Config::load_for(Service::Api)?;
    config.log.install()?;
    actix_web::rt::System::new().block_on(run(&config))
}

async fn run(config: &Config) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let pg = plinth_api::database(config)?;
    let services = plinth_api::services(config, &pg)?;
    tokio::select! {
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        checked = pg.wait_until_safe() => checked?,
    }
    let address = (config.http.bind, config.http.port);
    let listener = TcpListener::bind(address)?;
    tracing::info!(bind = %config.http.bind, port = config.http.port, "serving");
    let server = rest::serve(services.clone(), listener, &serving(config))?;
    let handle = server.handle();
    let upkeep = tokio::spawn(upkeep(services.clone()));
    let served = tokio::spawn(server);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    handle.stop(true).await;
    upkeep.abort();
    flush(&services).await;
    match served.await {
        Ok(result) => Ok(result?),
        Err(_) => Ok(()),
    }
}

fn serving(config: &Config) -> rest::Serving {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    rest::Serving {
        workers: if config.http.workers == 0 {
            processors
        } else {
            config.http.workers
        },
        keep_alive: Duration::from_secs(config.http.keep_alive_seconds),
        shutdown: Duration::from_secs(config.http.shutdown_seconds),
    }
}

/// What this process collects in memory: written, and forgotten, from time to time.
async fn upkeep(services: Services) {
    let mut tick = tokio::time::interval(Duration::from_secs(10));
    loop {
        tick.tick().await;
        services.limits.sweep();
        flush(&services).await;
    }
}

async fn flush(services: &Services) {
    if let Err(error) = services.identity.flush_key_uses().await {
        tracing::warn!(%error, "when keys were used is not written yet");
    }
}
