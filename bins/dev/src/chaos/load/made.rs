//! What is made under an `Idempotency-Key`, has a limit, and is ended again.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::{
    books::{Fate, Thing},
    client::{Client, Outcome, Request},
};
use crate::api::Api;

/// A kind of thing, and how it comes and goes.
pub(super) struct Kind {
    thing: Thing,
    word: &'static str,
    /// Of the list, and of making one.
    path: &'static str,
    /// What its name is called in bodies.
    name: &'static str,
    body: fn(&str) -> Value,
    /// How it is ended: the method, and what follows its id.
    end: (Method, &'static str),
    made: &'static str,
    ended: &'static str,
}

pub(super) const INVITATIONS: Kind = Kind {
    thing: Thing::Invitation,
    word: "invitation",
    path: "/v1/invitations",
    name: "email",
    body: |name| json!({ "email": name, "role": "member" }),
    end: (Method::POST, "/revoke"),
    made: "invitation made",
    ended: "invitation revoked",
};

pub(super) const PROJECTS: Kind = Kind {
    thing: Thing::Project,
    word: "project",
    path: "/v1/projects",
    name: "name",
    body: |name| json!({ "name": name }),
    end: (Method::DELETE, ""),
    made: "project made",
    ended: "project archived",
};

const KEYS: Kind = Kind {
    thing: Thing::ApiKey,
    word: "key",
    path: "/v1/api-keys",
    name: "name",
    body: |name| json!({ "name": name, "scopes": ["usage.read"] }),
    end: (Method::POST, "/revoke"),
    made: "key made",
    ended: "key revoked",
};

/// Something that was made: its name, its id, and the answer's body when there was one.
pub(super) struct Made {
    pub(super) name: String,
    id: String,
    pub(super) body: Value,
}

/// Makes things up to the limit and beyond, and ends them in no particular order.
pub(super) async fn come_and_go(mut client: Client, kind: &'static Kind) {
    let mut there = Vec::new();
    while client.goes_on() {
        let made = make(&mut client, kind).await;
        let full = made.is_none();
        there.extend(made);
        if (full || client.random.one_in(3))
            && let Some(index) = client.random.index(there.len())
        {
            end(&mut client, kind, there.swap_remove(index)).await;
        }
        client.rest(50, 300).await;
    }
}

/// Makes keys and revokes them: a second after the answer, nobody takes them any more, whatever happens meanwhile.
pub(super) async fn keys(mut client: Client, apis: [Api; 2]) {
    while client.goes_on() {
        if let Some(made) = make(&mut client, &KEYS).await {
            let text = made.body.get("key").and_then(Value::as_str);
            let callers = text.map(|key| client.speaking_with(&apis, key));
            // So that both have it in their caches.
            for caller in callers.iter().flatten() {
                let _only_to_be_known = caller.get("/v1/me").await;
            }
            let name = made.name.clone();
            end(&mut client, &KEYS, made).await;
            sleep(Duration::from_secs(1)).await;
            for caller in callers.iter().flatten() {
                // Whoever is down at this moment is asked at the end.
                if let Ok(answer) = caller.get("/v1/me").await
                    && answer.status < 400
                {
                    let why = format!("{name} was revoked a second ago");
                    let wrong = answer.wrong(&why).to_string();
                    client.books().open().wrong.push(wrong);
                }
            }
        }
        client.rest(200, 600).await;
    }
}

/// Makes one; none when the limit is reached.
pub(super) async fn make(client: &mut Client, kind: &'static Kind) -> Option<Made> {
    let mut name = client.name(kind.word);
    if kind.thing == Thing::Invitation {
        name.push_str("@example.com");
    }
    let request = Request::post(kind.path, (kind.body)(&name)).once(&*name);
    match client.until_answered(kind.made, request).await {
        Outcome::Answer(answer) if answer.status == 201 => {
            client.books().open().note(kind.thing, &name, Fate::Made);
            let id = answer.text("/id").ok()?;
            let body = answer.body;
            Some(Made { name, id, body })
        }
        Outcome::Answer(answer) => {
            if answer.status != 402 {
                client.surprised(&answer);
            }
            client.books().open().note(kind.thing, &name, Fate::Refused);
            None
        }
        Outcome::Unknown => {
            client.books().open().note(kind.thing, &name, Fate::Made);
            let id = look_for(client, kind, &name).await?;
            let body = Value::Null;
            Some(Made { name, id, body })
        }
    }
}

/// Ends one.
pub(super) async fn end(client: &mut Client, kind: &'static Kind, made: Made) {
    let (method, rest) = &kind.end;
    let path = format!("{}/{}{rest}", kind.path, made.id);
    let request = if *method == Method::DELETE {
        Request::delete(&path)
    } else {
        Request::post(&path, json!({})).once(format!("end-{}", made.name))
    };
    match client.until_answered(kind.ended, request).await {
        // A DELETE has no key: the second one finds nothing, and that is an answer.
        Outcome::Answer(answer) if matches!(answer.status, 200 | 204 | 404) => {}
        Outcome::Answer(answer) => client.surprised(&answer),
        Outcome::Unknown => {}
    }
    client
        .books()
        .open()
        .note(kind.thing, &made.name, Fate::Ended);
}

/// Looks through the list for the thing whose answer was lost: it must be there.
async fn look_for(client: &mut Client, kind: &'static Kind, name: &str) -> Option<String> {
    let mut cursor = String::new();
    loop {
        let path = format!("{}?limit=100{cursor}", kind.path);
        let Outcome::Answer(page) = client.until_answered("list", Request::get(&path)).await else {
            return None;
        };
        let rows = page.list("/data").unwrap_or_default();
        let found = rows
            .iter()
            .find(|row| row.get(kind.name).and_then(Value::as_str) == Some(name));
        if let Some(id) = found.and_then(|row| row.get("id")?.as_str()) {
            return Some(id.to_owned());
        }
        match page.text("/next_cursor") {
            Ok(next) => cursor = format!("&cursor={next}"),
            Err(_) => {
                let wrong = format!("{name} was carried out, and is not in the list");
                client.books().open().wrong.push(wrong);
                return None;
            }
        }
    }
}
