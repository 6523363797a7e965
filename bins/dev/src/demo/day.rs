//! Yesterday's books are closed.

use std::time::{Duration, Instant};

use diesel::{
    OptionalExtension, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Bool, Text},
};
use tokio::time::sleep;

use super::{Story, events::METRIC, events::Sent, heading, proved, stage::Stage};
use crate::{
    database::ask,
    failure::{Failure, While},
    terminal::Progress,
};

/// The worker closes a day a little after it ended, once no transaction can bring more of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A day in the books.
#[derive(QueryableByName)]
struct Day {
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Text)]
    drift: String,
    #[diesel(sql_type = Bool)]
    exact: bool,
    #[diesel(sql_type = Text)]
    quantity: String,
    #[diesel(sql_type = BigInt)]
    events: i64,
}

const DAY: &str = "
    select d.state, coalesce(d.drift::text, '') as drift, coalesce(d.drift = 0, false) as exact,
           coalesce(t.quantity::text, '') as quantity, coalesce(t.count, 0) as events
    from usage_days d
    left join standard_meters m on m.key = $3
    left join usage_daily t on t.tenant_id = d.tenant_id and t.day = d.day and t.meter_id = m.id
    where d.tenant_id = $1::uuid and d.day = $2::date";

/// Waits until yesterday is closed, and holds its total against what was sent.
pub(super) async fn closes(stage: &Stage, story: &Story, sent: &Sent) -> Result<(), Failure> {
    heading("The worker closes yesterday");
    let day = closed_day(stage, story, sent).await?;
    if !day.exact {
        return Err(Failure(format!(
            "yesterday closed with a drift of {}",
            day.drift
        )));
    }
    proved("yesterday is closed with drift 0: rollups and raw events were counted again and agree");
    let events = u64::try_from(day.events).while_("reading the number of events")?;
    let quantity: u64 = day
        .quantity
        .parse()
        .while_(format!("reading {:?}", day.quantity))?;
    let wanted = (sent.events_of_yesterday, sent.quantity_of_yesterday);
    if (events, quantity) != wanted {
        return Err(Failure(format!(
            "yesterday's (events, quantity) should be {wanted:?} and are {:?}",
            (events, quantity)
        )));
    }
    proved(&format!(
        "its total holds the {events} events that were sent for it, duplicates once"
    ));
    Ok(())
}

async fn closed_day(stage: &Stage, story: &Story, sent: &Sent) -> Result<Day, Failure> {
    let mut progress = Progress::until("waiting for the close");
    let start = Instant::now();
    loop {
        let (tenant, date) = (story.tenant_id.clone(), sent.yesterday.date().to_string());
        let found: Option<Day> = ask(&stage.owner_url, move |conn| {
            sql_query(DAY)
                .bind::<Text, _>(tenant)
                .bind::<Text, _>(date)
                .bind::<Text, _>(METRIC)
                .get_result(conn)
                .optional()
        })
        .await?;
        let state = match found {
            Some(day) if day.state == "closed" => return Ok(day),
            Some(day) => day.state,
            None => "not in the books yet".to_owned(),
        };
        if start.elapsed() > PATIENCE {
            return Err(Failure(format!(
                "yesterday is not closed after {} s: it is {state}",
                PATIENCE.as_secs()
            )));
        }
        progress.step(start.elapsed().as_secs(), &format!("({state})"));
        sleep(Duration::from_millis(250)).await;
    }
}
