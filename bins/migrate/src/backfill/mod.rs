//! `plinth-migrate backfill`: usage of another system, brought in by the rules for events that are sent.
//!
//! | file | what is in it |
//! |---|---|
//! | `mapping` | what the columns of a table mean |
//! | `columns` | where in a row they are |
//! | `rows` | rows of a CSV file or of a table, and the digest over them |
//! | `reading` | events of a row |
//! | `instant` | times as databases write them |
//! | `tenants` | which of our tenants the source means |
//! | `reader` | reading rows, a page at a time |
//! | `import` | the way of rows into the database, page by page |
//! | `rejects` | refused rows, in a file |
//! | `books` | what the source holds against what the tenants have of it |
//! | `report` | the books as text and as JSON |
//! | `progress` | how far it has come |
//!
//! Rules of what an import is, and what makes it safe to repeat, are in `usage::import`.

mod books;
mod columns;
mod import;
mod instant;
mod mapping;
mod progress;
mod reader;
mod reading;
mod rejects;
mod report;
mod rows;
mod tenants;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use kernel::{FieldError, StoreError, Zone};
use pg::{Pg, Settings, table_reader::TableReader};
use usage::import::{Identity, ImportError};

use self::{
    columns::{Columns, HeaderError},
    import::Import,
    mapping::{Mapping, MappingError},
    reading::RowReader,
    rejects::RejectsError,
    rows::{CsvRows, NumberedRows, Rows, RowsError, TableRows},
    tenants::{Tenants, TenantsError},
};
use crate::environment;

/// How long one statement may take: a page is settled in well under a second, and the books are read tenant by tenant.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);

/// What `plinth-migrate backfill` is asked for.
#[derive(Debug, Args)]
pub(crate) struct Backfill {
    /// The table: usage_logs, usage_events, metered_events, token_usage, or any other with --map.
    table: String,
    /// A CSV file whose first line names the columns.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    csv: Option<PathBuf>,
    /// Another PostgreSQL to read the table from. Without --csv and --from, SOURCE_DATABASE_URL, which keeps a password off the command line.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// What stands between the cells of the CSV file; `tab` for a tab.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// What columns mean: id=…, tenant=…, occurred_at=…, metric=…, quantity=…, user=…, model=…, project=…, metadata=…, `metadata.<field>=…`.
    /// `@text` instead of a column is the same for every row.
    #[arg(long, value_name = "FIELD=COLUMN", value_delimiter = ',')]
    map: Vec<String>,
    /// A column that holds quantities of a meter. Several make several events of a row.
    #[arg(long, value_name = "METRIC=COLUMN", value_delimiter = ',')]
    measure: Vec<String>,
    /// The source of the events. Two files need two: one source is one import. Otherwise `backfill:<table>`.
    #[arg(long)]
    source: Option<String>,
    /// A CSV file of tenants: name in the source, id or slug here. Others are found by their id or slug.
    #[arg(long, value_name = "FILE")]
    tenants: Option<PathBuf>,
    /// Projects of the source are those of Plinth, and unknown ones are refused. Otherwise they are kept as metadata.
    #[arg(long)]
    projects: bool,
    /// The zone of times that have no offset.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// Read and check everything, and write nothing to the database.
    #[arg(long)]
    dry_run: bool,
    /// End with 4 when anything was refused.
    #[arg(long)]
    strict: bool,
    /// Write refused rows to a CSV file, with code and reason.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Write the books to a JSON file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The books balance.
    Done,
    /// They do, but something was refused and nothing should have been.
    Refused,
    /// They do not.
    Unbalanced,
}

/// Why it did not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackfillError {
    #[error("no database: give --database-url, or set DATABASE_URL, with the role plinth_app")]
    NoDatabase,
    #[error("no source: give --csv or --from, or set SOURCE_DATABASE_URL")]
    NoSource,
    #[error("--source must be 1 to 255 bytes without control characters")]
    Source,
    #[error("--time-zone {0}")]
    Zone(FieldError),
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Tenants(#[from] TenantsError),
    #[error(transparent)]
    Rejects(#[from] RejectsError),
    #[error(
        "the source has changed: {settled} of its rows were settled by an earlier run, and they are not the rows that it holds now. \
         Only a table that nobody has brought in yet may have another --source: under it, rows that were settled count again"
    )]
    Changed { settled: u64 },
    #[error(transparent)]
    Refused(ImportError),
    #[error("{0}. What was settled stays; start it again, and it goes on from there")]
    Failed(ImportError),
    #[error("writing {path}: {why}")]
    Report { path: String, why: String },
    #[error("starting: {0}")]
    Start(String),
}

