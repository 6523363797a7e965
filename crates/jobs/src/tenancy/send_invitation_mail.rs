//! Mails an invitation. The token is made here, from the invitation and a key: neither the fact nor the job holds it.

use std::sync::Arc;

use app::{
    outbox::StoredFact,
    queue::{NewJob, Priority},
};
use kernel::{BoxFuture, InvitationId, Scope, StoreError, UnitOfWork};
use serde::Deserialize;
use serde_json::Value;
use tenancy::{
    Invitation, InvitationStatus, InvitationTokens, MailError, Mailer, Message, Store, Tenant,
};
use time::{OffsetDateTime, macros::format_description};

use crate::{Job, JobContext, JobError};

const KIND: &str = "send_invitation_mail";

/// Sends one mail per time that an invitation is sent.
pub struct SendInvitationMail {
    db: Arc<dyn UnitOfWork<dyn Store>>,
    tokens: InvitationTokens,
    mailer: Arc<dyn Mailer>,
    link_base: String,
}

/// What the fact says, and the job with it.
#[derive(Debug, Deserialize)]
struct Payload {
    invitation_id: InvitationId,
    sends: i32,
}

impl SendInvitationMail {
    /// Sends through `mailer`; links lead to `link_base`.
    #[must_use]
    pub fn new(
        db: Arc<dyn UnitOfWork<dyn Store>>,
        tokens: InvitationTokens,
        mailer: Arc<dyn Mailer>,
        link_base: &str,
    ) -> Self {
        Self {
            db,
            tokens,
            mailer,
            link_base: link_base.trim_end_matches('/').to_owned(),
        }
    }

    /// The job that follows from [`tenancy::invitation::SEND_TOPIC`].
    #[must_use]
    pub fn react(fact: &StoredFact, now: OffsetDateTime) -> Vec<NewJob> {
        let job = NewJob::new(KIND, Some(fact.tenant_id), fact.payload.clone(), now);
        vec![
            job.with_priority(Priority::Urgent)
                .once(fact.id.to_string()),
        ]
    }

    fn mail(&self, invitation: &Invitation, tenant: &Tenant) -> Message {
        let token = self.tokens.issue(invitation.id, invitation.sends);
        let deadline =
            format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
        let until = invitation.expires_at.format(&deadline).unwrap_or_default();
        let (name, role, base) = (tenant.name.as_str(), &invitation.role_key, &self.link_base);
        Message {
            id: format!("{}/{}", invitation.id, invitation.sends),
            to: invitation.email.clone(),
            subject: format!("You are invited to join {name}"),
            // Behind `#`, the token reaches no server's log.
            text: format!(
                "You are invited to join {name} with the role {role}.\n\n\
                 To accept, open this address before {until}:\n\n\
                 {base}/invitations/accept#token={token}\n\n\
                 If you did not expect this mail, do nothing: nobody joins without accepting.\n"
            ),
        }
    }
}

impl Job for SendInvitationMail {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run(&self, context: JobContext, payload: Value) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let tenant_id = context.tenant()?;
            let payload: Payload = serde_json::from_value(payload).map_err(JobError::fatal)?;
            let id = payload.invitation_id;
            let found = self
                .db
                .run(Scope::tenant(tenant_id), move |store| {
                    let invitation = store.invitation(tenant_id, id)?;
                    Ok::<_, StoreError>(invitation.zip(store.tenant(tenant_id)?))
                })
                .await?;
            let current = found.filter(|(invitation, _)| {
                invitation.status_at(context.now()) == InvitationStatus::Pending
                    && invitation.sends == payload.sends
            });
            let Some((invitation, tenant)) = current else {
                tracing::info!(%id, "the invitation was answered, revoked or sent again: no mail");
                return Ok(());
            };
            self.mailer
                .send(self.mail(&invitation, &tenant))
                .await
                .map_err(|error| match error {
                    MailError::Transient(_) => JobError::retry(error),
                    MailError::Permanent(_) => JobError::fatal(error),
                })
        })
    }
}
