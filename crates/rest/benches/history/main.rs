//! What a long history costs: rolling up, and reading a month, with many events behind.
//!
//! | file | what is in it |
//! |---|---|
//! | `past` | events of the last thirty days, put there by COPY's faster sister, and rolled up as the worker does it |
//! | `asked` | one question after another, over HTTP and straight to the database |
//! | the others | shared with the other benchmarks |

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on must stop, and its output is for a person"
)]

extern crate plinth_rest as rest;

#[path = "../stage/arguments.rs"]
mod arguments;
mod asked;
#[path = "../stage/client.rs"]
mod client;
mod past;
#[path = "../stage/roller.rs"]
mod roller;
#[expect(dead_code, reason = "the other benchmarks use the rest of it")]
#[path = "../stage/stage.rs"]
mod stage;

use clap::Parser;
use past::{CHUNK, Past};
use stage::{Api, Database};

/// Measures what a long history costs.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events in the history.
    #[arg(long, default_value_t = 2 * CHUNK)]
    rows: usize,
}

fn main() {
    let Some(Arguments { rows }) = arguments::arguments() else {
        return;
    };
    let database = Database::start();
    let api = Api::start(&database, None);
    let key = api.customer(&["usage.read"]);
    let past = Past::start(&database);
    println!("events behind | rolled up, rows/s | the same sums, not written, rows/s | ratio");
    let mut behind = 0;
    while behind < rows {
        past.add(behind, rows);
        behind += CHUNK;
        // The first and the last million are measured; what is between only has to be there.
        let ceiling = past.sums();
        let rolled = past.roll();
        let ratio = rolled * 100 / ceiling.max(1);
        println!(
            "{behind} | {rolled} | {ceiling} | {}.{:02}",
            ratio / 100,
            ratio % 100
        );
    }
    println!("\na month by day, one metric | half within µs | 99 % within µs");
    let (p50, p99) = asked::over_http(api.address, &key, asked::From::Midnight);
    println!("GET /v1/usage, whole days | {p50} | {p99}");
    let (p50, p99) = asked::over_http(api.address, &key, asked::From::Instant);
    println!("GET /v1/usage, from some instant | {p50} | {p99}");
    let (p50, p99) = asked::in_sql(&database);
    println!("the rollups' sums, straight from PostgreSQL | {p50} | {p99}");
    if let Some(memory) = stage::resident_kib() {
        println!("\n{memory} KiB resident: the API and this benchmark");
    }
}
