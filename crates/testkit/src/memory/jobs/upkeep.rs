//! What the worker looks for and cleans up across tenants, in memory.

use app::upkeep::Upkeep;
use kernel::{InvitationId, StoreError, TenantId, TenantStatus};
use time::OffsetDateTime;

use crate::memory::{Memory, MemoryTx, oldest};

impl Memory {
    /// Sets the end of a tenant's trial, which no port writes.
    pub fn end_trial_at(&self, tenant_id: TenantId, at: OffsetDateTime) {
        self.change(|tables| {
            tables.tenancy.trial_ends.insert(tenant_id, at);
        });
    }
}

impl MemoryTx {
    fn has_status(&self, tenant_id: TenantId, status: TenantStatus) -> bool {
        let tenant = self.tables.tenancy.tenants.get(&tenant_id);
        tenant.is_some_and(|tenant| tenant.status == status)
    }

    /// Tenants on trial and when their trials end.
    fn trials(&self) -> impl Iterator<Item = (OffsetDateTime, TenantId)> {
        let ends = self.tables.tenancy.trial_ends.iter();
        ends.filter(|(id, _)| self.has_status(**id, TenantStatus::Trial))
            .map(|(id, at)| (*at, *id))
    }

    /// Frozen tenants and since when they are.
    fn frozen(&self) -> impl Iterator<Item = (OffsetDateTime, TenantId)> {
        let since = self.tables.tenancy.status_since.iter();
        since
            .filter(|(id, _)| self.has_status(**id, TenantStatus::Frozen))
            .map(|(id, at)| (*at, *id))
    }
}

impl Upkeep for MemoryTx {
    fn expired_invitations(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<(TenantId, InvitationId)>, StoreError> {
        let mut expired = self.invitations_expired_at(now);
        expired.truncate(limit as usize);
        Ok(expired)
    }

    fn ended_trials(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        Ok(oldest(self.trials().filter(|(at, _)| *at <= now), limit))
    }

    fn long_frozen_tenants(
        &mut self,
        since: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        Ok(oldest(self.frozen().filter(|(at, _)| *at <= since), limit))
    }

    fn trial_has_ended(
        &mut self,
        tenant_id: TenantId,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let mut trials = self.trials();
        Ok(self.sees(tenant_id) && trials.any(|(at, id)| id == tenant_id && at <= now))
    }

    fn is_long_frozen(
        &mut self,
        tenant_id: TenantId,
        since: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let mut frozen = self.frozen();
        Ok(self.sees(tenant_id) && frozen.any(|(at, id)| id == tenant_id && at <= since))
    }

    fn delete_idempotency_keys(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(self.forget_idempotency_keys(before, limit))
    }

    fn apply_due_plan_changes(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(self.move_up_due_plans(now, limit))
    }

    fn delete_sessions(&mut self, before: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        Ok(self.forget_sessions(before, limit))
    }

    fn delete_reservations(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(self.forget_reservations(before, limit))
    }

    fn delete_finished_jobs(
        &mut self,
        done_before: OffsetDateTime,
        dead_before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(self.forget_finished_jobs(done_before, dead_before, limit))
    }

    fn delete_relayed_facts(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(self.forget_relayed_facts(before, limit))
    }

    /// The trail in memory is of one piece.
    fn ensure_audit_partitions(&mut self) -> Result<u32, StoreError> {
        Ok(0)
    }
}
