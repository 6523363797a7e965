//! Schedules.

use std::time::Duration;

use app::schedule::{HeldSchedule, NewSchedule, Runs, Schedule, Schedules, Timing};
use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};
use kernel::StoreError;
use time::OffsetDateTime;

use super::{millis, storable};
use crate::{PgTx, error::store_error};

impl Schedules for PgTx {
    fn declare(&mut self, schedules: &[(NewSchedule, OffsetDateTime)]) -> Result<(), StoreError> {
        for (schedule, first) in schedules {
            let (cron, every) = match &schedule.timing {
                Timing::Cron(cron) => (Some(cron.as_str()), None),
                Timing::Every(interval) => (None, Some(millis(*interval))),
            };
            let runs = match schedule.runs {
                Runs::Queued => "queued",
                Runs::Inline => "inline",
            };
            sql_query(
                "insert into schedules (name, kind, runs, cron, every_ms, zone, next_at)
                 values ($1, $2, $3, $4, $5, $6, $7) on conflict (name) do nothing",
            )
            .bind::<Text, _>(schedule.name)
            .bind::<Text, _>(schedule.kind)
            .bind::<Text, _>(runs)
            .bind::<Nullable<Text>, _>(cron)
            .bind::<Nullable<BigInt>, _>(every)
            .bind::<Text, _>(schedule.zone)
            .bind::<Timestamptz, _>(*first)
            .execute(self.conn())
            .map_err(store_error)?;
        }
        Ok(())
    }

    fn due_schedules(&mut self, now: OffsetDateTime) -> Result<Vec<Schedule>, StoreError> {
        sql_query(
            "select name, kind, cron, every_ms, zone, next_at from schedules
             where enabled and runs = 'queued' and next_at <= $1 order by next_at, name for update skip locked",
        )
        .bind::<Timestamptz, _>(now)
        .get_results::<ScheduleRow>(self.conn())
        .map(|rows| rows.into_iter().map(Schedule::from).collect())
        .map_err(store_error)
    }

    fn mark_fired(
        &mut self,
        name: &str,
        now: OffsetDateTime,
        next_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        sql_query(
            "update schedules set last_run_at = $2, next_at = $3, last_error = null where name = $1",
        )
        .bind::<Text, _>(name)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(next_at)
        .execute(self.conn())
        .map(drop)
        .map_err(store_error)
    }

    fn disable(&mut self, name: &str, error: &str) -> Result<(), StoreError> {
        sql_query("update schedules set enabled = false, last_error = $2 where name = $1")
            .bind::<Text, _>(name)
            .bind::<Text, _>(storable(error))
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }

    fn hold(&mut self, kinds: &[String], lease: Duration) -> Result<Vec<HeldSchedule>, StoreError> {
        sql_query(
            "with free as materialized (
                 select name from schedules
                 where enabled and runs = 'inline' and kind = any ($1) and coalesce(lease_until < now(), true)
                 for update skip locked)
             update schedules set lease_no = lease_no + 1, lease_until = now() + $2 * interval '1 millisecond'
             from free where schedules.name = free.name
             returning schedules.name, schedules.kind, schedules.every_ms, schedules.lease_no",
        )
        .bind::<Array<Text>, _>(kinds)
        .bind::<BigInt, _>(millis(lease))
        .get_results::<HeldRow>(self.conn())
        .map(|rows| rows.into_iter().map(HeldSchedule::from).collect())
        .map_err(store_error)
    }

    fn renew(
        &mut self,
        held: &HeldSchedule,
        lease: Duration,
        last_run_at: Option<OffsetDateTime>,
    ) -> Result<bool, StoreError> {
        sql_query(
            "update schedules set lease_until = now() + $3 * interval '1 millisecond', last_run_at = coalesce($4, last_run_at)
             where name = $1 and lease_no = $2 and enabled and runs = 'inline'",
        )
        .bind::<Text, _>(&held.name)
        .bind::<BigInt, _>(held.lease_no)
        .bind::<BigInt, _>(millis(lease))
        .bind::<Nullable<Timestamptz>, _>(last_run_at)
        .execute(self.conn())
        .map(|count| count == 1)
        .map_err(store_error)
    }

    fn let_go(&mut self, held: &HeldSchedule) -> Result<(), StoreError> {
        sql_query("update schedules set lease_until = null where name = $1 and lease_no = $2")
            .bind::<Text, _>(&held.name)
            .bind::<BigInt, _>(held.lease_no)
            .execute(self.conn())
            .map(drop)
            .map_err(store_error)
    }
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

#[derive(QueryableByName)]
struct ScheduleRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    cron: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    every_ms: Option<i64>,
    #[diesel(sql_type = Text)]
    zone: String,
    #[diesel(sql_type = Timestamptz)]
    next_at: OffsetDateTime,
}

impl From<ScheduleRow> for Schedule {
    fn from(row: ScheduleRow) -> Self {
        // A check of the table demands one of the two.
        let timing = match (row.cron, row.every_ms) {
            (_, Some(millis)) => Timing::Every(duration(millis)),
            (cron, None) => Timing::Cron(cron.unwrap_or_default()),
        };
        Self {
            name: row.name,
            kind: row.kind,
            timing,
            zone: row.zone,
            next_at: row.next_at,
        }
    }
}

#[derive(QueryableByName)]
struct HeldRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    every_ms: i64,
    #[diesel(sql_type = BigInt)]
    lease_no: i64,
}

impl From<HeldRow> for HeldSchedule {
    fn from(row: HeldRow) -> Self {
        let HeldRow {
            name,
            kind,
            every_ms,
            lease_no,
        } = row;
        Self {
            name,
            kind,
            every: duration(every_ms),
            lease_no,
        }
    }
}
