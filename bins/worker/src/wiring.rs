//! Which adapter stands behind which port.

use std::sync::Arc;

use billing::Watch;
use config::{Config, ExportFormat, mail::Transport};
use gateways::{
    archive::FolderArchive,
    mail::{FileMailer, MailerError, SmtpMailer},
};
use jobs::{Registry, Settings, Worker, catalogue};
use kernel::{Clock, SystemClock};
use pg::Pg;
use secrecy::ExposeSecret;
use tenancy::{InvitationTokens, Mailer};
use time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use usage::{Books, retention::Retention};

use crate::Failure;

/// Runs the worker until it is told to stop.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let pg = Pg::connect(&pg::Settings {
        url: config.database.worker_url()?.expose_secret().to_owned(),
        max_connections: config.database.max_connections,
        statement_timeout: config.database.statement_timeout(),
        prepared_statements: config.database.prepared_statements,
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let registry = registry(config, &pg, &clock)?;
    let worker = Worker::new(pg.unit_of_work(|tx| tx), clock, registry, settings(config));
    let mut stop = std::pin::pin!(stop);
    tokio::select! {
        () = &mut stop => return Ok(()),
        checked = pg.wait_until_safe() => checked?,
    }
    tracing::info!(
        queue = config.worker.queue,
        concurrency = config.worker.concurrency,
        "working"
    );
    Ok(worker.run(stop).await?)
}

fn registry(config: &Config, pg: &Pg, clock: &Arc<dyn Clock>) -> Result<Registry, Failure> {
    let registry = catalogue::registry(catalogue::Ports {
        tenancy: pg.unit_of_work(|tx| tx),
        lifecycle: pg.unit_of_work(|tx| tx),
        upkeep: pg.unit_of_work(|tx| tx),
        tokens: tokens(config)?,
        mailer: mailer(config)?,
        link_base: config.mail.link_base.clone(),
    });
    let books = Books::new(pg.unit_of_work(|tx| tx), Arc::clone(clock));
    let watch = Watch::new(
        pg.unit_of_work(|tx| tx),
        pg.unit_of_work(|tx| tx),
        Arc::clone(clock),
    );
    let registry = jobs::billing::register(registry, watch);
    let registry = jobs::usage::register(registry, &books);
    let Some(days) = config.usage.retention_days() else {
        return Ok(registry);
    };
    let kept = Duration::days(i64::from(days));
    let retention = Retention::new(pg.unit_of_work(|tx| tx), kept);
    let retention = match (&config.usage.export.directory, config.usage.export.format) {
        (None, _) => retention,
        (Some(folder), ExportFormat::Csv) => {
            retention.with_archive(Arc::new(FolderArchive::new(folder)?))
        }
    };
    Ok(jobs::usage::register_retention(registry, retention))
}

/// The API makes the same: see `bins/api`.
fn tokens(config: &Config) -> Result<InvitationTokens, Failure> {
    let peppers = config.identity.peppers()?;
    let secrets: Vec<&[u8]> = peppers
        .iter()
        .map(|(_, pepper)| pepper.expose_secret().as_bytes())
        .collect();
    Ok(InvitationTokens::derive(&secrets))
}

fn mailer(config: &Config) -> Result<Arc<dyn Mailer>, Failure> {
    let from = &config.mail.from;
    let mailer: Result<Arc<dyn Mailer>, MailerError> = match config.mail.transport()? {
        Transport::Smtp(url) => SmtpMailer::new(&url, from).map(|mailer| Arc::new(mailer) as _),
        Transport::Folder(path) => FileMailer::new(path, from).map(|mailer| Arc::new(mailer) as _),
    };
    Ok(mailer?)
}

fn settings(config: &Config) -> Settings {
    Settings {
        queue: config.worker.queue.clone(),
        concurrency: config.worker.concurrency,
        poll: config.worker.poll(),
        lease: config.worker.lease(),
        shutdown: config.worker.shutdown(),
    }
}
