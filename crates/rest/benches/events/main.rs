//! How fast `POST /v1/events` is, next to what bounds it: COPY of the same rows into the same indexed table, by two clients.
//!
//! | file | what is in it |
//! |---|---|
//! | `sender` | clients that send events and check what became of each |
//! | `copy` | the ceiling |
//! | `checks` | "may I?", asked beside half of the load that is possible |
//! | `crowd` | many small customers |
//! | the others | shared with the other benchmarks |
//!
//! Everything happens on one machine in one run: the API, PostgreSQL with its commits on disk, and the clients.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on must stop, and its output is for a person"
)]

extern crate plinth_rest as rest;

#[path = "../stage/arguments.rs"]
mod arguments;
mod checks;
#[path = "../stage/client.rs"]
mod client;
mod copy;
mod crowd;
#[path = "../stage/roller.rs"]
mod roller;
mod sender;
#[expect(dead_code, reason = "the other benchmark uses the rest of it")]
#[path = "../stage/stage.rs"]
mod stage;

use std::time::Duration;

use clap::Parser;
use sender::{Ids, Load, Sender};
use stage::{Api, Database};

/// Before each measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// Of each measurement.
const LENGTH: Duration = Duration::from_secs(8);
/// Rows that COPY writes, on each of its two connections.
const COPIED: usize = 500_000;

/// Measures `POST /v1/events`.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events that are put there first.
    #[arg(long, default_value_t = 0)]
    rows: usize,
    /// Gives those events to the customer who sends more, and has all ids in no order.
    #[arg(long)]
    random: bool,
    /// Connections of the phases with one event a request.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// How often the phases take turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Small customers who send events at the end.
    #[arg(long, default_value_t = 0)]
    tenants: usize,
}

fn main() {
    let Some(Arguments {
        rows,
        random,
        clients,
        rounds,
        tenants,
    }) = arguments::arguments()
    else {
        return;
    };
    let database = Database::start();
    let api = Api::start(&database, None);
    let key = api.customer(&["usage.write", "usage.read", "entitlement.read"]);
    let ids = if random { Ids::Random } else { Ids::Counted };
    if rows > 0 {
        println!("{rows} events that are there before …");
        copy::fill(&database, rows, ids);
    }
    let mut sender = Sender::new(api.address, vec![key.clone()], ids);
    let mut best = 0;
    for round in 1..=rounds {
        println!("\nround {round} of {rounds}");
        let ceiling = copy::run(&database, COPIED);
        println!("COPY, two connections: {ceiling} rows/s");
        for (label, load) in [
            (
                "batches of 100, 16 connections",
                Load {
                    clients: 16,
                    batch: 100,
                    replay: false,
                    rate: None,
                },
            ),
            (
                "the same again: all duplicates",
                Load {
                    clients: 16,
                    batch: 100,
                    replay: true,
                    rate: None,
                },
            ),
            (
                "one event a request",
                Load {
                    clients,
                    batch: 1,
                    replay: false,
                    rate: None,
                },
            ),
        ] {
            let measured = sender.run(load);
            if load.batch > 1 && !load.replay {
                best = best.max(measured.events_per_second);
            }
            let ratio = measured.events_per_second * 100 / ceiling.max(1);
            println!(
                "{label}: {} events/s ({}.{:02} of COPY), half within {} µs, 99 % within {} µs",
                measured.events_per_second,
                ratio / 100,
                ratio % 100,
                measured.p50,
                measured.p99
            );
        }
    }
    if best > 0 {
        checks::beside(&mut sender, &database, (&api, &key), best / 2);
    }
    if tenants > 0 {
        crowded(&database, &api, tenants, clients);
    }
    if let Some(memory) = stage::resident_kib() {
        println!("\n{memory} KiB resident: the API and the clients");
    }
}

/// The same from many small customers, each request from another one.
fn crowded(database: &Database, api: &Api, tenants: usize, clients: usize) {
    let mut sender = Sender::new(api.address, crowd::make(database, tenants), Ids::Counted);
    for (batch, clients) in [(1, clients), (100, 16)] {
        let load = Load {
            clients,
            batch,
            replay: false,
            rate: None,
        };
        let measured = sender.run(load);
        println!(
            "{tenants} customers, {batch} a request: {} events/s, half within {} µs, 99 % within {} µs",
            measured.events_per_second, measured.p50, measured.p99
        );
    }
}
