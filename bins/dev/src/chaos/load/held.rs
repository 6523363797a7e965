//! Limits that are held for a while: concurrency, quota, and the customer's own agents.

use serde_json::json;

use super::super::{
    books::{Fate, Thing},
    client::{Client, Outcome, Request},
};

/// Seconds that a reservation holds when nobody ends it, as happens to those whose answer was lost.
const TTL: u64 = 15;

/// Reserves, and settles or releases after a while.
pub(super) async fn reservations(mut client: Client) {
    let mut open = Vec::new();
    while client.goes_on() {
        let (key, most) = if client.random.one_in(2) {
            ("max_concurrent_workflows", 4)
        } else {
            ("tasks_per_month", 60)
        };
        let quantity = client.random.within(1, most);
        let wish = json!({ "key": key, "quantity": quantity, "ttl_seconds": TTL });
        let name = client.name("reservation");
        let request = Request::post("/v1/quota/reservations", wish).once(name);
        match client.until_answered("reservation made", request).await {
            Outcome::Answer(answer) if answer.status == 201 => {
                if let Ok(id) = answer.text("/id") {
                    client
                        .books()
                        .open()
                        .note(Thing::Reservation, &id, Fate::Made);
                    open.push((id, quantity));
                }
            }
            Outcome::Answer(answer) if answer.status == 402 => {}
            Outcome::Answer(answer) => client.surprised(&answer),
            // There is no list of reservations: this one ends by itself.
            Outcome::Unknown => {}
        }
        if client.random.one_in(2)
            && let Some(index) = client.random.index(open.len())
        {
            let (id, quantity) = open.swap_remove(index);
            finish(&mut client, &id, quantity).await;
        }
        client.rest(50, 300).await;
    }
}

async fn finish(client: &mut Client, id: &str, quantity: u64) {
    let (verb, body) = if client.random.one_in(2) {
        ("settle", json!({ "quantity": quantity / 2 }))
    } else {
        ("release", json!({}))
    };
    let path = format!("/v1/quota/reservations/{id}/{verb}");
    let request = Request::post(&path, body).once(format!("{verb}-{id}"));
    if let Outcome::Answer(answer) = client.until_answered("reservation ended", request).await
        && answer.status != 200
    {
        client.surprised(&answer);
    }
    client
        .books()
        .open()
        .note(Thing::Reservation, id, Fate::Ended);
}

/// Adds agents up to the limit, names known ones again, and removes some.
pub(super) async fn agents(mut client: Client) {
    let mut there: Vec<String> = Vec::new();
    while client.goes_on() {
        let known = client.random.index(there.len());
        let name = match known.and_then(|index| there.get(index)) {
            Some(name) if client.random.one_in(4) => name.clone(),
            _ => client.name("agent"),
        };
        let again = there.contains(&name);
        let path = format!("/v1/resources/agents/{name}");
        let mut full = false;
        let put = client
            .until_answered("agent added", Request::put(&path, json!({})))
            .await;
        if client.left_behind {
            client.books().open().left_behind.insert(name.clone());
        }
        match put {
            Outcome::Answer(answer) if matches!(answer.status, 200 | 201) => {
                client
                    .books()
                    .open()
                    .note(Thing::Resource, &name, Fate::Made);
                if !again {
                    there.push(name);
                }
            }
            Outcome::Answer(answer) if answer.status == 402 && !again => {
                client
                    .books()
                    .open()
                    .note(Thing::Resource, &name, Fate::Refused);
                full = true;
            }
            Outcome::Answer(answer) => client.surprised(&answer),
            Outcome::Unknown => {}
        }
        if (full || client.random.one_in(6))
            && let Some(index) = client.random.index(there.len())
        {
            let name = there.swap_remove(index);
            let path = format!("/v1/resources/agents/{name}");
            client
                .remove("agent removed", &path, (Thing::Resource, &name))
                .await;
        }
        client.rest(50, 250).await;
    }
}
