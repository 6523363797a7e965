//! Mails to a server.

use std::{net::IpAddr, time::Duration};

use kernel::BoxFuture;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    transport::smtp::{Error, PoolConfig},
};
use secrecy::{ExposeSecret, SecretString};
use tenancy::{MailError, Mailer, Message};

use super::{MailerError, Sender};

/// How long the server may take over one step of the conversation.
const STEP: Duration = Duration::from_secs(10);
/// How long the whole conversation may take, from the first name look-up to the last word.
const CONVERSATION: Duration = Duration::from_secs(45);
/// Answers about who we are, and not about the mail: an operator mends the password, and the mail is still good.
const ABOUT_US: [u16; 5] = [454, 530, 534, 535, 538];

/// Hands mails to a server. Connections are kept for a minute and used again.
#[derive(Debug, Clone)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Sender,
}

impl SmtpMailer {
    /// Sends to the server at `url`, as `from`. The address is `smtp://[user:password@]host[:port]`, with `?tls=required` for STARTTLS, or
    /// `smtps://…` for TLS from the first byte. Connects when the first mail is sent.
    /// Must be called in a runtime: the connections are looked after there.
    ///
    /// # Errors
    /// See [`MailerError`].
    pub fn new(url: &SecretString, from: &str) -> Result<Self, MailerError> {
        let (url, sender) = (url.expose_secret(), Sender::parse(from)?);
        if shows_password(url) {
            return Err(MailerError::PlainPassword);
        }
        let pool = PoolConfig::new()
            .max_size(4)
            .idle_timeout(Duration::from_secs(60));
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| MailerError::Url(error.to_string()))?
            .timeout(Some(STEP))
            .pool_config(pool)
            .build();
        Ok(Self { transport, sender })
    }
}

impl Mailer for SmtpMailer {
    fn send(&self, message: Message) -> BoxFuture<'_, Result<(), MailError>> {
        Box::pin(async move {
            let mail = self.sender.write(message)?;
            match tokio::time::timeout(CONVERSATION, self.transport.send(mail)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(classify(&error)),
                Err(_) => Err(MailError::Transient("the server took too long".to_owned())),
            }
        })
    }
}

/// Only a refusal of this very mail is for ever.
fn classify(error: &Error) -> MailError {
    let about_us = error
        .status()
        .is_some_and(|code| ABOUT_US.contains(&u16::from(code)));
    if error.is_permanent() && !about_us {
        MailError::Permanent(error.to_string())
    } else {
        MailError::Transient(error.to_string())
    }
}

/// Whether a password would cross a network without TLS.
fn shows_password(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("smtp://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((_, host)) = authority.rsplit_once('@') else {
        return false;
    };
    let name = host
        .trim_start_matches('[')
        .split([']', ':'])
        .next()
        .unwrap_or_default();
    let here = name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
        || host.starts_with("[::1]");
    !here && !rest.contains("tls=required")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_leaves_in_the_clear() {
        for url in [
            "smtp://me:pw@mail.example.com",
            "smtp://me:pw@10.0.0.1:587?tls=opportunistic",
        ] {
            assert!(shows_password(url), "{url}");
        }
        for url in [
            "smtp://mail.example.com",
            "smtp://me:pw@mail.example.com:587?tls=required",
            "smtps://me:pw@mail.example.com",
            "smtp://me:pw@127.0.0.1:1025",
            "smtp://me:pw@[::1]:1025",
            "smtp://me:pw@localhost",
        ] {
            assert!(!shows_password(url), "{url}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_without_showing_it() {
        let refused = |url: &str| {
            SmtpMailer::new(&url.into(), "a@b.example")
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        for url in ["hunter2", "http://me:hunter2@host", "smtps://me:hunter2@"] {
            assert!(!refused(url).contains("hunter2"), "{}", refused(url));
        }
        let from = SmtpMailer::new(&"smtp://127.0.0.1".into(), "nobody")
            .map(drop)
            .unwrap_err();
        assert_eq!(from, MailerError::From("nobody".to_owned()));
    }
}
