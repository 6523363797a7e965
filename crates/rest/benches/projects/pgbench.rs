//! The same transaction without us: pgbench, which comes with PostgreSQL.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use crate::{LENGTH, WARM_UP, stage::Database, transaction::Transaction};

/// Threads of pgbench.
const THREADS: &str = "2";

/// Transactions per second, by as many clients as the API has connections.
pub(crate) fn run(database: &Database, transaction: &Transaction, clients: usize) -> u64 {
    let script = database.path("transaction.sql");
    fs::write(&script, transaction.script()).unwrap();
    let program = program(database);
    let phase = |length: Duration| {
        let mut pgbench = Command::new(&program);
        pgbench
            .args(["--no-vacuum", "--protocol", "prepared", "--jobs", THREADS])
            .args(["--client", &clients.to_string()])
            .args(["--time", &length.as_secs().to_string()])
            .arg("--file")
            .arg(&script);
        for variable in transaction.variables() {
            pgbench.args(["--define", &variable]);
        }
        let done = pgbench.arg(database.app_url()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "pgbench: {said}{complaint}");
        said
    };
    phase(WARM_UP);
    per_second(&phase(LENGTH))
}

/// Beside the server itself: the folder where that was found may hold links to a part of what belongs together.
fn program(database: &Database) -> PathBuf {
    let server = database.binaries.folder().join("postgres");
    server.canonicalize().unwrap().with_file_name("pgbench")
}

/// The whole part of `tps = 1234.567890 (without initial connection time)`.
fn per_second(said: &str) -> u64 {
    let tps = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let whole = tps.and_then(|tps| tps.split_once('.')?.0.parse().ok());
    whole.unwrap_or_else(|| panic!("pgbench does not say how many: {said}"))
}
