//! Where the story plays: the running `cargo dev`, or a private one in a temporary folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use local_pg::Durability;

use crate::{
    api::Api, environment, failure::Failure, home::read_dev_env, private, stack::Stack,
    terminal::say,
};

/// A server that answers, and its database.
pub(super) struct Stage {
    pub(super) url: String,
    pub(super) app_url: String,
    pub(super) owner_url: String,
    private: Option<(Stack, PathBuf)>,
}

/// What private folders are called.
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
        private::sweep(PREFIX);
        let folder = private::folder(PREFIX);
        let stack = Stack::start(&folder, private::free_port()?, Durability::ThrowAway).await?;
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
