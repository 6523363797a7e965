//! The folder of a cluster: made, checked, and served.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::TcpListener,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    Binaries, ClusterError, Durability, account::Account, cluster::io, postmaster::Postmaster,
    process,
};

/// How long a server may take until it answers; recovery after a crash is part of it, from some gigabytes of log at worst.
const PATIENCE: Duration = Duration::from_secs(300);

const ALWAYS: [&str; 3] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "timezone=UTC",
];

/// With what a small server should have: the memory is taken as it is used, and under PostgreSQL's own defaults a busy index on random keys is
/// read from the disk's cache again and again, and written to the log as a whole after each of many checkpoints.
const DURABLE: [&str; 3] = [
    "max_connections=200",
    "shared_buffers=1GB",
    "max_wal_size=4GB",
];

const THROW_AWAY: [&str; 8] = [
    "max_connections=400",
    "shared_buffers=64MB",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "wal_level=minimal",
    "max_wal_senders=0",
];

/// The folder of a cluster and whom it belongs to.
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) account: Account,
    pub(crate) durability: Durability,
}

impl Site {
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// Makes the data folder when there is none, checks it when there is. Gives the superuser's password when it has one.
    pub(crate) fn prepare(&self, binaries: &Binaries) -> Result<Option<String>, ClusterError> {
        let password = match self.durability {
            Durability::Durable => Some(self.password()?),
            Durability::ThrowAway => None,
        };
        match fs::read_to_string(self.data().join("PG_VERSION")) {
            Ok(version) if version.trim() == binaries.major().to_string() => Ok(password),
            Ok(version) => Err(ClusterError::Version {
                folder: self.data(),
                data: version.trim().to_owned(),
                server: binaries.major(),
            }),
            Err(_) => self.init(binaries, password.as_deref()).map(|()| password),
        }
    }

    /// The superuser's password, made on the first start.
    fn password(&self) -> Result<String, ClusterError> {
        let path = self.folder.join("superuser.password");
        if let Ok(password) = fs::read_to_string(&path) {
            return Ok(password.trim().to_owned());
        }
        if self.data().join("PG_VERSION").exists() {
            let folder = self.folder.clone();
            return Err(ClusterError::PasswordLost {
                password: path,
                folder,
            });
        }
        let password = random_hex().map_err(io("drawing a password"))?;
        write_private(&path, &password).map_err(io(format!("writing {}", path.display())))?;
        Ok(password)
    }

    /// Runs `initdb` beside the final place and moves the result there, so that a start that was cut short leaves nothing half-made.
    fn init(&self, binaries: &Binaries, password: Option<&str>) -> Result<(), ClusterError> {
        let fresh = self.folder.join("data.new");
        let _left_over = fs::remove_dir_all(&fresh);
        fs::create_dir(&fresh)
            .and_then(|()| self.account.own(&fresh))
            .map_err(io(format!("making {}", fresh.display())))?;
        let mut initdb = self.account.command(&binaries.program("initdb"));
        initdb.arg("--pgdata").arg(&fresh).args([
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]);
        let secret = self.folder.join("initdb.password");
        if let Some(password) = password {
            write_private(&secret, password)
                .and_then(|()| self.account.own(&secret))
                .map_err(io(format!("writing {}", secret.display())))?;
            initdb
                .arg("--auth=scram-sha-256")
                .arg("--pwfile")
                .arg(&secret);
        } else {
            initdb.arg("--auth=trust");
        }
        let done = initdb.output().map_err(io("starting initdb"));
        let _only_if_written = fs::remove_file(&secret);
        let done = done?;
        if !done.status.success() {
            let said = [done.stdout, done.stderr].concat();
            return Err(ClusterError::Init(
                String::from_utf8_lossy(&said).into_owned(),
            ));
        }
        let _incomplete = fs::remove_dir_all(self.data());
        fs::rename(&fresh, self.data()).map_err(io(format!("moving {}", fresh.display())))
    }

    /// Starts the server and waits until it answers. A port that somebody takes in between, or memory that a killed server's last
    /// processes still hold, is a reason to try again.
    pub(crate) fn serve(
        &self,
        binaries: &Binaries,
        wanted: u16,
    ) -> Result<(Child, u16), ClusterError> {
        let start = Instant::now();
        loop {
            let port = if wanted == 0 {
                self.free_port()?
            } else {
                wanted
            };
            let mut server = self.spawn(binaries, port)?;
            let failed = match self.wait_until_ready(&mut server) {
                Ok(()) => {
                    let _only_a_convenience = fs::write(self.port_file(), port.to_string());
                    return Ok((server, port));
                }
                Err(failed) => failed,
            };
            let passing = failed.contains("shared memory block")
                || failed.contains("is still in use")
                || (wanted == 0 && failed.contains("Address already in use"));
            if !passing || start.elapsed() > Duration::from_secs(10) {
                return Err(ClusterError::Start(failed));
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn port_file(&self) -> PathBuf {
        self.folder.join("port")
    }

    fn free_port(&self) -> Result<u16, ClusterError> {
        let last = fs::read_to_string(self.port_file())
            .ok()
            .and_then(|it| it.parse().ok());
        let free = last.and_then(|port: u16| TcpListener::bind(("127.0.0.1", port)).ok());
        let listener = match free {
            Some(listener) => listener,
            None => TcpListener::bind(("127.0.0.1", 0)).map_err(io("looking for a free port"))?,
        };
        Ok(listener
            .local_addr()
            .map_err(io("looking for a free port"))?
            .port())
    }

    fn spawn(&self, binaries: &Binaries, port: u16) -> Result<Child, ClusterError> {
        let log =
            File::create(self.log()).map_err(io(format!("opening {}", self.log().display())))?;
        let output = log.try_clone().map_err(io("opening the log twice"))?;
        let mut postgres = self.account.command(&binaries.program("postgres"));
        postgres.arg("-D").arg(self.data());
        postgres.args(["-c", &format!("port={port}")]);
        for setting in self.settings() {
            postgres.args(["-c", setting]);
        }
        // A group of its own, so that Ctrl-C reaches us alone and we decide on the order of things.
        postgres
            .process_group(0)
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(io("starting postgres"))
    }

    fn settings(&self) -> impl Iterator<Item = &'static str> {
        let durability: &[&'static str] = match self.durability {
            Durability::Durable => &DURABLE,
            Durability::ThrowAway => &THROW_AWAY,
        };
        ALWAYS.iter().chain(durability).copied()
    }

    /// Waits for the pid file to say `ready`. On failure gives the end of the log, and leaves no process.
    fn wait_until_ready(&self, server: &mut Child) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if !matches!(server.try_wait(), Ok(None)) {
                return Err(self.end_of_log());
            }
            let found = Postmaster::read(&self.data());
            if found.is_some_and(|found| found.pid == server.id() && found.ready) {
                return Ok(());
            }
            thread::sleep(process::POLL);
        }
        process::send(server.id(), Signal::SIGQUIT);
        let _its_status = server.wait();
        Err(format!(
            "it was not ready after {} s\n{}",
            PATIENCE.as_secs(),
            self.end_of_log()
        ))
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let from = log.lines().count().saturating_sub(15);
        log.lines().skip(from).collect::<Vec<_>>().join("\n")
    }
}

/// 128 random bits, as text that a URL needs no escapes for.
fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Writes a file that nobody but its owner reads.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let _older = fs::remove_file(path);
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}
