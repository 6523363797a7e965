//! Events of the last thirty days, in the order they happened, and the worker that rolls them up.

use std::time::Instant;

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::BigInt,
};

use crate::{
    roller::{Roller, add_tenants},
    stage::Database,
};

/// Events that are added, and rolled up, at a time.
pub(crate) const CHUNK: usize = 1_000_000;
/// Events of one transaction: a roller never parts one.
const TRANSACTION: usize = 10_000;

/// Of 200 tenants one is the customer. Everything happens within thirty days, and is received when it happens.
const ADD: &str = "
insert into usage_events (tenant_id, meter_id, dedup, payload_hash, occurred_at, received_at, quantity, event_id, source)
select case when n % 200 = 0 then (select id from tenants order by created_at desc limit 1)
        else ('00000000-0000-7000-9000-' || lpad((n % 200)::text, 12, '0'))::uuid end,
    '00000000-0000-7000-8000-000000000003', gen_random_uuid(), gen_random_uuid(), at, at, 1, n::text, 'past'
from generate_series(FIRST, LAST) n, lateral (select now() - interval '30 days' * (1 - n::numeric / ROWS) as at) a";

/// The history, and who rolls it up.
pub(crate) struct Past<'a> {
    database: &'a Database,
    roller: Roller,
}

impl<'a> Past<'a> {
    pub(crate) fn start(database: &'a Database) -> Self {
        add_tenants(database, 199);
        Self {
            database,
            roller: Roller::start(database),
        }
    }

    /// Adds a chunk of the `rows` that there will be, behind the first `behind`.
    pub(crate) fn add(&self, behind: usize, rows: usize) {
        let mut conn = PgConnection::establish(&self.database.superuser_url).unwrap();
        for first in (behind..behind + CHUNK).step_by(TRANSACTION) {
            let add = ADD
                .replace("FIRST", &first.to_string())
                .replace("LAST", &(first + TRANSACTION - 1).to_string())
                .replace("ROWS", &rows.to_string());
            conn.batch_execute(&add).unwrap();
        }
        conn.batch_execute("analyze usage_events").unwrap();
    }

    /// Rolls up what is there, step by step as the worker does. Gives rows per second.
    pub(crate) fn roll(&self) -> u64 {
        let start = Instant::now();
        let rolled = self.roller.roll();
        assert_eq!(rolled, u64::try_from(CHUNK).unwrap());
        let rolled = per_second(rolled, start);
        self.roller.summarise();
        rolled
    }

    /// The ceiling: the sums of what is not rolled up, in steps of the same size, written nowhere. Gives rows per second.
    pub(crate) fn sums(&self) -> u64 {
        let mut conn = PgConnection::establish(&self.database.superuser_url).unwrap();
        let mark: Number = sql_query("select txid as number from usage_watermark")
            .get_result(&mut conn)
            .unwrap();
        let start = Instant::now();
        let sums = "select coalesce(sum(count), 0)::bigint as number from (
                select count(*), sum(quantity), min(quantity), max(quantity), min(occurred_at), max(occurred_at)
                from usage_events where txid >= $1
                group by tenant_id, meter_id, date_bin('15 minutes', occurred_at, timestamptz '2000-01-01 00:00:00+00'),
                    project_id, user_id, model
            ) s";
        let summed: Number = sql_query(sums)
            .bind::<BigInt, _>(mark.number)
            .get_result(&mut conn)
            .unwrap();
        assert_eq!(summed.number, i64::try_from(CHUNK).unwrap());
        per_second(u64::try_from(summed.number).unwrap(), start)
    }
}

fn per_second(rows: u64, since: Instant) -> u64 {
    let micros = u64::try_from(since.elapsed().as_micros()).unwrap();
    rows * 1_000_000 / micros.max(1)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}
