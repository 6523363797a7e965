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
//!
//! Everything happens on one machine in one run, and the phases take turns.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on must stop, and its output is for a person"
)]

extern crate plinth_rest as rest;

mod client;
mod load;
mod pgbench;
mod stage;
mod table;
mod transaction;

use std::time::Duration;

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

fn main() {
    // `cargo test --all-targets` runs benchmarks as well, and should not wait for this one.
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing is measured without --bench");
        return;
    }
    let connections = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("--connections="));
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
