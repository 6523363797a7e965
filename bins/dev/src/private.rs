//! Temporary folders for runs that leave nothing behind. They are named after their process, so that a later run knows which ones nobody
//! needs.

use std::{fs, net::TcpListener, path::PathBuf};

use local_pg::process;

use crate::{
    failure::{Failure, While},
    home::Home,
};

/// The folder of this process.
pub(crate) fn folder(prefix: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{prefix}{}", std::process::id()))
}

/// Ends and removes what killed runs left.
pub(crate) fn sweep(prefix: &str) {
    for entry in fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix)?.parse().ok());
        if pid.is_some_and(|pid| !process::runs(pid)) {
            // Taking the folder ends the programs that were noted in it.
            let _nothing_left = Home::take(&entry.path());
            if local_pg::cluster::stop_left_over(&entry.path().join("postgres")) {
                let _next_time = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A TCP port that nobody uses at this moment.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let doing = "looking for a free port";
    let listener = TcpListener::bind("127.0.0.1:0").while_(doing)?;
    Ok(listener.local_addr().while_(doing)?.port())
}
