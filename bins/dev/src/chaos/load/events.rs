//! Usage: fresh events, duplicates within a batch, and batches sent again.

use kernel::{Clock, SystemClock};
use serde_json::{Value, json};
use time::{Duration, Time, format_description::well_known::Rfc3339};

use super::super::{
    books::Sent,
    client::{Client, Outcome, Request},
};
use crate::api::Answer;

pub(in super::super) const METRIC: &str = "chat";
/// How long ago the events of yesterday happened, from the beginning of today.
const YESTERDAY: Duration = Duration::hours(12);

/// Reports usage until it is told to stop.
pub(super) async fn report(mut client: Client) {
    let mut last: Vec<Value> = Vec::new();
    while client.goes_on() {
        let mut batch = if client.random.one_in(8) && !last.is_empty() {
            last.clone()
        } else {
            fresh(&mut client)
        };
        // Some of the batch before comes along once more.
        if client.random.one_in(3) {
            batch.extend(last.iter().take(5).cloned());
        }
        let request = Request::post("/v1/events", Value::Array(batch.clone()));
        match client.until_answered("events batch", request).await {
            Outcome::Answer(answer) if answer.status == 200 => enter(&client, &answer),
            Outcome::Answer(answer) => client.surprised(&answer),
            Outcome::Unknown => {}
        }
        last = batch;
        last.truncate(50);
        client.rest(20, 150).await;
    }
}

/// New events, entered as sent before anybody sends them.
fn fresh(client: &mut Client) -> Vec<Value> {
    let now = SystemClock.now();
    let yesterday = now.replace_time(Time::MIDNIGHT) - YESTERDAY;
    (0..client.random.within(1, 40))
        .map(|_| {
            let (id, quantity) = (client.name("event"), client.random.within(1, 9));
            let at = if client.random.one_in(5) {
                yesterday
            } else {
                now
            };
            let sent = Sent {
                quantity,
                ..Sent::default()
            };
            client.books().open().events.insert(id.clone(), sent);
            let at = at.format(&Rfc3339).unwrap_or_default();
            json!({ "id": id, "metric": METRIC, "quantity": quantity, "occurred_at": at })
        })
        .collect()
}

fn enter(client: &Client, answer: &Answer) {
    let results = answer.body.get("results").and_then(Value::as_array);
    let mut books = client.books().open();
    for result in results.into_iter().flatten() {
        let text = |field| result.get(field).and_then(Value::as_str);
        let (Some(id), Some(status)) = (text("id"), text("status")) else {
            continue;
        };
        let Some(sent) = books.events.get_mut(id) else {
            books
                .wrong
                .push(format!("an answer names {id}, which nobody sent"));
            continue;
        };
        match status {
            "accepted" => {
                sent.acknowledged = true;
                sent.accepted += 1;
                if sent.accepted > 1 {
                    books.wrong.push(format!("{id} was accepted twice"));
                }
            }
            "duplicate" => sent.acknowledged = true,
            other => books.wrong.push(format!("{id} was answered {other}")),
        }
    }
}
