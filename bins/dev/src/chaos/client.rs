//! A client that asks again, with the same key, until it knows.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    books::{Books, Fate, Thing},
    customer::Customer,
    random::Random,
};
use crate::{
    api::{Answer, Api, Caller},
    failure::Failure,
};

/// A request for one of two APIs.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<Value>,
    /// Every POST has one, but for events, which have ids.
    pub(super) key: Option<String>,
}

impl<'a> Request<'a> {
    pub(super) const fn get(path: &'a str) -> Self {
        Self::of(Method::GET, path, None)
    }

    pub(super) const fn delete(path: &'a str) -> Self {
        Self::of(Method::DELETE, path, None)
    }

    pub(super) const fn put(path: &'a str, body: Value) -> Self {
        Self::of(Method::PUT, path, Some(body))
    }

    pub(super) const fn post(path: &'a str, body: Value) -> Self {
        Self::of(Method::POST, path, Some(body))
    }

    pub(super) fn once(self, key: impl Into<String>) -> Self {
        let key = Some(key.into());
        Self { key, ..self }
    }

    const fn of(method: Method, path: &'a str, body: Option<Value>) -> Self {
        Self {
            method,
            path,
            body,
            key: None,
        }
    }
}

/// What a client knows in the end.
pub(super) enum Outcome {
    /// It was answered.
    Answer(Answer),
    /// It was carried out, and the answer is lost: look and see.
    Unknown,
}

/// One client of a tenant.
pub(super) struct Client {
    apis: [Caller; 2],
    pub(super) customer: Arc<Customer>,
    pub(super) random: Random,
    /// What only other tenants may read.
    foreign: Arc<[String]>,
    stop: watch::Receiver<bool>,
    number: u64,
    made: u64,
    /// Whether a try of the last command was left without an answer: a server that was held may still carry it out, at any time.
    pub(super) left_behind: bool,
}

impl Client {
    pub(super) fn new(
        apis: &[Api; 2],
        customer: &Arc<Customer>,
        foreign: &Arc<[String]>,
        stop: &watch::Receiver<bool>,
        (number, random): (u64, Random),
    ) -> Self {
        Self {
            apis: apis.each_ref().map(|api| api.bearer(&customer.key)),
            customer: Arc::clone(customer),
            random,
            foreign: Arc::clone(foreign),
            stop: stop.clone(),
            number,
            made: 0,
            left_behind: false,
        }
    }

    pub(super) fn books(&self) -> &Books {
        &self.customer.books
    }

    /// Whether the load goes on.
    pub(super) fn goes_on(&self) -> bool {
        !*self.stop.borrow()
    }

    /// A name that nobody else gives in this run, and that says whose it is.
    pub(super) fn name(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{}-{what}-{}-{}", self.customer.tag, self.number, self.made)
    }

    pub(super) async fn rest(&mut self, low: u64, high: u64) {
        sleep(Duration::from_millis(self.random.within(low, high))).await;
    }

    /// The same client under another API key.
    pub(super) fn speaking_with(&self, apis: &[Api; 2], key: &str) -> [Caller; 2] {
        apis.each_ref().map(|api| api.bearer(key))
    }

    /// Asks either API until there is an answer that asking again would not change.
    pub(super) async fn until_answered(
        &mut self,
        kind: &'static str,
        request: Request<'_>,
    ) -> Outcome {
        let own = self.apis.clone();
        self.until_answered_as(&own, kind, request).await
    }

    /// The same, speaking as somebody else.
    pub(super) async fn until_answered_as(
        &mut self,
        callers: &[Caller; 2],
        kind: &'static str,
        request: Request<'_>,
    ) -> Outcome {
        let started = Instant::now();
        self.left_behind = false;
        loop {
            let outcome = match self.try_once(callers, &request).await {
                Ok(answer) => self.judge(answer),
                Err(_) => {
                    self.left_behind = true;
                    None
                }
            };
            if let Some(outcome) = outcome {
                let mut books = self.customer.books.open();
                match outcome {
                    Outcome::Answer(_) => books.count(kind),
                    Outcome::Unknown => books.lost(kind),
                }
                books.longest = books.longest.max(started.elapsed());
                return outcome;
            }
            self.customer.books.open().retries += 1;
            self.rest(50, 300).await;
        }
    }

    async fn try_once(
        &mut self,
        [first, second]: &[Caller; 2],
        request: &Request<'_>,
    ) -> Result<Answer, Failure> {
        let api = if self.random.one_in(2) { first } else { second };
        let key = request.key.as_deref();
        api.send(
            request.method.clone(),
            request.path,
            request.body.as_ref(),
            key,
        )
        .await
    }

    /// What to make of an answer; none means "ask again".
    fn judge(&self, answer: Answer) -> Option<Outcome> {
        let text = answer.body.to_string();
        let mut books = self.customer.books.open();
        if let Some(found) = self.foreign.iter().find(|id| text.contains(&***id)) {
            let why = format!("read {found}, which is another tenant's");
            books.wrong.push(answer.wrong(&why).to_string());
        }
        let code = answer.body.get("code").and_then(Value::as_str);
        match (answer.status, code) {
            // 408 is actix's own, for a request that it could not read in time: it was frozen.
            (409, Some("idempotency.in_progress")) | (408 | 429 | 502..=504, _) => None,
            (409, Some("idempotency.outcome_unknown")) => Some(Outcome::Unknown),
            (500, _) => {
                books.internal += 1;
                if books.internal <= 3 {
                    books.wrong.push(answer.wrong("failed inside").to_string());
                }
                None
            }
            (401, _) => {
                books
                    .wrong
                    .push(answer.wrong("a valid key was refused").to_string());
                None
            }
            _ => Some(Outcome::Answer(answer)),
        }
    }

    /// Removes a thing at `path` and notes that it is gone; that it was gone before is as good.
    pub(super) async fn remove(
        &mut self,
        kind: &'static str,
        path: &str,
        (thing, name): (Thing, &str),
    ) {
        if let Outcome::Answer(answer) = self.until_answered(kind, Request::delete(path)).await
            && !matches!(answer.status, 204 | 404)
        {
            self.surprised(&answer);
        }
        self.books().open().note(thing, name, Fate::Ended);
    }

    /// An answer that no client should get.
    pub(super) fn surprised(&self, answer: &Answer) {
        let surprise = answer.wrong("nobody expected this").to_string();
        self.books().open().wrong.push(surprise);
    }
}
