//! PgBouncer in front of a test database, lending out server connections by the transaction.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use diesel::{Connection, PgConnection};
use local_pg::Account;

use crate::{TestDb, must};

/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running PgBouncer; stopped when the value is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    server: Child,
    folder: PathBuf,
    port: u16,
}

impl PgBouncer {
    /// Starts one with `pool_mode = transaction` over `connections` connections to a database; none, and a line on stderr, when this
    /// machine has no PgBouncer.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn in_front_of(db: &TestDb, connections: usize) -> Option<Self> {
        let (url, name) = (db.app_url(), db.name().to_owned());
        let started =
            tokio::task::spawn_blocking(move || Self::start(&url, &name, connections)).await;
        must("starting PgBouncer", started)
    }

    fn start(direct: &str, name: &str, connections: usize) -> Option<Self> {
        let Some(program) = program() else {
            // Past the test's capture: whoever sees it pass should know that it proved nothing.
            let _said = writeln!(io::stderr(), "SKIPPED: this machine has no pgbouncer");
            return None;
        };
        let account = must("choosing a user for PgBouncer", Account::for_servers());
        let wanted = std::env::temp_dir().join(format!("plinth-pgbouncer-{name}"));
        let folder = must("making a folder", account.folder(&wanted));
        let server_port = port_of(direct);
        // Somebody may take the port in between: then another one.
        for _ in 0..5 {
            let port = must("looking for a free port", free_port());
            let ini = settings(&folder, server_port, port, connections);
            for (file, text) in [("pgbouncer.ini", &*ini), ("userlist.txt", USERS)] {
                let path = folder.join(file);
                let written = fs::write(&path, text).and_then(|()| account.own(&path));
                must("configuring PgBouncer", written);
            }
            let log = must("opening a log", File::create(folder.join("log")));
            let spawned = account
                .command(&program)
                .arg(folder.join("pgbouncer.ini"))
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            let mut started = Self {
                server: must("starting PgBouncer", spawned),
                folder: folder.clone(),
                port,
            };
            if started.answers(direct) {
                return Some(started);
            }
        }
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        must("starting PgBouncer", Err(log))
    }

    /// The same role and database as `direct`, through here.
    #[must_use]
    pub fn url(&self, direct: &str) -> String {
        direct.replace(
            &format!(":{}/", port_of(direct)),
            &format!(":{}/", self.port),
        )
    }

    fn answers(&mut self, direct: &str) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE && matches!(self.server.try_wait(), Ok(None)) {
            if PgConnection::establish(&self.url(direct)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _already_gone = self.server.kill();
        let _its_status = self.server.wait();
        let _swept_with_the_temporary_folder = fs::remove_dir_all(&self.folder);
    }
}

const USERS: &str = "\"plinth_app\" \"\"\n\"plinth_worker\" \"\"\n\"postgres\" \"\"\n";

fn settings(folder: &Path, server_port: u16, port: u16, connections: usize) -> String {
    let users = folder.join("userlist.txt");
    format!(
        "[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 400
server_login_retry = 1
",
        users.display()
    )
}

/// Distributions put servers where only root looks.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file())
}

fn port_of(url: &str) -> u16 {
    let port = url
        .rsplit_once('/')
        .and_then(|(server, _)| server.rsplit_once(':'))
        .and_then(|(_, port)| port.parse().ok());
    must("reading a port", port.ok_or(url))
}

fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}
