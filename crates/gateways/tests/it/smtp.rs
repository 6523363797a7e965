use plinth_gateways::mail::SmtpMailer;
use tenancy::{MailError, Mailer};

use crate::{message, sink::Sink};

fn mailer(url: &str) -> SmtpMailer {
    SmtpMailer::new(&url.into(), "Plinth <no-reply@plinth.example>").unwrap()
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let sink = Sink::start("250 known").await;
    mailer(&sink.url).send(message("0195/1")).await.unwrap();
    let mail = sink.heard(|heard| heard.mails.first().cloned()).unwrap();
    assert!(
        mail.contains("From: Plinth <no-reply@plinth.example>"),
        "{mail}"
    );
    assert!(mail.contains("To: ann@example.com"), "{mail}");
    assert!(
        mail.contains("Message-ID: <0195.1@plinth.example>"),
        "{mail}"
    );
    assert!(mail.contains("Subject: Einladung zu =?utf-8?b?"), "{mail}");
    assert!(
        mail.trim_end()
            .ends_with("\nHello Ann,\n.\nA line of one dot above."),
        "{mail}"
    );
    sink.heard(|heard| {
        assert!(
            heard
                .commands
                .iter()
                .any(|line| line.starts_with("RCPT TO:<ann@example.com>"))
        );
        assert!(
            heard
                .commands
                .iter()
                .any(|line| line.starts_with("MAIL FROM:<no-reply@plinth"))
        );
    });
}

#[tokio::test]
async fn the_connection_is_used_again() {
    let sink = Sink::start("250 known").await;
    let mailer = mailer(&sink.url);
    for id in ["1", "2", "3"] {
        mailer.send(message(id)).await.unwrap();
        // A connection goes back to the pool in a task of its own.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        sink.heard(|heard| (heard.connections, heard.mails.len())),
        (1, 3)
    );
}

#[tokio::test]
async fn a_server_that_says_later_is_asked_later() {
    let sink = Sink::start("451 greylisted").await;
    let outcome = mailer(&sink.url).send(message("1")).await;
    assert!(
        matches!(outcome, Err(MailError::Transient(_))),
        "{outcome:?}"
    );
    assert!(sink.heard(|heard| heard.mails.is_empty()));
}

#[tokio::test]
async fn a_server_that_says_never_is_believed() {
    let sink = Sink::start("550 no such person").await;
    let outcome = mailer(&sink.url).send(message("1")).await;
    assert!(
        matches!(&outcome, Err(MailError::Permanent(why)) if why.contains("no such person")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_refused_sign_in_is_not_the_mails_fault() {
    let sink = Sink::start("535 bad password").await;
    let outcome = mailer(&sink.url).send(message("1")).await;
    assert!(
        matches!(outcome, Err(MailError::Transient(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    drop(listener);
    let outcome = mailer(&url).send(message("1")).await;
    assert!(
        matches!(outcome, Err(MailError::Transient(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_for_ever() {
    let sink = Sink::start("250 known").await;
    let mut mail = message("1");
    mail.to = "ann@example.com>\r\nRCPT TO:<eve@example.com".to_owned();
    let outcome = mailer(&sink.url).send(mail).await;
    assert!(
        matches!(outcome, Err(MailError::Permanent(_))),
        "{outcome:?}"
    );
    assert_eq!(sink.heard(|heard| heard.connections), 0);
}
