//! 10 000 events, some of them twice.

use kernel::{Clock, SystemClock};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, Time, format_description::well_known::Rfc3339};

use super::{Story, heading, proved};
use crate::{
    api::Caller,
    failure::{Failure, While},
    terminal::Progress,
};

const BATCHES: u32 = 20;
const BATCH: u32 = 500;
/// Every fifth batch is sent again, as a client does whose connection broke before the answer came.
const REPEAT: u32 = 5;
/// The first batches happened yesterday.
const BATCHES_OF_YESTERDAY: u32 = 4;

pub(super) const METRIC: &str = "chat";

/// What was sent, counted on this side.
pub(super) struct Sent {
    /// Midnight, UTC, at the beginning of yesterday.
    pub(super) yesterday: OffsetDateTime,
    pub(super) quantity_of_yesterday: u64,
    pub(super) events_of_yesterday: u64,
    quantity: u64,
}

/// Sends the events in batches, some batches twice, and holds the answers against what was sent.
pub(super) async fn send(story: &Story, key: &Caller) -> Result<Sent, Failure> {
    heading("Ada's product reports 10 000 events");
    let now = SystemClock.now();
    let yesterday = now.replace_time(Time::MIDNIGHT) - Duration::days(1);
    let mut sent = Sent {
        yesterday,
        quantity_of_yesterday: 0,
        events_of_yesterday: 0,
        quantity: 0,
    };
    let (mut accepted, mut duplicates) = (0, 0);
    let mut progress = Progress::through("sending", u64::from(BATCHES));
    for number in 0..BATCHES {
        let of_yesterday = number < BATCHES_OF_YESTERDAY;
        let at = if of_yesterday {
            yesterday + Duration::hours(12)
        } else {
            now
        };
        let (batch, quantity) = batch(story, number, at)?;
        sent.quantity += quantity;
        if of_yesterday {
            sent.quantity_of_yesterday += quantity;
            sent.events_of_yesterday += u64::from(BATCH);
        }
        let times = if number % REPEAT == 0 { 2 } else { 1 };
        for _ in 0..times {
            let answer = key
                .post("/v1/events", batch.clone())
                .await?
                .expect(&[200])?;
            accepted += answer.number("/accepted")?;
            duplicates += answer.number("/duplicates")?;
            answer.has("/conflicts", 0)?;
            answer.has("/rejected", 0)?;
        }
        progress.step(u64::from(number) + 1, &format!("{accepted} accepted"));
    }
    drop(progress);
    let wanted = (
        i64::from(BATCHES * BATCH),
        i64::from(BATCHES / REPEAT * BATCH),
    );
    if (accepted, duplicates) != wanted {
        return Err(Failure(format!(
            "expected (accepted, duplicates) {wanted:?}, got {:?}",
            (accepted, duplicates)
        )));
    }
    proved(&format!(
        "{accepted} accepted, {duplicates} recognised as duplicates, none lost"
    ));
    Ok(sent)
}

/// One batch as JSON, and the sum of its quantities.
fn batch(story: &Story, number: u32, at: OffsetDateTime) -> Result<(Value, u64), Failure> {
    let at = at.format(&Rfc3339).while_("writing a time")?;
    let quantities: Vec<u64> = (0..BATCH)
        .map(|index| u64::from(1 + (number + index) % 7))
        .collect();
    let events: Vec<_> = quantities
        .iter()
        .enumerate()
        .map(|(index, quantity)| {
            let id = format!("{}-{number}-{index}", story.tenant_id);
            json!({ "id": id, "metric": METRIC, "quantity": quantity, "occurred_at": at })
        })
        .collect();
    Ok((Value::Array(events), quantities.iter().sum()))
}

/// The total that the API gives, at once, is the one counted here.
pub(super) async fn compare(story: &Story, sent: &Sent) -> Result<(), Failure> {
    let from = sent.yesterday.format(&Rfc3339).while_("writing a time")?;
    let to = (sent.yesterday + Duration::days(3))
        .format(&Rfc3339)
        .while_("writing a time")?;
    let path = format!("/v1/usage?metric={METRIC}&granularity=total&from={from}&to={to}");
    let usage = story.owner.get(&path).await?.expect(&[200])?;
    usage.has("/data/0/quantity", sent.quantity.to_string())?;
    proved(&format!(
        "the total is {}, exact at once: what is rolled up and what is not yet are read together",
        sent.quantity
    ));
    Ok(())
}
