//! plinth-migrate: the schema up and down, and where it stands; and usage of another system, brought in.
//!
//! It connects as whoever may change the schema: `--database-url`, else `OWNER_DATABASE_URL`, else `DATABASE_URL`, the last two also as
//! `…_FILE`. `backfill` changes no schema and connects as the API does: `--database-url`, else `DATABASE_URL`. It ends with 0 when done, 1
//! when something failed, 2 when it was called wrongly and 3 when it refused; `backfill` also with 4 when rows were refused and none should
//! have been, and 5 when its books do not balance.

mod backfill;
mod create;
mod environment;

use std::{path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
use kernel::{Clock, SystemClock};
use pg::migrate::{MigrateError, Migrator};

use crate::{
    backfill::{Backfill, BackfillError, Ending},
    create::CreateError,
};

/// Changes the schema of a Plinth database, and says where it stands.
#[derive(Debug, Parser)]
#[command(name = "plinth-migrate", version)]
struct Cli {
    /// Whom to connect as; a superuser makes the roles too. Otherwise OWNER_DATABASE_URL or DATABASE_URL, or either as …_FILE.
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every version that has not run, then the replaceable scripts. To restore a dump, stop the services first, and run this before they
    /// start again.
    Up,
    /// Take back the newest version.
    Down {
        /// Do so in production too. Data of that version are lost.
        #[arg(long)]
        force: bool,
    },
    /// Take back every version. All data are lost.
    DownAll {
        /// Do so in production too.
        #[arg(long)]
        force: bool,
    },
    /// Print the newest version that ran.
    Version,
    /// Note that everything up to a version ran and nothing after it, without running anything: after a repair by hand.
    Force {
        /// The version, such as 2026-11-21-090000, or its full name.
        version: String,
    },
    /// Make an empty version in migrations/versions.
    Create {
        /// The domain whose tables it makes.
        domain: String,
        /// What it makes, such as slug_history.
        what: String,
    },
    /// List every version, and whether it ran.
    Status,
    /// Bring in usage that another system measured, from a CSV file or another PostgreSQL. May be stopped and started again at any time. Connects as the API does:
    /// --database-url or DATABASE_URL, with the role plinth_app.
    Backfill(Box<Backfill>),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no database: give --database-url, or set OWNER_DATABASE_URL or DATABASE_URL")]
    NoDatabase,
    #[error(
        "`{command}` loses data, and PLINTH_ENV is {environment}: say --force when that is what you want"
    )]
    Refused {
        command: &'static str,
        environment: String,
    },
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error(transparent)]
    Backfill(#[from] BackfillError),
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 3,
            Self::Backfill(error) if error.is_refusal() => 3,
            _ => 1,
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.code())
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let url = cli.database_url;
    match cli.command {
        Command::Create { domain, what } => {
            let made = create::version(Path::new("."), &domain, &what, SystemClock.now())?;
            say(format_args!("made {}", made.display()));
        }
        Command::Up => {
            let ran = connect(url)?.up()?;
            each(&ran, "ran", "the schema was up to date");
        }
        Command::Down { force } => {
            refuse_to_lose_data("down", force)?;
            let reverted = connect(url)?.down()?;
            each(reverted.as_slice(), "took back", "no version has run");
        }
        Command::DownAll { force } => {
            refuse_to_lose_data("down-all", force)?;
            let reverted = connect(url)?.down_all()?;
            each(&reverted, "took back", "no version has run");
        }
        Command::Version => {
            let version = connect(url)?.version()?;
            say(format_args!("{}", version.as_deref().unwrap_or("none")));
        }
        Command::Force { version } => {
            connect(url)?.force(&version)?;
            say(format_args!("the database is now taken to be at {version}"));
        }
        Command::Status => {
            for (version, ran) in connect(url)?.status()? {
                say(format_args!(
                    "{} {version}",
                    if ran { "ran    " } else { "pending" }
                ));
            }
        }
        Command::Backfill(asked) => {
            return Ok(match backfill::run(*asked, url)? {
                Ending::Done => ExitCode::SUCCESS,
                Ending::Refused => ExitCode::from(4),
                Ending::Unbalanced => ExitCode::from(5),
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn connect(url: Option<String>) -> Result<Migrator, Failure> {
    let url = url
        .or_else(environment::database_url)
        .ok_or(Failure::NoDatabase)?;
    Ok(Migrator::connect(&url)?)
}

/// A machine that does not say what it is counts as production.
fn refuse_to_lose_data(command: &'static str, force: bool) -> Result<(), Failure> {
    let environment = environment::kind().unwrap_or_else(|| "not set".to_owned());
    if force || ["dev", "test"].contains(&&*environment) {
        return Ok(());
    }
    Err(Failure::Refused {
        command,
        environment,
    })
}

fn each(versions: &[String], did: &str, otherwise: &str) {
    for version in versions {
        say(format_args!("{did} {version}"));
    }
    if versions.is_empty() {
        say(format_args!("{otherwise}"));
    }
}

#[expect(
    clippy::print_stdout,
    reason = "what a command-line tool was asked for goes to stdout"
)]
fn say(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}

#[expect(
    clippy::print_stderr,
    reason = "a command-line tool says on stderr why it failed"
)]
fn complain(failure: &Failure) {
    eprintln!("plinth-migrate: {failure}");
}
