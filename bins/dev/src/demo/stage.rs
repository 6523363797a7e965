//! Where the story plays: the running `cargo dev`, or a private one in a temporary folder.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use local_pg::{Durability, process};

use crate::{
    api::Api,
    environment,
    failure::{Failure, While},
    home::{Home, read_dev_env},
    stack::Stack,
    terminal::say,
};

/// A server that answers, and its database.
pub(super) struct Stage {
    pub(super) url: String,
    pub(super) app_url: String,
    pub(super) owner_url: String,
    private: Option<(Stack, PathBuf)>,
}

/// Private folders are named after their process, so that a later run knows which ones nobody needs.
const PREFIX: &str = "plinth-demo-";

impl Stage {
    /// The running server when there is one, else a private one.
    pub(super) async fn set() -> Result<Self, Failure> {
        if let Some(running) = Self::of(&environment::home())?
            && Api::at(&running.url)?.is_ready().await
        {
            say(&format!(
                "Playing on the server that runs at {}",
                running.url
            ));
            return Ok(running);
        }
        say("No `cargo dev` runs here: starting a private one.");
        sweep();
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        let stack = Stack::start(&folder, free_port()?, Durability::ThrowAway).await?;
        let described =
            Self::of(&folder)?.ok_or_else(|| Failure::new("dev.env is not complete"))?;
        Ok(Self {
            private: Some((stack, folder)),
            ..described
        })
    }

    fn of(folder: &Path) -> Result<Option<Self>, Failure> {
        let known = read_dev_env(folder)?;
        let value = |key: &str| known.get(key).cloned();
        let (Some(url), Some(app_url), Some(owner_url)) = (
            value("PLINTH_URL"),
            value("DATABASE_URL"),
            value("OWNER_DATABASE_URL"),
        ) else {
            return Ok(None);
        };
        Ok(Some(Self {
            url,
            app_url,
            owner_url,
            private: None,
        }))
    }

    /// Takes down what was set up for this run alone.
    pub(super) async fn leave(self) {
        if let Some((stack, folder)) = self.private {
            stack.stop().await;
            let _later_runs_sweep = fs::remove_dir_all(folder);
        }
    }
}

/// Ends and removes what killed runs left.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if pid.is_some_and(|pid| !process::runs(pid)) {
            // Taking the folder ends the programs that were noted in it.
            let _nothing_left = Home::take(&entry.path());
            if local_pg::cluster::stop_left_over(&entry.path().join("postgres")) {
                let _next_time = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn free_port() -> Result<u16, Failure> {
    let doing = "looking for a free port";
    let listener = TcpListener::bind("127.0.0.1:0").while_(doing)?;
    Ok(listener.local_addr().while_(doing)?.port())
}
