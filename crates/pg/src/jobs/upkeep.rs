//! What the worker looks for and cleans up across tenants.

use app::upkeep::Upkeep;
use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Timestamptz, Uuid as SqlUuid},
};
use kernel::{InvitationId, StoreError, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    PgTx,
    error::store_error,
    scalar::{Answer, Count},
};

impl Upkeep for PgTx {
    fn expired_invitations(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<(TenantId, InvitationId)>, StoreError> {
        sql_query("select tenant_id, invitation_id from app.expired_invitations($1, $2)")
            .bind::<Timestamptz, _>(now)
            .bind::<Integer, _>(at_most(limit))
            .get_results::<InvitationRow>(self.conn())
            .map(|rows| {
                rows.into_iter()
                    .map(|row| {
                        (
                            TenantId::from(row.tenant_id),
                            InvitationId::from(row.invitation_id),
                        )
                    })
                    .collect()
            })
            .map_err(store_error)
    }

    fn ended_trials(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        sql_query("select tenant_id from app.ended_trials($1, $2)")
            .bind::<Timestamptz, _>(now)
            .bind::<Integer, _>(at_most(limit))
            .get_results::<TenantRow>(self.conn())
            .map(tenant_ids)
            .map_err(store_error)
    }

    fn long_frozen_tenants(
        &mut self,
        since: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        sql_query("select tenant_id from app.long_frozen_tenants($1, $2)")
            .bind::<Timestamptz, _>(since)
            .bind::<Integer, _>(at_most(limit))
            .get_results::<TenantRow>(self.conn())
            .map(tenant_ids)
            .map_err(store_error)
    }

    fn trial_has_ended(
        &mut self,
        tenant_id: TenantId,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        sql_query(
            "select exists (select from tenants where id = $1 and status = 'trial' and trial_ends_at <= $2) as answer",
        )
        .bind::<SqlUuid, _>(tenant_id.as_uuid())
        .bind::<Timestamptz, _>(now)
        .get_result::<Answer>(self.conn())
        .map(|row| row.answer)
        .map_err(store_error)
    }

    fn is_long_frozen(
        &mut self,
        tenant_id: TenantId,
        since: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        sql_query(
            "select exists (select from tenants where id = $1 and status = 'frozen' and status_changed_at <= $2) as answer",
        )
        .bind::<SqlUuid, _>(tenant_id.as_uuid())
        .bind::<Timestamptz, _>(since)
        .get_result::<Answer>(self.conn())
        .map(|row| row.answer)
        .map_err(store_error)
    }

    fn delete_idempotency_keys(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        counted(
            self,
            "select app.delete_idempotency_keys($1, $2) as count",
            before,
            limit,
        )
    }

    fn apply_due_plan_changes(
        &mut self,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        counted(
            self,
            "select app.apply_due_plan_changes($1, $2)::bigint as count",
            now,
            limit,
        )
    }

    fn delete_sessions(&mut self, before: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        counted(
            self,
            "select app.delete_sessions($1, $2) as count",
            before,
            limit,
        )
    }

    fn delete_reservations(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        counted(
            self,
            "select app.delete_reservations($1, $2) as count",
            before,
            limit,
        )
    }

    fn delete_finished_jobs(
        &mut self,
        done_before: OffsetDateTime,
        dead_before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        sql_query(
            "delete from jobs where id in (
                 select id from jobs
                 where finished_at < case when state = 'dead' then $2 else $1 end and finished_at < greatest($1, $2)
                 order by finished_at limit $3 for update skip locked)",
        )
        .bind::<Timestamptz, _>(done_before)
        .bind::<Timestamptz, _>(dead_before)
        .bind::<BigInt, _>(i64::from(limit))
        .execute(self.conn())
        .map(count)
        .map_err(store_error)
    }

    fn delete_relayed_facts(
        &mut self,
        before: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        sql_query(
            "delete from outbox where (tenant_id, id) in (
                 select tenant_id, id from outbox where relayed_at < $1
                 order by relayed_at limit $2 for update skip locked)",
        )
        .bind::<Timestamptz, _>(before)
        .bind::<BigInt, _>(i64::from(limit))
        .execute(self.conn())
        .map(count)
        .map_err(store_error)
    }

    fn ensure_audit_partitions(&mut self) -> Result<u32, StoreError> {
        sql_query("select app.ensure_audit_partitions()::bigint as count")
            .get_result::<Count>(self.conn())
            .map(|row| u32::try_from(row.count).unwrap_or(0))
            .map_err(store_error)
    }
}

/// Calls a function that takes an instant and a limit, and counts.
fn counted(tx: &mut PgTx, call: &str, at: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
    sql_query(call)
        .bind::<Timestamptz, _>(at)
        .bind::<Integer, _>(at_most(limit))
        .get_result::<Count>(tx.conn())
        .map(|row| row.count.unsigned_abs())
        .map_err(store_error)
}

fn at_most(limit: u32) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

fn tenant_ids(rows: Vec<TenantRow>) -> Vec<TenantId> {
    rows.into_iter()
        .map(|row| TenantId::from(row.tenant_id))
        .collect()
}

#[derive(QueryableByName)]
struct InvitationRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    invitation_id: Uuid,
}

#[derive(QueryableByName)]
struct TenantRow {
    #[diesel(sql_type = SqlUuid)]
    tenant_id: Uuid,
}
