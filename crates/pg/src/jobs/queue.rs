//! Jobs.

use std::time::Duration;

use app::queue::{Claim, ClaimedJob, Due, Failure, Jobs, Lease, NewJob, Queue, SettleError};
use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{
        Array, BigInt, Bool, Jsonb, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid,
    },
};
use kernel::{JobId, StoreError, TenantId};
use serde_json::Value;
use uuid::Uuid;

use super::{millis, storable};
use crate::{PgTx, error::store_error};

impl Queue for PgTx {
    fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        // No conflict target: naming one needs the right to read, which the API's role does not have.
        sql_query(
            "insert into jobs (id, tenant_id, kind, queue, priority, run_at, max_attempts, payload, dedupe_key)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        )
        .bind::<SqlUuid, _>(job.id.as_uuid())
        .bind::<Nullable<SqlUuid>, _>(job.tenant_id.map(TenantId::as_uuid))
        .bind::<Text, _>(job.kind.as_ref())
        .bind::<Text, _>(job.queue.as_ref())
        .bind::<SmallInt, _>(job.priority.rank())
        .bind::<Timestamptz, _>(job.run_at)
        .bind::<SmallInt, _>(job.max_attempts)
        .bind::<Jsonb, _>(job.payload)
        .bind::<Nullable<Text>, _>(job.dedupe_key)
        .execute(self.conn())
        .map(drop)
        .map_err(store_error)
    }

    fn settle(&mut self, lease: Lease) -> Result<(), SettleError> {
        let settled = sql_query(
            "update jobs set state = 'done', payload = '{}', lease_until = null, last_error = null, finished_at = now()
             where id = $1 and lease_no = $2 and state = 'running'",
        )
        .bind::<SqlUuid, _>(lease.job_id.as_uuid())
        .bind::<BigInt, _>(lease.lease_no)
        .execute(self.conn())
        .map_err(store_error)?;
        if settled == 1 {
            Ok(())
        } else {
            Err(SettleError::LeaseLost)
        }
    }
}

impl Jobs for PgTx {
    fn due(&mut self, queue: &str) -> Result<Due, StoreError> {
        sql_query(
            "select
                exists (select from generate_series(0, 3) as p(rank) cross join lateral (
                    select from jobs where state = 'ready' and queue = $1 and priority = p.rank and run_at <= now() limit 1) j)
                    as jobs,
                exists (select from jobs where state = 'running' and lease_until < now()) as lost_jobs,
                exists (select from schedules where enabled and runs = 'queued' and next_at <= now()) as schedules,
                exists (select from schedules where enabled and runs = 'inline' and coalesce(lease_until < now(), true))
                    as inline_schedules,
                exists (select from outbox where relayed_at is null) as facts",
        )
        .bind::<Text, _>(queue)
        .get_result::<DueRow>(self.conn())
        .map(Due::from)
        .map_err(store_error)
    }

