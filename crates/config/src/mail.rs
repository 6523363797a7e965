//! How mail leaves.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    ConfigError, Missing,
    value::{optional_secret, optional_text},
};

/// How mail leaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Where it goes.
    #[serde(deserialize_with = "optional_secret")]
    pub smtp_url: Option<SecretString>,
    /// Folder it is written to when there is no `smtp_url`.
    #[serde(deserialize_with = "optional_text")]
    pub file: Option<String>,
    /// Who it is from.
    pub from: String,
    /// Address that links lead to.
    pub link_base: String,
}

/// One way for mail to leave.
#[derive(Debug, Clone)]
pub enum Transport {
    /// To a mail server.
    Smtp(SecretString),
    /// To files in a folder.
    Folder(PathBuf),
}

impl Mail {
    /// The way that mail leaves by.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] when neither `smtp_url` nor `file` is set.
    pub fn transport(&self) -> Result<Transport, ConfigError> {
        match (&self.smtp_url, &self.file) {
            (Some(url), _) => Ok(Transport::Smtp(url.clone())),
            (None, Some(folder)) => Ok(Transport::Folder(PathBuf::from(folder))),
            (None, None) => Err(ConfigError::Missing(vec![Missing {
                key: "mail.smtp_url",
                variable: "SMTP_URL",
                purpose: "invitations leave by mail; in development, mail.file names a folder instead",
            }])),
        }
    }
}
