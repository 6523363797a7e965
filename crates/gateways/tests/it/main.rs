//! Mails over a real SMTP conversation, and as files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod folder;
mod sink;
mod smtp;

use tenancy::Message;

fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        to: "ann@example.com".to_owned(),
        subject: "Einladung zu „Österreich“".to_owned(),
        text: "Hello Ann,\n.\nA line of one dot above.\n".to_owned(),
    }
}