impl BackfillError {
    /// Whether it was refused, rather than failed.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Refused(_))
    }
}

impl From<ImportError> for BackfillError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::OtherMapping { .. } | ImportError::Moved => Self::Refused(error),
            ImportError::Ingest(_) | ImportError::Store(_) => Self::Failed(error),
        }
    }
}

impl From<StoreError> for BackfillError {
    fn from(error: StoreError) -> Self {
        ImportError::from(error).into()
    }
}

/// Runs an import to its end.
///
/// # Errors
/// See [`BackfillError`].
pub(crate) fn run(asked: Backfill, database_url: Option<String>) -> Result<Ending, BackfillError> {
    let url = database_url
        .or_else(environment::app_database_url)
        .ok_or(BackfillError::NoDatabase)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| BackfillError::Start(error.to_string()))?;
    runtime.block_on(import(asked, url))
}

async fn import(asked: Backfill, url: String) -> Result<Ending, BackfillError> {
    let zone = Zone::parse("time_zone", &asked.time_zone).map_err(BackfillError::Zone)?;
    let mapping = Mapping::described(&asked.table, &asked.map, &asked.measure)?;
    let identity = identity(&asked, &mapping, &zone)?;
    let tenants = Tenants::open(asked.tenants.as_deref())?;
    let rows = open(&asked, &mapping)?;
    let header = rows.header().to_vec();
    let columns = Columns::find(&mapping, &header)?;
    let reader = RowReader::new(columns, &identity.source, zone, asked.projects);
    let pg = Pg::connect(&Settings {
        url,
        max_connections: 1,
        statement_timeout: STATEMENT_TIMEOUT,
        // There may be a pooler on the way, and nothing is asked often enough to miss them.
        prepared_statements: false,
    })?;
    pg.refuse_unsafe().await?;
    let size = rows.size();
    let import = Import::begin(pg.unit_of_work(|tx| tx), identity, tenants, asked.dry_run).await?;
    let rows = NumberedRows::new(rows);
    let summary = import
        .run(rows, reader, size, asked.rejects.as_deref(), &header)
        .await?;
    report::print(&summary);
    if let Some(path) = &asked.report {
        report::write(&summary, path)?;
    }
    Ok(summary.ending(asked.strict))
}

/// Opens the source.
fn open(asked: &Backfill, mapping: &Mapping) -> Result<Box<dyn Rows>, BackfillError> {
    if let Some(path) = &asked.csv {
        return Ok(Box::new(CsvRows::open(path, asked.delimiter)?));
    }
    let url = asked.from.clone().or_else(environment::source_database_url);
    let url = url.ok_or(BackfillError::NoSource)?;
    let table = TableReader::open(&url, &asked.table).map_err(RowsError::Table)?;
    let names = table.columns().iter().map(|column| column.name.clone());
    columns::check_header(mapping, &names.collect::<Vec<_>>())?;
    let wanted: Vec<&str> = mapping
        .columns()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let rows = TableRows::start(table, &wanted, &mapping.id, &mapping.occurred_at)?;
    Ok(Box::new(rows))
}

/// Which import it is. Whatever decides what a row becomes is in the mapping, so that a run goes on as the one before it began.
fn identity(asked: &Backfill, mapping: &Mapping, zone: &Zone) -> Result<Identity, BackfillError> {
    let source = asked
        .source
        .clone()
        .unwrap_or_else(|| format!("backfill:{}", asked.table));
    if source.is_empty()
        || source.len() > usage::event::MAX_TEXT
        || source.chars().any(char::is_control)
    {
        return Err(BackfillError::Source);
    }
    let options = serde_json::json!({
        "columns": mapping,
        "time_zone": zone.name(),
        "projects": asked.projects,
    });
    Ok(Identity {
        source,
        table: asked.table.clone(),
        mapping: options.to_string(),
    })
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("must be one ASCII character, or `tab`".to_owned()),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a command-line tool says on stderr how far it has come"
)]
fn tell(line: std::fmt::Arguments<'_>) {
    eprintln!("plinth-migrate: {line}");
}
