//! An invitation becomes a mail: through the outbox, and without its token at rest.

use std::sync::{Arc, Mutex};

use kernel::{BoxFuture, Clock, InvitationId, SystemClock, TenantId};
use plinth_jobs::{Registry, catalogue};
use tenancy::{InvitationTokens, MailError, Mailer, Message};

use crate::bench::{Bench, Started, brisk, now};

/// Keeps mails, or refuses them.
#[derive(Default)]
struct Letterbox {
    mails: Mutex<Vec<Message>>,
    refusals: Mutex<Vec<MailError>>,
}

impl Mailer for Letterbox {
    fn send(&self, message: Message) -> BoxFuture<'_, Result<(), MailError>> {
        Box::pin(async move {
            if let Some(refusal) = self.refusals.lock().unwrap().pop() {
                return Err(refusal);
            }
            self.mails.lock().unwrap().push(message);
            Ok(())
        })
    }
}

fn tokens() -> InvitationTokens {
    InvitationTokens::derive(&[b"a secret of thirty-two bytes or more"])
}

fn registry(bench: &Bench, mailer: &Arc<Letterbox>) -> Registry {
    let pg = bench.db.worker_pg();
    catalogue::registry(catalogue::Ports {
        tenancy: pg.unit_of_work(|tx| tx),
        lifecycle: pg.unit_of_work(|tx| tx),
        upkeep: pg.unit_of_work(|tx| tx),
        tokens: tokens(),
        mailer: Arc::clone(mailer) as Arc<dyn Mailer>,
        link_base: "https://app.example/".to_owned(),
    })
}

/// An invitation, and the fact that it must be mailed.
fn invite(bench: &Bench, tenant: TenantId, email: &str, status: &str) -> InvitationId {
    let id = InvitationId::new(now());
    let fact = kernel::id::uuid_v7(SystemClock.now());
    bench.sql(&format!(
        "insert into invitations (tenant_id, id, email, role_key, status, sends, expires_at)
         values ('{tenant}', '{id}', '{email}', 'member', '{status}', 1, '2030-01-02 03:04Z');
         insert into outbox (tenant_id, id, topic, key, payload, occurred_at)
         values ('{tenant}', '{fact}', 'tenancy.invitation_sent', '{id}/1',
                 '{{\"invitation_id\": \"{id}\", \"sends\": 1}}', now())"
    ));
    id
}

#[tokio::test]
async fn an_invitation_is_mailed_once_with_a_token_that_opens_it() {
    let bench = Bench::new().await;
    let mailer = Arc::new(Letterbox::default());
    let tenant = bench.tenant("acme", "active");
    let id = invite(&bench, tenant, "ann@example.com", "pending");
    invite(&bench, tenant, "bob@example.com", "revoked");
    let workers = [bench.another(), bench.another()]
        .map(|store| Started::new(&store, registry(&bench, &mailer), brisk()));
    bench.until("select count(*) as value from jobs where kind = 'send_invitation_mail' and state = 'done'", 2).await;
    for worker in workers {
        worker.stop().await;
    }
    let mails = mailer.mails.lock().unwrap().clone();
    assert_eq!(mails.len(), 1, "a revoked invitation is not mailed");
    let mail = &mails[0];
    assert_eq!(
        (mail.to.as_str(), mail.subject.as_str()),
        ("ann@example.com", "You are invited to join Acme")
    );
    assert_eq!(mail.id, format!("{id}/1"));
    assert!(
        mail.text.contains("2 January 2030, 03:04 UTC"),
        "{}",
        mail.text
    );
    let link = mail
        .text
        .lines()
        .find(|line| line.starts_with("https://"))
        .unwrap();
    let token = link
        .strip_prefix("https://app.example/invitations/accept#token=")
        .unwrap();
    assert_eq!(tokens().open(token), Some((id, 1)));
    let at_rest = format!(
        "select count(*) as value from jobs j, outbox o where strpos(j.payload::text || o.payload::text, '{token}') > 0"
    );
    assert_eq!(bench.number(&at_rest), 0);
}

#[tokio::test]
async fn a_busy_server_is_tried_again_and_a_refused_mail_is_not() {
    let bench = Bench::new().await;
    let mailer = Arc::new(Letterbox::default());
    mailer
        .refusals
        .lock()
        .unwrap()
        .push(MailError::Transient("busy".into()));
    let tenant = bench.tenant("acme", "active");
    invite(&bench, tenant, "ann@example.com", "pending");
    let worker = Started::new(&bench.store, registry(&bench, &mailer), brisk());
    bench
        .until(
            "select count(*) as value from jobs where state = 'ready' and attempt = 1",
            1,
        )
        .await;
    mailer
        .refusals
        .lock()
        .unwrap()
        .push(MailError::Permanent("no such person".into()));
    bench.sql("update jobs set run_at = now()");
    bench
        .until(
            "select count(*) as value from jobs where state = 'dead' and attempt = 2",
            1,
        )
        .await;
    worker.stop().await;
    assert!(mailer.mails.lock().unwrap().is_empty());
}
