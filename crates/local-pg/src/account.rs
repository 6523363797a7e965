//! Whom PostgreSQL runs as. It refuses to run as root, so root steps down to another user.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::unistd::{User, geteuid};

/// The user account of a PostgreSQL server.
#[derive(Debug, Clone)]
pub enum Account {
    /// The one this process has.
    Own,
    /// Another one, because this process is root.
    Other(User),
}

impl Account {
    /// The account for servers that this process starts: its own, or for root `postgres`, or for want of that `nobody`.
    ///
    /// # Errors
    /// [`io::Error`] when the accounts cannot be read, or root finds neither.
    pub fn for_servers() -> io::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self::Other(user));
            }
        }
        Err(io::Error::other(
            "PostgreSQL does not run as root, and there is no other user here",
        ))
    }

    /// A command run as this account, with nothing of our environment: `PGPORT` and its kin would change what it does.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null());
        if let Self::Other(user) = self {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Makes the account the owner of a file or folder, and keeps everybody else out of it.
    ///
    /// # Errors
    /// [`io::Error`] when rights or owner cannot be changed.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        match self {
            Self::Own => Ok(()),
            Self::Other(user) => {
                std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            }
        }
    }

    fn reaches(&self, folder: &Path) -> bool {
        let tried = self
            .command(Path::new("/bin/sh"))
            .args(["-c", "cd \"$0\""])
            .arg(folder)
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    }

    /// Makes the wanted folder, or one that stands for it when the account cannot get there: below `/root`, for instance.
    ///
    /// # Errors
    /// [`io::Error`] when neither can be made.
    pub fn folder(&self, wanted: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(wanted)?;
        let wanted = wanted.canonicalize()?;
        // Others may pass through it, not look around in it.
        fs::set_permissions(&wanted, fs::Permissions::from_mode(0o711))?;
        if self.reaches(&wanted) {
            return Ok(wanted);
        }
        stand_in(&wanted)
    }
}

/// A folder in a place that every user reaches, named after the wanted one, so that the next start finds it again.
fn stand_in(wanted: &Path) -> io::Result<PathBuf> {
    let temporary = Path::new("/var/tmp");
    let parent = if temporary.is_dir() {
        temporary.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = parent.join(format!("plinth-{:016x}", fingerprint(wanted)));
    match fs::DirBuilder::new().mode(0o711).create(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(&folder)?;
            if !found.is_dir() || found.uid() != geteuid().as_raw() {
                let why = format!("{} belongs to somebody else", folder.display());
                return Err(io::Error::other(why));
            }
            Ok(folder)
        }
        made => made.map(|()| folder),
    }
}

/// FNV-1a: the same on every machine and with every compiler, which the standard hasher does not promise.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_the_account_cannot_reach_gets_a_stand_in_which_is_found_again() {
        let account = Account::for_servers().unwrap();
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let wanted = closed.path().join("pg");
        let first = account.folder(&wanted).unwrap();
        assert_eq!(first, account.folder(&wanted).unwrap());
        match account {
            Account::Own => assert_eq!(first, wanted.canonicalize().unwrap()),
            Account::Other(_) => {
                assert!(!first.starts_with(closed.path()), "{}", first.display());
                fs::remove_dir(first).unwrap();
            }
        }
    }
}
