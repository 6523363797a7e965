//! A cluster that lives as long as its value.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::Instant,
};

use nix::sys::signal::Signal;

use crate::{
    Binaries, Say,
    account::Account,
    postmaster::{Postmaster, SHUTDOWN},
    process,
    site::Site,
};

/// What a power cut may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: PostgreSQL's own defaults, and a password for the superuser.
    Durable,
    /// Everything: nothing is flushed to disk, and everybody on this machine may connect. For tests.
    ThrowAway,
}

/// How a cluster is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for its data, log and password. Made when it is not there, and used again when it is.
    pub folder: PathBuf,
    /// The TCP port on 127.0.0.1; 0 takes the one of the last run when that is free, else any free one.
    pub port: u16,
    /// What a power cut may cost.
    pub durability: Durability,
}

/// Why a cluster does not run.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file or folder could not be made, read or handed over.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The data were written by another major version.
    #[error("the data in {} were written by PostgreSQL {data}, but version {server} was found: set PLINTH_PG_BIN to the folder of version {data}, or remove the data", folder.display())]
    Version {
        /// The data folder.
        folder: PathBuf,
        /// The version that wrote them.
        data: String,
        /// The version that was found.
        server: u32,
    },
    /// The data are there and the superuser's password is not.
    #[error("{} is missing, and without it nobody can log in: remove {} to begin anew", password.display(), folder.display())]
    PasswordLost {
        /// The file with the password.
        password: PathBuf,
        /// The folder of the cluster.
        folder: PathBuf,
    },
    /// A server that was left behind does not go away.
    #[error("a server still runs on {} and does not stop", .0.display())]
    LeftBehind(PathBuf),
    /// `initdb` failed.
    #[error("initdb failed:\n{0}")]
    Init(String),
    /// The server ended or stayed silent; the end of its log says why.
    #[error("PostgreSQL did not start:\n{0}")]
    Start(String),
}

pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ClusterError {
    let doing = doing.into();
    move |source| ClusterError::Io { doing, source }
}

/// A running PostgreSQL server with a data folder of its own. Dropping it stops it.
///
/// When this process is killed outright the server stays; the next start on the same folder finds it by PostgreSQL's pid file and
/// stops it first.
#[derive(Debug)]
pub struct Cluster {
    server: Option<Child>,
    folder: PathBuf,
    port: u16,
    password: Option<String>,
}

impl Cluster {
    /// Starts a cluster, making it first when the folder holds none. A server left behind on the same folder is stopped.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub fn start(
        binaries: &Binaries,
        options: &Options,
        say: Say<'_>,
    ) -> Result<Self, ClusterError> {
        let account = Account::for_servers().map_err(io("choosing a user for PostgreSQL"))?;
        let wanted = &options.folder;
        let doing = format!("making {}", wanted.display());
        let folder = account.folder(wanted).map_err(io(doing))?;
        if wanted.canonicalize().is_ok_and(|wanted| wanted != folder) {
            let (shown, instead) = (wanted.display(), folder.display());
            say(&format!(
                "PostgreSQL's user cannot reach {shown}; its data are in {instead}."
            ));
            forget_earlier_life(wanted, &folder)?;
        }
        let site = Site {
            folder,
            account,
            durability: options.durability,
        };
        if !Postmaster::clear(&site.data()) {
            return Err(ClusterError::LeftBehind(site.data()));
        }
        let password = site.prepare(binaries)?;
        let (server, port) = site.serve(binaries, options.port)?;
        Ok(Self {
            server: Some(server),
            folder: site.folder,
            port,
            password,
        })
    }

    /// The TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds its data, which is not always the one asked for.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A URL to connect to a database as the superuser `postgres`.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        let password = self
            .password
            .as_ref()
            .map(|it| format!(":{it}"))
            .unwrap_or_default();
        format!(
            "postgres://postgres{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Stops the server: fast at first, by force after that. Takes 4 s at most.
    pub fn stop(mut self) {
        self.stop_server();
    }

    /// Stops the server as a power cut would, but for the disk: every process of it at once, by force. The next start recovers.
    pub fn crash(mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        // Held, it can neither notice that its processes end nor start others.
        process::send(server.id(), Signal::SIGSTOP);
        for child in process::children(server.id()) {
            process::send(child, Signal::SIGKILL);
        }
        process::send(server.id(), Signal::SIGKILL);
        let _its_status = server.wait();
    }

    /// Stops the server without letting anybody finish, as `pg_ctl stop -m immediate` does. The next start recovers.
    pub fn stop_at_once(mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        process::send(server.id(), Signal::SIGQUIT);
        let _its_status = server.wait();
    }

    /// Lets the server run on without this value. Gives its process id.
    pub(crate) fn leave_running(mut self) -> Option<u32> {
        self.server.take().map(|server| server.id())
    }

    fn stop_server(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        for (signal, patience) in SHUTDOWN {
            process::send(server.id(), signal);
            let start = Instant::now();
            while start.elapsed() < patience {
                // A child that is gone must be asked for, or it stays in the process table.
                if !matches!(server.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(process::POLL);
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop_server();
    }
}

/// Whoever removes the folder they know wants its data gone, wherever those really are: so data without a mark there are removed.
fn forget_earlier_life(wanted: &Path, stand_in: &Path) -> Result<(), ClusterError> {
    let mark = wanted.join("stand-in");
    if !mark.exists() {
        if !stop_left_over(stand_in) {
            return Err(ClusterError::LeftBehind(stand_in.to_owned()));
        }
        for name in ["data", "superuser.password"] {
            let path = stand_in.join(name);
            let _was_there = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
        }
    }
    let text = format!("{}\n", stand_in.display());
    fs::write(&mark, text).map_err(io(format!("writing {}", mark.display())))
}

/// Stops the server that a killed process left on the folder of a cluster, if one runs there. True when none does afterwards.
#[must_use]
pub fn stop_left_over(folder: &Path) -> bool {
    Postmaster::clear(&folder.join("data"))
}