    fn claim(&mut self, claim: &Claim) -> Result<Vec<ClaimedJob>, StoreError> {
        // One look a priority, so that jobs of the future are never read past: within a priority the index is in order of time. The outer
        // limit stops the looks, and rows are locked as they are read, so no more are locked than are taken.
        sql_query(
            "with picked as materialized (
                 select j.id from generate_series(0, 3) as p(rank) cross join lateral (
                     select id from jobs
                     where state = 'ready' and queue = $1 and priority = p.rank and run_at <= now() and kind = any ($2)
                     order by run_at, id limit $3 for update skip locked) j
                 limit $3)
             update jobs set state = 'running', attempt = attempt + 1, lease_no = lease_no + 1,
                 lease_until = now() + $4 * interval '1 millisecond'
             from picked where jobs.id = picked.id
             returning jobs.id, jobs.tenant_id, jobs.kind, jobs.attempt, jobs.max_attempts, jobs.lease_no, jobs.payload",
        )
        .bind::<Text, _>(&claim.queue)
        .bind::<Array<Text>, _>(&claim.kinds)
        .bind::<BigInt, _>(i64::from(claim.limit))
        .bind::<BigInt, _>(millis(claim.lease))
        .get_results::<ClaimedRow>(self.conn())
        .map(|rows| rows.into_iter().map(ClaimedJob::from).collect())
        .map_err(store_error)
    }

    fn complete(&mut self, leases: &[Lease]) -> Result<Vec<JobId>, StoreError> {
        let (ids, numbers) = columns(leases);
        sql_query(
            "update jobs set state = 'done', payload = '{}', lease_until = null, last_error = null,
                 finished_at = coalesce(finished_at, now())
             from unnest($1, $2) as l(id, lease_no)
             where jobs.id = l.id and jobs.lease_no = l.lease_no and jobs.state in ('running', 'done')
             returning jobs.id",
        )
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<BigInt>, _>(numbers)
        .get_results::<IdRow>(self.conn())
        .map(job_ids)
        .map_err(store_error)
    }

    fn fail(&mut self, failures: &[Failure]) -> Result<Vec<JobId>, StoreError> {
        let leases: Vec<Lease> = failures.iter().map(|failure| failure.lease).collect();
        let (ids, numbers) = columns(&leases);
        let errors: Vec<String> = failures
            .iter()
            .map(|failure| storable(&failure.error))
            .collect();
        let pauses: Vec<Option<i64>> = failures
            .iter()
            .map(|failure| failure.retry_after.map(millis))
            .collect();
        sql_query(
            "update jobs set lease_until = null, last_error = f.error,
                 state = case when f.pause_ms is null then 'dead' else 'ready' end,
                 run_at = case when f.pause_ms is null then run_at else now() + f.pause_ms * interval '1 millisecond' end,
                 finished_at = case when f.pause_ms is null then now() end
             from unnest($1, $2, $3, $4) as f(id, lease_no, error, pause_ms)
             where jobs.id = f.id and jobs.lease_no = f.lease_no and jobs.state = 'running'
             returning jobs.id",
        )
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<BigInt>, _>(numbers)
        .bind::<Array<Text>, _>(errors)
        .bind::<Array<Nullable<BigInt>>, _>(pauses)
        .get_results::<IdRow>(self.conn())
        .map(job_ids)
        .map_err(store_error)
    }

    fn extend(&mut self, leases: &[Lease], lease: Duration) -> Result<Vec<JobId>, StoreError> {
        let (ids, numbers) = columns(leases);
        sql_query(
            "update jobs set lease_until = now() + $3 * interval '1 millisecond'
             from unnest($1, $2) as l(id, lease_no)
             where jobs.id = l.id and jobs.lease_no = l.lease_no and jobs.state = 'running'
             returning jobs.id",
        )
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<BigInt>, _>(numbers)
        .bind::<BigInt, _>(millis(lease))
        .get_results::<IdRow>(self.conn())
        .map(job_ids)
        .map_err(store_error)
    }

    fn release(&mut self, leases: &[Lease]) -> Result<(), StoreError> {
        let (ids, numbers) = columns(leases);
        sql_query(
            "update jobs set state = 'ready', lease_until = null, attempt = greatest(attempt - 1, 0), run_at = now()
             from unnest($1, $2) as l(id, lease_no)
             where jobs.id = l.id and jobs.lease_no = l.lease_no and jobs.state = 'running'",
        )
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<BigInt>, _>(numbers)
        .execute(self.conn())
        .map(drop)
        .map_err(store_error)
    }

    fn reap(&mut self, limit: u32) -> Result<u64, StoreError> {
        sql_query(
            "with lost as materialized (
                 select id from jobs where state = 'running' and lease_until < now()
                 order by lease_until limit $1 for update skip locked)
             update jobs set lease_until = null, run_at = now(), last_error = 'the worker was not heard from again',
                 state = case when attempt < max_attempts then 'ready' else 'dead' end,
                 finished_at = case when attempt < max_attempts then null else now() end
             from lost where jobs.id = lost.id",
        )
        .bind::<BigInt, _>(i64::from(limit))
        .execute(self.conn())
        .map(|count| u64::try_from(count).unwrap_or(u64::MAX))
        .map_err(store_error)
    }
}

fn columns(leases: &[Lease]) -> (Vec<Uuid>, Vec<i64>) {
    leases
        .iter()
        .map(|lease| (lease.job_id.as_uuid(), lease.lease_no))
        .unzip()
}

fn job_ids(rows: Vec<IdRow>) -> Vec<JobId> {
    rows.into_iter().map(|row| JobId::from(row.id)).collect()
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Bool)]
    jobs: bool,
    #[diesel(sql_type = Bool)]
    lost_jobs: bool,
    #[diesel(sql_type = Bool)]
    schedules: bool,
    #[diesel(sql_type = Bool)]
    inline_schedules: bool,
    #[diesel(sql_type = Bool)]
    facts: bool,
}

impl From<DueRow> for Due {
    fn from(row: DueRow) -> Self {
        let DueRow {
            jobs,
            lost_jobs,
            schedules,
            inline_schedules,
            facts,
        } = row;
        Self {
            jobs,
            lost_jobs,
            schedules,
            inline_schedules,
            facts,
        }
    }
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    tenant_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = SmallInt)]
    attempt: i16,
    #[diesel(sql_type = SmallInt)]
    max_attempts: i16,
    #[diesel(sql_type = BigInt)]
    lease_no: i64,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
}

impl From<ClaimedRow> for ClaimedJob {
    fn from(row: ClaimedRow) -> Self {
        Self {
            lease: Lease {
                job_id: JobId::from(row.id),
                lease_no: row.lease_no,
            },
            tenant_id: row.tenant_id.map(TenantId::from),
            kind: row.kind,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            payload: row.payload,
        }
    }
}
