//! PostgreSQL's own pid file, `postmaster.pid`: who serves a data folder, on which port, and whether it is ready.

use std::{fs, path::Path, time::Duration};

use nix::sys::signal::Signal;

use crate::process;

/// SIGINT is PostgreSQL's fast shutdown, which writes what it holds in memory; SIGQUIT its immediate one, which recovers from the log at the
/// next start.
pub(crate) const SHUTDOWN: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(10)),
    (Signal::SIGQUIT, Duration::from_millis(1000)),
    (Signal::SIGKILL, Duration::from_millis(500)),
];

/// What the pid file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Postmaster {
    pub(crate) pid: u32,
    pub(crate) port: u16,
    pub(crate) ready: bool,
}

impl Postmaster {
    /// The pid file of a data folder; none when there is none, or when it is still being written.
    pub(crate) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    // Lines: pid, data folder, start time, port, socket folder, address, shared memory key, status.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let pid = lines.next()?.parse().ok()?;
        let port = lines.nth(2)?.parse().ok()?;
        let ready = lines.nth(3) == Some("ready");
        Some(Self { pid, port, ready })
    }

    /// The server that runs on a data folder now. A pid file that names a process of somebody else is stale.
    pub(crate) fn of_running(data: &Path) -> Option<Self> {
        let found = Self::read(data)?;
        let line = process::command_line(found.pid)?;
        line.contains(&*data.to_string_lossy()).then_some(found)
    }

    /// Stops the server that runs on a data folder, or takes away the stale pid file. True when nothing runs there afterwards.
    pub(crate) fn clear(data: &Path) -> bool {
        match Self::of_running(data) {
            Some(server) => process::end_with(server.pid, &SHUTDOWN),
            None => {
                let _was_there = fs::remove_file(data.join("postmaster.pid"));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_is_read_as_postgresql_writes_it() {
        let text = "4242\n/srv/data\n1730000000\n5544\n\n127.0.0.1\n  1234 56\nready   \n";
        let found = Postmaster::parse(text);
        assert_eq!(
            found,
            Some(Postmaster {
                pid: 4242,
                port: 5544,
                ready: true
            })
        );
        assert_eq!(Postmaster::parse("4242\n/srv/data\n"), None);
        let starting = text.replace("ready   ", "starting");
        assert!(!Postmaster::parse(&starting).unwrap().ready);
    }
}
