//! `cargo dev` runs all of Plinth on a private PostgreSQL; `cargo demo` plays a customer's story against it; `just chaos` kills its
//! processes under load and counts what is left.
//!
//! | file | what is in it |
//! |---|---|
//! | `up` | `cargo dev`: start, say what runs, stop |
//! | `demo` | `cargo demo`: the story, a step at a time |
//! | `chaos` | faults under load, and the books afterwards |
//! | `stack` | everything that runs, started in order and stopped in the opposite one |
//! | `home` | the folder that survives: data, secrets, `dev.env` |
//! | `secrets` | what is drawn once and kept |
//! | `database` | the private cluster, its roles and the schema |
//! | `programs` | `plinth-api` and `plinth-worker`: built, found, and told where things are |
//! | `children` | the two as processes: watched, restarted, stopped |
//! | `private` | temporary folders, and what killed runs left in them |
//! | `demo_tenant` | the tenant that a newcomer finds |
//! | `api` | calls to the API |
//! | `env_file` | files of `KEY=value` lines |

mod api;
mod chaos;
mod children;
mod database;
mod demo;
mod demo_tenant;
mod env_file;
mod environment;
mod failure;
mod home;
mod private;
mod programs;
mod secrets;
mod stack;
mod terminal;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Plinth on this machine, with nothing to set up.
#[derive(Debug, Parser)]
#[command(name = "plinth-dev", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run PostgreSQL, the API and the worker until Ctrl-C. PLINTH_PORT and PLINTH_HOME choose another port and folder.
    Up,
    /// Play a customer's story against a running `cargo dev`, or against a private one that is gone afterwards.
    Demo,
    /// Kill, freeze and cut off the processes of a private deployment under load, then check that nothing was lost, doubled or leaked.
    Chaos(chaos::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Up => up::run().await,
        Command::Demo => demo::run().await,
        Command::Chaos(arguments) => chaos::run(&arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::complain(&failure);
            ExitCode::FAILURE
        }
    }
}
