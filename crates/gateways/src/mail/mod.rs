//! Mails. Two implementations of [`tenancy::Mailer`]: a mail server, and a folder for development.

mod folder;
mod smtp;

use lettre::message::{Mailbox, Message as Mime, header::ContentType};
use tenancy::{MailError, Message};

pub use folder::FileMailer;
pub use smtp::SmtpMailer;

/// Why a mailer cannot be made of its settings. Holds no part of an address that may carry a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailerError {
    /// The sender is no mail address.
    #[error("mail.from is no mail address: {0}")]
    From(String),
    /// The server's address cannot be read.
    #[error("mail.smtp_url is no address of a mail server: {0}")]
    Url(String),
    /// The password would cross the network in the clear.
    #[error("mail.smtp_url sends its password in the clear: use smtps:// or add ?tls=required")]
    PlainPassword,
    /// The folder cannot be made.
    #[error("mail.file is no folder that can be written to: {0}")]
    Folder(String),
}

/// Who mails are from, and how they are written.
#[derive(Debug, Clone)]
struct Sender {
    from: Mailbox,
}

impl Sender {
    fn parse(from: &str) -> Result<Self, MailerError> {
        from.parse()
            .map(|from| Self { from })
            .map_err(|_| MailerError::From(from.to_owned()))
    }

    /// The mail as it goes over the wire. The `Message-ID` is made of the message's own id, so that a mail that was sent twice after a
    /// crash shows as one.
    fn write(&self, message: Message) -> Result<Mime, MailError> {
        let to: Mailbox = message.to.parse().map_err(|error| {
            MailError::Permanent(format!("the recipient's address cannot be read: {error}"))
        })?;
        Mime::builder()
            .from(self.from.clone())
            .to(to)
            .subject(message.subject)
            .message_id(Some(format!(
                "<{}@{}>",
                file_name(&message.id),
                self.from.email.domain()
            )))
            .header(ContentType::TEXT_PLAIN)
            .body(message.text)
            .map_err(|error| MailError::Permanent(error.to_string()))
    }
}

/// An id, without what would mean something in a header or a path.
fn file_name(id: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '.'
        }
    };
    id.chars()
        .take(120)
        .map(plain)
        .collect::<String>()
        .trim_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_harmless_in_headers_and_paths() {
        assert_eq!(file_name("0195-ab/2"), "0195-ab.2");
        assert_eq!(file_name("../../etc/passwd"), "etc.passwd");
        assert_eq!(file_name("a>\r\nBcc: x"), "a...Bcc..x");
    }
}
