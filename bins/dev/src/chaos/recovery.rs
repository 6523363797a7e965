//! After the last fault: everything comes to rest again, without hands.

use std::time::Duration;

use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::site::Site;
use crate::{
    database::ask,
    failure::{Failure, While},
};

/// How long it may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is not at rest yet, a line each.
const UNREST: &str = "
    select format('%s facts are not relayed', count(*)) as line from outbox where relayed_at is null having count(*) > 0
    union all select format('%s jobs are %s', count(*), state) from jobs
        where state = 'running' or state = 'ready' and run_at <= now() group by state
    union all select format('%s jobs are to be tried again', count(*)) from jobs
        where state = 'ready' and run_at > now() and attempt > 0 having count(*) > 0
    union all select format('%s events are not rolled up', count(*)) from usage_events
        where txid >= (select txid from usage_watermark) having count(*) > 0
    union all select format('%s days are over and not closed', count(*)) from usage_days
        where ends_at < now() and state <> 'closed' having count(*) > 0
    union all select format('the schedule %s is overdue', name) from schedules
        where enabled and runs = 'queued' and next_at < now() - interval '5 seconds'
    union all select format('nobody holds the schedule %s', name) from schedules
        where enabled and runs = 'inline' and coalesce(lease_until < now(), true)
    union all select format('the schedule %s has not run lately', name) from schedules
        where enabled and runs = 'inline' and coalesce(last_run_at < now() - interval '25 seconds', true)";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Waits until both APIs serve, every client has its last answer, and the worker has nothing left to do. Gives how long that took.
pub(super) async fn wait(site: &Site, mut clients: JoinSet<()>) -> Result<Duration, Failure> {
    let start = Instant::now();
    site.wait_until_ready().await?;
    let answered = async {
        while let Some(ended) = clients.join_next().await {
            ended.while_("running a client")?;
        }
        Ok::<_, Failure>(())
    };
    let left = PATIENCE.saturating_sub(start.elapsed());
    match timeout(left, answered).await {
        Ok(ended) => ended?,
        Err(_) => {
            return Err(Failure(format!(
                "clients have no answer {} s after the last fault",
                PATIENCE.as_secs()
            )));
        }
    }
    loop {
        let unrest: Vec<Line> =
            ask(&site.superuser_url, |conn| sql_query(UNREST).load(conn)).await?;
        if unrest.is_empty() {
            return Ok(start.elapsed());
        }
        if start.elapsed() > PATIENCE {
            let lines: Vec<_> = unrest.into_iter().map(|it| it.line).collect();
            return Err(Failure(format!(
                "not at rest {} s after the last fault: {}",
                PATIENCE.as_secs(),
                lines.join("; ")
            )));
        }
        sleep(Duration::from_millis(200)).await;
    }
}
