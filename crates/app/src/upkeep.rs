//! What the worker needs to know and to clean up across tenants. It learns ids only: the work itself happens in a transaction of the
//! tenant that an id belongs to.

use kernel::{InvitationId, StoreError, TenantId};
use time::OffsetDateTime;

/// Narrow look-ups and clean-ups over the whole deployment. Each takes a limit, so that no transaction grows with the backlog; a clean-up
/// takes the oldest first.
pub trait Upkeep {
    /// Invitations that are pending though they had expired at `now`, the longest expired first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn expired_invitations(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<(TenantId, InvitationId)>, StoreError>;

    /// Tenants on trial whose trial had ended at `now`, the one that ended first in front.
    ///
    /// # Errors
    /// [`StoreError`].
    fn ended_trials(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;

    /// Tenants that have been frozen since `since` or before, the longest frozen first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn long_frozen_tenants(
        &mut self,
        since: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;

    /// Whether the tenant in scope is on trial and its trial had ended at `now`. Asked under the tenant's lock: what was true when the
    /// list was made may have changed since.
    ///
    /// # Errors
    /// [`StoreError`].
    fn trial_has_ended(
        &mut self,
        tenant_id: TenantId,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Whether the tenant in scope has been frozen since `since` or before. Asked under the tenant's lock.
    ///
    /// # Errors
    /// [`StoreError`].
    fn is_long_frozen(
        &mut self,
        tenant_id: TenantId,
        since: OffsetDateTime,
    ) -> Result<bool, StoreError>;

    /// Deletes idempotency keys made before `before`. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete_idempotency_keys(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Writes down the plans that were ordered for later and are due at `now`. Answers how many. A tenant that somebody holds is left
    /// for the next time.
    ///
    /// # Errors
    /// [`StoreError`].
    fn apply_due_plan_changes(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Deletes sessions that expired before `before`, revoked or not. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete_sessions(&mut self, before: OffsetDateTime, limit: u32) -> Result<u64, StoreError>;

    /// Deletes reservations that were finished before `before`, and open ones whose lease ran out before. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete_reservations(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Deletes jobs that were done or cancelled before `done_before`, and dead ones that died before `dead_before`. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete_finished_jobs(
        &mut self,
        done_before: OffsetDateTime,
        dead_before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Deletes facts that were relayed before `before`. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete_relayed_facts(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Makes the partitions that the audit trail needs in the coming months. Answers how many are new.
    ///
    /// # Errors
    /// [`StoreError`].
    fn ensure_audit_partitions(&mut self) -> Result<u32, StoreError>;
}

/// What the life of tenants needs: the look-ups, and the tenants themselves.
pub trait LifecycleStore: tenancy::Store + Upkeep {}

impl<S: tenancy::Store + Upkeep> LifecycleStore for S {}
