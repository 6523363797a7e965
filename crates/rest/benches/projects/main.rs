//! How fast `GET /v1/projects` is, next to what bounds it: pgbench running the same transaction, and a bare route.
//!
//! | file | what is in it |
//! |---|---|
//! | `stage` | the API as its binary runs it, on a durable PostgreSQL of its own, and a customer |
//! | `transaction` | what one request says to PostgreSQL, heard in the server's log |
//! | `pgbench` | the same transaction without us |
//! | `load` | clients that wait for each answer |
//! | `client` | HTTP over bare sockets |
//! | `table` | medians, bests and ratios |
//! | `arguments` | what is asked for |
//!
//! Everything happens on one machine in one run, and the phases take turns.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on must stop, and its output is for a person"
)]

extern crate plinth_rest as rest;

#[path = "../stage/arguments.rs"]
mod arguments;
#[path = "../stage/client.rs"]
mod client;
mod load;
mod pgbench;
#[path = "../stage/stage.rs"]
mod stage;
mod table;
mod transaction;

use std::time::Duration;

use clap::Parser;
use stage::{Api, BareRoute, Database};
use table::Rounds;
use transaction::Transaction;

/// Before each measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// Of each measurement.
const LENGTH: Duration = Duration::from_secs(5);
/// How often the phases take turns. Many short turns: whatever else the machine does then meets all phases alike.
const ROUNDS: usize = 6;
/// Connections that clients keep open.
const CLIENTS: usize = 32;

/// Measures `GET /v1/projects`.
#[derive(Debug, Parser)]
struct Arguments {
    /// Connections of the API to PostgreSQL, at most. Its default when not given.
    #[arg(long)]
    connections: Option<usize>,
}

fn main() {
    let Some(Arguments { connections }) = arguments::arguments() else {
        return;
    };
    let database = Database::start();
    let api = Api::start(&database, connections);
    let key = api.customer(&["project.read"]);
    let projects = load::Target::of(api.address, "/v1/projects", &key);
    let transaction = Transaction::of(&database, || load::once(&projects));
    println!("one request says to PostgreSQL:\n\n{transaction}\n");
    let bare = BareRoute::start(projects.body());
    let route = load::Target::of(bare.address, "/", &key);

    let mut rounds = Rounds::default();
    for round in 1..=ROUNDS {
        println!("round {round} of {ROUNDS} …");
        rounds
            .pgbench
            .push(pgbench::run(&database, &transaction, api.connections));
        rounds.projects.push(load::run(&projects, CLIENTS));
        rounds.bare.push(load::run(&route, CLIENTS));
    }
    println!("\n{rounds}");
    println!(
        "{} workers, {} connections to PostgreSQL, {CLIENTS} clients, {} bytes in an answer",
        stage::workers(),
        api.connections,
        projects.body().len()
    );
    if let Some(memory) = stage::resident_kib() {
        println!("{memory} KiB resident: the API, the bare route and the clients");
    }
}
