//! Subscriptions and the plans they have had, in memory.

use billing::{PlanChange, PlanRef, Subscription, Subscriptions, subscription::Status};
use kernel::{StoreError, TenantId, Zone};
use tenancy::Tenant;
use time::OffsetDateTime;

use crate::memory::{MemoryTx, conflict};

impl MemoryTx {
    /// The tenant in scope, deleted or not. It must be there.
    pub(in crate::memory) fn row_of_tenant(&self, id: TenantId) -> Result<&Tenant, StoreError> {
        let row = self.tables.tenancy.tenants.get(&id);
        row.filter(|_| self.sees(id))
            .ok_or_else(|| StoreError::Unexpected("there is no such tenant".to_owned()))
    }

    /// The tenant's subscription that is not canceled.
    pub(super) fn live_subscription(&self, tenant_id: TenantId) -> Option<&Subscription> {
        let subscriptions = self.tables.billing.subscriptions.values();
        subscriptions
            .filter(|one| one.tenant_id == tenant_id && self.sees(tenant_id))
            .find(|one| one.status != Status::Canceled)
    }

    /// The unique index and the foreign keys that every written subscription meets.
    fn refuse_broken_subscription(&self, one: &Subscription) -> Result<(), StoreError> {
        let live = self.live_subscription(one.tenant_id);
        if one.status != Status::Canceled && live.is_some_and(|live| live.id != one.id) {
            return Err(conflict("subscriptions_live_key"));
        }
        self.refuse_unknown_plan(&one.plan, "subscriptions_plan_code_plan_version_fkey")?;
        match &one.pending {
            Some(pending) => self.refuse_unknown_plan(
                &pending.plan,
                "subscriptions_pending_plan_code_pending_plan_version_fkey",
            ),
            None => Ok(()),
        }
    }

    fn refuse_unknown_plan(&self, plan: &PlanRef, constraint: &str) -> Result<(), StoreError> {
        match self.tables.billing.plans.version(plan) {
            Some(_) => Ok(()),
            None => Err(conflict(constraint)),
        }
    }

    /// What the trigger `subscriptions_copy_plan` does.
    fn copy_plan_code(&mut self, one: &Subscription) {
        if one.status == Status::Canceled {
            return;
        }
        if let Some(tenant) = self.tables.tenancy.tenants.get_mut(&one.tenant_id) {
            tenant.plan_code.clone_from(&one.plan.code);
        }
    }

    /// Moves up the plans that were ordered for later and are due, of all tenants.
    pub(in crate::memory) fn move_up_due_plans(&mut self, now: OffsetDateTime, limit: u32) -> u64 {
        let due_at = |one: &Subscription| one.pending.as_ref().map(|due| due.effective_at);
        let subscriptions = self.tables.billing.subscriptions.values();
        let mut due: Vec<Subscription> = subscriptions
            .filter(|one| due_at(one).is_some_and(|at| at <= now))
            .cloned()
            .collect();
        due.sort_by_key(due_at);
        due.truncate(limit as usize);
        let mut moved = 0;
        for mut one in due {
            let Some(change) = one.pending.take() else {
                continue;
            };
            let key = (one.tenant_id, one.id);
            self.tables
                .billing
                .plan_changes
                .insert((key.0, key.1, change.effective_at), change.plan.clone());
            one.plan = change.plan;
            self.copy_plan_code(&one);
            self.tables.billing.subscriptions.insert(key, one);
            moved += 1;
        }
        moved
    }
}

impl Subscriptions for MemoryTx {
    fn lock_tenant(&mut self, tenant_id: TenantId) -> Result<OffsetDateTime, StoreError> {
        self.row_of_tenant(tenant_id)?;
        Ok(self.now)
    }

    fn tenant_zone(&mut self, tenant_id: TenantId) -> Result<Zone, StoreError> {
        Ok(self.row_of_tenant(tenant_id)?.timezone.clone())
    }

    fn subscription(&mut self, tenant_id: TenantId) -> Result<Option<Subscription>, StoreError> {
        Ok(self.live_subscription(tenant_id).cloned())
    }

    fn insert_subscription(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        self.must_see(subscription.tenant_id)?;
        let key = (subscription.tenant_id, subscription.id);
        if self.tables.billing.subscriptions.contains_key(&key) {
            return Err(conflict("subscriptions_pkey"));
        }
        self.refuse_broken_subscription(subscription)?;
        self.refuse_unknown_tenant(subscription.tenant_id, "subscriptions_tenant_id_fkey")?;
        self.copy_plan_code(subscription);
        self.tables
            .billing
            .subscriptions
            .insert(key, subscription.clone());
        Ok(())
    }

    fn save_subscription(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        let key = (subscription.tenant_id, subscription.id);
        let there = self.tables.billing.subscriptions.get(&key);
        let Some(there) = there.filter(|_| self.sees(subscription.tenant_id)) else {
            return Ok(());
        };
        self.refuse_broken_subscription(subscription)?;
        let saved = Subscription {
            status: subscription.status,
            plan: subscription.plan.clone(),
            pending: subscription.pending.clone(),
            cancel_at: subscription.cancel_at,
            ..there.clone()
        };
        self.copy_plan_code(&saved);
        self.tables.billing.subscriptions.insert(key, saved);
        Ok(())
    }

    fn plan_changes(&mut self, subscription: &Subscription) -> Result<Vec<PlanChange>, StoreError> {
        let (tenant_id, id) = (subscription.tenant_id, subscription.id);
        if !self.sees(tenant_id) {
            return Ok(Vec::new());
        }
        let changes = self.tables.billing.plan_changes.iter();
        Ok(changes
            .filter(|((tenant, of, _), _)| (*tenant, *of) == (tenant_id, id))
            .map(|((_, _, effective_at), plan)| PlanChange {
                plan: plan.clone(),
                effective_at: *effective_at,
            })
            .collect())
    }

    fn add_plan_change(
        &mut self,
        subscription: &Subscription,
        change: &PlanChange,
    ) -> Result<(), StoreError> {
        let (tenant_id, id) = (subscription.tenant_id, subscription.id);
        self.must_see(tenant_id)?;
        if !self
            .tables
            .billing
            .subscriptions
            .contains_key(&(tenant_id, id))
        {
            return Err(conflict(
                "subscription_changes_tenant_id_subscription_id_fkey",
            ));
        }
        self.refuse_unknown_plan(
            &change.plan,
            "subscription_changes_plan_code_plan_version_fkey",
        )?;
        self.tables
            .billing
            .plan_changes
            .insert((tenant_id, id, change.effective_at), change.plan.clone());
        Ok(())
    }
}
