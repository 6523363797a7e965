//! Mails as files, for development.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kernel::BoxFuture;
use tenancy::{MailError, Mailer, Message};

use super::{MailerError, Sender, file_name};

/// Writes each mail as one `.eml` file into a folder. A file appears whole or not at all.
#[derive(Debug, Clone)]
pub struct FileMailer {
    folder: PathBuf,
    sender: Sender,
}

impl FileMailer {
    /// Writes into `folder`, which is made when it is not there, as `from`.
    ///
    /// # Errors
    /// See [`MailerError`].
    pub fn new(folder: impl Into<PathBuf>, from: &str) -> Result<Self, MailerError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|error| MailerError::Folder(error.to_string()))?;
        Ok(Self {
            folder,
            sender: Sender::parse(from)?,
        })
    }
}

impl Mailer for FileMailer {
    fn send(&self, message: Message) -> BoxFuture<'_, Result<(), MailError>> {
        let (folder, name) = (self.folder.clone(), file_name(&message.id));
        Box::pin(async move {
            let text = self.sender.write(message)?.formatted();
            tokio::task::spawn_blocking(move || write_whole(&folder, &name, &text))
                .await
                .map_err(|error| MailError::Transient(error.to_string()))?
                .map_err(|error| MailError::Transient(error.to_string()))
        })
    }
}

fn write_whole(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!(".{name}.unfinished"));
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, folder.join(format!("{name}.eml")))
}
