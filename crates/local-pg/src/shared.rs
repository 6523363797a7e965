//! One throw-away cluster for many processes: `cargo test` runs one binary after the other, and some runners all at once.
//!
//! The first process starts it, the others find it by PostgreSQL's pid file. Nobody is the last by design, so it stops by itself: each
//! process touches a heartbeat file, and a small shell loop that outlives them all stops the server when that file has grown old.

use std::{
    convert::Infallible,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Binaries, Cluster, ClusterError, Durability, Options, Say, account::Account, cluster::io,
    postmaster::Postmaster, process,
};

/// How often a process says that it still needs the cluster. The server stops when nobody said so for two minutes.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long one process may take to start the cluster while the others wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stops the server when the heartbeat is older than two minutes. `stopping` is made before the second look at the heartbeat, and a
/// process that joins beats before it looks for `stopping`: so either it sees the end coming, or the end does not come.
const WATCHER: &str = r#"
folder=$1
server=$2
fresh() { [ -n "$(find "$folder/heartbeat" -mmin -2 2>/dev/null)" ]; }
while kill -0 "$server" 2>/dev/null; do
    if ! fresh; then
        mkdir "$folder/stopping" 2>/dev/null
        if fresh; then
            rmdir "$folder/stopping" 2>/dev/null
        else
            kill -INT "$server"
            waited=0
            while kill -0 "$server" 2>/dev/null && [ "$waited" -lt 10 ]; do
                sleep 1
                waited=$((waited + 1))
            done
            kill -KILL "$server" 2>/dev/null
            rm -rf "$folder/data"
            rmdir "$folder/stopping" 2>/dev/null
            exit 0
        fi
    fi
    sleep 5
done
"#;

/// A throw-away cluster that other processes use as well. Dropping the value stops nothing; the server ends when nobody holds one.
#[derive(Debug)]
pub struct SharedCluster {
    port: u16,
    _beating: Sender<Infallible>,
}

impl SharedCluster {
    /// Joins the cluster of a folder, starting it when it does not run. The value keeps it alive.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub fn join(binaries: &Binaries, wanted: &Path, say: Say<'_>) -> Result<Self, ClusterError> {
        let account = Account::for_servers().map_err(io("choosing a user for PostgreSQL"))?;
        let folder = account
            .folder(wanted)
            .map_err(io(format!("making {}", wanted.display())))?;
        let lock = File::create(folder.join("lock")).map_err(io("making the lock file"))?;
        lock.lock().map_err(io("waiting for the lock file"))?;
        beat(&folder).map_err(io("writing the heartbeat"))?;
        let server = match running(&folder) {
            Some(server) => server,
            None => start(binaries, &folder, say)?,
        };
        watch(&folder, server.pid)?;
        lock.unlock().map_err(io("leaving the lock file"))?;
        let (beating, dropped) = mpsc::channel();
        thread::spawn(move || {
            while dropped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                // A folder that somebody removed takes the server with it; the tests will say so.
                let _gone = beat(&folder);
            }
        });
        Ok(Self {
            port: server.port,
            _beating: beating,
        })
    }

    /// The TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A URL to connect to a database as a role. Nobody needs a password here.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }
}

fn beat(folder: &Path) -> std::io::Result<()> {
    fs::write(folder.join("heartbeat"), std::process::id().to_string())
}

/// The server that runs already, unless it is about to stop: then none, once it has.
fn running(folder: &Path) -> Option<Postmaster> {
    let stopping = folder.join("stopping");
    let start = Instant::now();
    while stopping.exists() && start.elapsed() < PATIENCE {
        thread::sleep(process::POLL);
    }
    // A watcher that was killed leaves its mark; nobody else would take it away.
    let _mark = fs::remove_dir(&stopping);
    Postmaster::of_running(&folder.join("data")).filter(|server| server.ready)
}

/// Data of an earlier run are not trusted: nothing of them was ever flushed.
fn start(binaries: &Binaries, folder: &Path, say: Say<'_>) -> Result<Postmaster, ClusterError> {
    let data = folder.join("data");
    if !Postmaster::clear(&data) {
        return Err(ClusterError::LeftBehind(data));
    }
    let _older = fs::remove_dir_all(&data);
    let folder = PathBuf::from(folder);
    let options = Options {
        folder,
        port: 0,
        durability: Durability::ThrowAway,
    };
    let cluster = Cluster::start(binaries, &options, say)?;
    let port = cluster.port();
    let pid = cluster.leave_running().unwrap_or_default();
    Ok(Postmaster {
        pid,
        port,
        ready: true,
    })
}

/// Starts the watcher unless it runs already.
fn watch(folder: &Path, server: u32) -> Result<(), ClusterError> {
    let note = folder.join("watcher.pid");
    let noted = fs::read_to_string(&note)
        .ok()
        .and_then(|pid| pid.parse().ok());
    let wanted = format!("{} {server}", folder.display());
    let there = noted
        .and_then(process::command_line)
        .is_some_and(|line| line.ends_with(&wanted));
    if there {
        return Ok(());
    }
    let watcher = Command::new("/bin/sh")
        .args(["-c", WATCHER, "plinth-pg-watcher"])
        .arg(folder)
        .arg(server.to_string())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(io("starting the watcher"))?;
    fs::write(note, watcher.id().to_string()).map_err(io("noting the watcher"))
}
