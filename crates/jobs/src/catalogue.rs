//! Which jobs there are, and when they run. The names of schedules are the kinds of their jobs.

use std::sync::Arc;

use app::upkeep::{LifecycleStore, Upkeep};
use kernel::UnitOfWork;
use tenancy::{InvitationTokens, Mailer, Store, invitation::SEND_TOPIC};

use crate::{
    Registry,
    billing::ApplyPlanChanges,
    tenancy::{ArchiveFrozen, EndTrials, ExpireInvitations, SendInvitationMail},
    upkeep::{DeleteFinished, DeleteOlder, EnsureAuditPartitions},
};

/// What the jobs of tenancy, billing and upkeep need.
pub struct Ports {
    /// Tenants, in the scope of one.
    pub tenancy: Arc<dyn UnitOfWork<dyn Store>>,
    /// Tenants, and which of them are due.
    pub lifecycle: Arc<dyn UnitOfWork<dyn LifecycleStore>>,
    /// What is due, and what is over.
    pub upkeep: Arc<dyn UnitOfWork<dyn Upkeep>>,
    /// Makes the tokens that invitations are accepted with: the same keys as the API's.
    pub tokens: InvitationTokens,
    /// How mail leaves.
    pub mailer: Arc<dyn Mailer>,
    /// Address that links in mails lead to.
    pub link_base: String,
}

/// The jobs of tenancy, billing and upkeep.
#[must_use]
pub fn registry(ports: Ports) -> Registry {
    let Ports {
        tenancy,
        lifecycle,
        upkeep,
        tokens,
        mailer,
        link_base,
    } = ports;
    Registry::new()
        .job(SendInvitationMail::new(tenancy, tokens, mailer, &link_base))
        .on(SEND_TOPIC, SendInvitationMail::react)
        .cron(
            "*/5 * * * *",
            ExpireInvitations::new(Arc::clone(&lifecycle)),
        )
        .cron("*/10 * * * *", EndTrials::new(Arc::clone(&lifecycle)))
        .cron("17 * * * *", ArchiveFrozen::new(lifecycle))
        .cron(
            "27 * * * *",
            DeleteOlder::idempotency_keys(Arc::clone(&upkeep)),
        )
        .cron("* * * * *", ApplyPlanChanges::new(Arc::clone(&upkeep)))
        .cron("37 * * * *", DeleteFinished::new(Arc::clone(&upkeep)))
        .cron("41 2 * * *", DeleteOlder::sessions(Arc::clone(&upkeep)))
        .cron("43 2 * * *", DeleteOlder::reservations(Arc::clone(&upkeep)))
        .cron("47 1 * * *", EnsureAuditPartitions::new(upkeep))
}
