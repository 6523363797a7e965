//! The distribution's PostgreSQL package: installed when the machine lets us, spelled out for a person when not.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{Binaries, FindError, Say, binaries::OLDEST, environment};

/// Where Debian's and Ubuntu's tools look up whether installing a server also makes and starts a cluster.
const CREATECLUSTER: &str = "/etc/postgresql-common/createcluster.conf";

/// A package manager that we can drive without questions.
struct PackageManager {
    /// The program that betrays it.
    program: &'static str,
    /// What to run, in order.
    install: &'static [&'static [&'static str]],
    /// The same for a person.
    typed: &'static str,
}

const MANAGERS: [PackageManager; 5] = [
    PackageManager {
        program: "apt-get",
        install: &[],
        typed: "sudo apt-get update && sudo apt-get install -y postgresql",
    },
    PackageManager {
        program: "dnf",
        install: &[&["dnf", "install", "-y", "postgresql-server"]],
        typed: "sudo dnf install -y postgresql-server",
    },
    PackageManager {
        program: "apk",
        install: &[&["apk", "add", "--no-cache", "postgresql"]],
        typed: "sudo apk add postgresql",
    },
    PackageManager {
        program: "pacman",
        install: &[&["pacman", "-Sy", "--noconfirm", "--needed", "postgresql"]],
        typed: "sudo pacman -S postgresql",
    },
    PackageManager {
        program: "zypper",
        install: &[&[
            "zypper",
            "--non-interactive",
            "install",
            "postgresql-server",
        ]],
        typed: "sudo zypper install postgresql-server",
    },
];

/// Debian's own script for the repository of the PostgreSQL project, for releases whose server is too old.
const PGDG: &str = "sudo apt-get install -y postgresql-common && \
     sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && \
     sudo apt-get install -y postgresql-17";

impl Binaries {
    /// As [`Binaries::find`]; when nothing is found, installs the distribution's package if the process is root or may use sudo without
    /// a password, and `PLINTH_NO_INSTALL` does not forbid it. Says what it does before it does it.
    ///
    /// # Errors
    /// [`FindError::Missing`] with the command to type when it may not install, [`FindError::Install`] when that failed.
    pub fn find_or_install(say: Say<'_>) -> Result<Self, FindError> {
        let (newest_old, command) = match Self::find() {
            Err(FindError::Missing {
                newest_old,
                command,
            }) => (newest_old, command),
            settled => return settled,
        };
        let (Some(manager), Some(rights)) = (manager(), Rights::of_this_process()) else {
            return Err(FindError::Missing {
                newest_old,
                command,
            });
        };
        say("No PostgreSQL was found on this machine.");
        let install = match manager.program {
            "apt-get" => install_with_apt(&rights, say),
            _ => manager
                .install
                .iter()
                .try_for_each(|command| rights.run(command, say)),
        };
        install.map_err(|why| FindError::Install { why, command })?;
        Self::find()
    }
}

/// What a person types on this machine to get PostgreSQL. A distribution that gave them an old one has no newer one to give.
pub(crate) fn command_to_type(newest_old: Option<u32>) -> String {
    match manager() {
        Some(manager) if manager.program == "apt-get" && newest_old.is_some() => PGDG.to_owned(),
        Some(manager) => manager.typed.to_owned(),
        None if cfg!(target_os = "macos") => "brew install postgresql@17".to_owned(),
        None => format!("(your system's package manager) install PostgreSQL {OLDEST} or newer"),
    }
}

fn manager() -> Option<&'static PackageManager> {
    let path = environment::search_path();
    let installed = |program| path.iter().any(|folder| folder.join(program).is_file());
    MANAGERS.iter().find(|manager| installed(manager.program))
}

/// How this process becomes root.
enum Rights {
    Root,
    Sudo,
}

impl Rights {
    fn of_this_process() -> Option<Self> {
        if environment::installing_forbidden() {
            None
        } else if nix::unistd::geteuid().is_root() {
            Some(Self::Root)
        } else {
            let asked = Command::new("sudo")
                .args(["-n", "true"])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .status();
            asked
                .is_ok_and(|status| status.success())
                .then_some(Self::Sudo)
        }
    }

    /// Runs a command as root, its output passed on to stderr, after saying it.
    fn run(&self, command: &[&str], say: Say<'_>) -> Result<(), String> {
        let prefix: &[&str] = match self {
            Self::Root => &["env", "DEBIAN_FRONTEND=noninteractive"],
            Self::Sudo => &["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"],
        };
        let spoken = command.join(" ");
        say(&format!("Installing it: {spoken}"));
        let mut words = prefix.iter().chain(command);
        let program = words.next().ok_or("there is nothing to run")?;
        let status = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .map_err(|error| format!("`{spoken}` did not start: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{spoken}` ended with {status}"))
        }
    }
}

/// Installs the newest server that apt knows, and keeps Debian from making and starting a cluster of its own for it.
fn install_with_apt(rights: &Rights, say: Say<'_>) -> Result<(), String> {
    rights.run(&["apt-get", "update"], say)?;
    let listed = Command::new("apt-cache")
        .args(["search", "--names-only", "^postgresql-[0-9]+$"])
        .output()
        .map_err(|error| format!("apt-cache did not start: {error}"))?;
    let package = newest_server(&String::from_utf8_lossy(&listed.stdout)).ok_or_else(|| {
        format!("this release has no PostgreSQL {OLDEST} or newer; add it:\n\n    {PGDG}\n")
    })?;
    let install = ["apt-get", "install", "-y", "--no-install-recommends"];
    rights.run(&[&install[..], &["postgresql-common"]].concat(), say)?;
    let kept = format!("{CREATECLUSTER}.plinth");
    if Path::new(CREATECLUSTER).exists() {
        rights.run(&["cp", "-p", CREATECLUSTER, &kept], say)?;
    }
    let no_cluster = format!("echo 'create_main_cluster = false' >> {CREATECLUSTER}");
    rights.run(&["sh", "-c", &no_cluster], say)?;
    let installed = rights.run(&[&install[..], &[&package]].concat(), say);
    let back: &[&str] = if Path::new(&kept).exists() {
        &["mv", &kept, CREATECLUSTER]
    } else {
        &["rm", "-f", CREATECLUSTER]
    };
    rights.run(back, say)?;
    installed
}

/// The newest package among lines such as `postgresql-15 - The World's Most Advanced…` that is new enough.
fn newest_server(listed: &str) -> Option<String> {
    let versions = listed.lines().filter_map(|line| {
        line.split_whitespace()
            .next()?
            .strip_prefix("postgresql-")?
            .parse::<u32>()
            .ok()
    });
    let newest = versions.max().filter(|major| *major >= OLDEST)?;
    Some(format!("postgresql-{newest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_server_that_is_new_enough_is_chosen() {
        let listed = "postgresql-15 - object-relational SQL database\npostgresql-17 - the same\n";
        assert_eq!(newest_server(listed).as_deref(), Some("postgresql-17"));
        assert_eq!(newest_server("postgresql-14 - old\n"), None);
        assert_eq!(newest_server(""), None);
    }
}
