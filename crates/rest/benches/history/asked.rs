//! A month by day, again and again: over HTTP, and as the plainest statement that has the same answer.

use std::{net::SocketAddr, time::Instant};

use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use kernel::{Clock, SystemClock};
use time::{Duration, Time, format_description::well_known::Rfc3339};

use crate::{
    client::{Client, runtime},
    stage::Database,
};

/// How often the question is asked.
const TIMES: usize = 300;

const SUMS: &str = "
select date_trunc('day', bucket, 'UTC') as day, sum(sum) from usage_rollups
where tenant_id = (select id from tenants order by created_at desc limit 1)
    and meter_id = '00000000-0000-7000-8000-000000000003' and bucket >= date_trunc('day', now() - interval '29 days', 'UTC')
group by 1 order by 1";

/// Where a month begins.
#[derive(Clone, Copy)]
pub(crate) enum From {
    /// At midnight, so that rollups have the whole answer.
    Midnight,
    /// At an instant between two quarters of an hour, so that raw events have a part of it.
    Instant,
}

/// Half and 99 of 100 answers took no longer, in microseconds.
pub(crate) fn over_http(address: SocketAddr, key: &str, from: From) -> (u64, u64) {
    let instant = SystemClock.now().saturating_sub(Duration::days(29));
    let from = match from {
        From::Midnight => instant.replace_time(Time::MIDNIGHT),
        From::Instant => instant,
    };
    let from = from.format(&Rfc3339).unwrap();
    let request = format!(
        "GET /v1/usage?metric=tool_call&granularity=day&from={from} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\r\n"
    );
    runtime().block_on(async {
        let mut client = Client::connect(address).await;
        let mut taken = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let start = Instant::now();
            let answer = client.ask(request.as_bytes()).await;
            taken.push(micros(start));
            let days = String::from_utf8_lossy(answer)
                .matches("\"quantity\"")
                .count();
            assert!(
                (29..=31).contains(&days),
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
        percentiles(taken)
    })
}

/// The ceiling, over one connection.
pub(crate) fn in_sql(database: &Database) -> (u64, u64) {
    let mut conn = PgConnection::establish(&database.superuser_url).unwrap();
    let mut taken = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let start = Instant::now();
        let days = sql_query(SUMS).execute(&mut conn).unwrap();
        taken.push(micros(start));
        assert!((29..=31).contains(&days));
    }
    percentiles(taken)
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap()
}

fn percentiles(mut taken: Vec<u64>) -> (u64, u64) {
    taken.sort_unstable();
    let at = |percent: usize| taken.get(taken.len() * percent / 100).copied().unwrap();
    (at(50), at(99))
}
