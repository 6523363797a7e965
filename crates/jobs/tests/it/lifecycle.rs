//! What time does to invitations and tenants.

use std::sync::Arc;

use app::upkeep::LifecycleStore;
use kernel::{SystemClock, TenantId, UnitOfWork};
use plinth_jobs::{
    Job, JobContext,
    tenancy::{ArchiveFrozen, EndTrials, ExpireInvitations},
};
use serde_json::Value;

use crate::bench::Bench;

fn store(bench: &Bench) -> Arc<dyn UnitOfWork<dyn LifecycleStore>> {
    bench.db.worker_pg().unit_of_work(|tx| tx)
}

async fn run(job: impl Job) {
    job.run(JobContext::alone(None, Arc::new(SystemClock)), Value::Null)
        .await
        .unwrap();
}

fn status(bench: &Bench, tenant: TenantId) -> String {
    bench.text(&format!(
        "select status as value from tenants where id = '{tenant}'"
    ))
}

fn audited(bench: &Bench, action: &str, tenant: TenantId) -> i64 {
    bench.number(&format!(
        "select count(*) as value from audit_events
         where action = '{action}' and tenant_id = '{tenant}' and actor_type = 'system'"
    ))
}

#[tokio::test]
async fn invitations_expire_and_leave_a_trace() {
    let bench = Bench::new().await;
    let [acme, globex] = ["acme", "globex"].map(|slug| bench.tenant(slug, "active"));
    for tenant in [acme, globex] {
        bench.sql(&format!(
            "insert into invitations (tenant_id, email, role_key, expires_at) values
             ('{tenant}', 'late@example.com', 'member', now() - interval '1 second'),
             ('{tenant}', 'open@example.com', 'member', now() + interval '1 hour')"
        ));
    }
    run(ExpireInvitations::new(store(&bench))).await;
    run(ExpireInvitations::new(store(&bench))).await;
    for tenant in [acme, globex] {
        let expired = format!(
            "select email as value from invitations where tenant_id = '{tenant}' and status = 'expired'"
        );
        assert_eq!(bench.text(&expired), "late@example.com");
        assert_eq!(audited(&bench, "invitation.expired", tenant), 1);
    }
    assert_eq!(
        bench.number("select count(*) as value from invitations where status = 'pending'"),
        2
    );
}

#[tokio::test]
async fn a_trial_that_is_over_freezes_its_tenant() {
    let bench = Bench::new().await;
    let [over, open, paid] = [("over", "trial"), ("open", "trial"), ("paid", "active")]
        .map(|(slug, status)| bench.tenant(slug, status));
    bench.sql(&format!(
        "update tenants set trial_ends_at = now() - interval '1 day' where id in ('{over}', '{paid}');
         update tenants set trial_ends_at = now() + interval '1 day' where id = '{open}'"
    ));
    run(EndTrials::new(store(&bench))).await;
    assert_eq!(status(&bench, over), "frozen");
    assert_eq!(status(&bench, open), "trial");
    assert_eq!(status(&bench, paid), "active");
    assert_eq!(audited(&bench, "tenant.frozen", over), 1);
    assert_eq!(audited(&bench, "tenant.frozen", paid), 0);
}

#[tokio::test]
async fn a_tenant_that_was_frozen_for_thirty_days_is_archived() {
    let bench = Bench::new().await;
    let [long, short] = ["long", "short"].map(|slug| bench.tenant(slug, "frozen"));
    bench.sql(&format!(
        "update tenants set status_changed_at = now() - interval '30 days 1 minute' where id = '{long}';
         update tenants set status_changed_at = now() - interval '29 days' where id = '{short}'"
    ));
    run(ArchiveFrozen::new(store(&bench))).await;
    assert_eq!(status(&bench, long), "archived");
    assert_eq!(status(&bench, short), "frozen");
    assert_eq!(audited(&bench, "tenant.archived", long), 1);
}
