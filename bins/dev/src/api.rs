//! Calls to the API, as any client makes them.

use std::time::Duration;

use reqwest::{Client, Method, redirect::Policy};
use serde_json::Value;

use crate::failure::{Failure, While};

/// An API somewhere.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    url: String,
}

/// Somebody who calls it.
#[derive(Clone)]
pub(crate) struct Caller {
    api: Api,
    bearer: Option<String>,
    tenant: Option<String>,
}

/// What came back.
pub(crate) struct Answer {
    call: String,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Api {
    pub(crate) fn at(url: &str) -> Result<Self, Failure> {
        Self::with_patience(url, Duration::from_secs(30))
    }

    /// For callers who give up on an answer after `patience`.
    pub(crate) fn with_patience(url: &str, patience: Duration) -> Result<Self, Failure> {
        let http = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .timeout(patience)
            .build()
            .while_("making an HTTP client")?;
        Ok(Self {
            http,
            url: url.to_owned(),
        })
    }

    /// Whether it is up, and its database too.
    pub(crate) async fn is_ready(&self) -> bool {
        let asked = self.http.get(format!("{}/readyz", self.url)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// Somebody without a name.
    pub(crate) fn anybody(&self) -> Caller {
        Caller {
            api: self.clone(),
            bearer: None,
            tenant: None,
        }
    }

    /// Somebody with an access token or an API key.
    pub(crate) fn bearer(&self, secret: &str) -> Caller {
        Caller {
            bearer: Some(secret.to_owned()),
            ..self.anybody()
        }
    }
}

impl Caller {
    /// The same, speaking for a tenant.
    pub(crate) fn of_tenant(&self, id: &str) -> Self {
        Self {
            tenant: Some(id.to_owned()),
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send(Method::POST, path, Some(&body), None).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send(Method::PUT, path, Some(&body), None).await
    }

    /// Any call, under an `Idempotency-Key` when it has one.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: Option<&str>,
    ) -> Result<Answer, Failure> {
        let call = format!("{method} {path}");
        let mut request = self
            .api
            .http
            .request(method, format!("{}{path}", self.api.url));
        if let Some(bearer) = &self.bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Tenant-ID", tenant);
        }
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.while_(&call)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.while_(&call)?;
        // An answer that is no JSON is shown as it is when it was not expected.
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { call, status, body })
    }
}

impl Answer {
    /// The answer, if its status is one of these.
    pub(crate) fn expect(self, statuses: &[u16]) -> Result<Self, Failure> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        let wanted: Vec<_> = statuses.iter().map(ToString::to_string).collect();
        Err(self.wrong(&format!("expected {}", wanted.join(" or "))))
    }

    /// The text at a JSON pointer. Numbers count as their digits: quantities come as either.
    pub(crate) fn text(&self, pointer: &str) -> Result<String, Failure> {
        match self.body.pointer(pointer) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            _ => Err(self.wrong(&format!("expected a text at {pointer}"))),
        }
    }

    /// The whole number at a JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> Result<i64, Failure> {
        let found = self.body.pointer(pointer).and_then(Value::as_i64);
        found.ok_or_else(|| self.wrong(&format!("expected a whole number at {pointer}")))
    }

    /// The list at a JSON pointer.
    pub(crate) fn list(&self, pointer: &str) -> Result<&[Value], Failure> {
        let found = self.body.pointer(pointer).and_then(Value::as_array);
        found
            .map(Vec::as_slice)
            .ok_or_else(|| self.wrong(&format!("expected a list at {pointer}")))
    }

    /// Fails unless the value at a JSON pointer is this one.
    pub(crate) fn has(&self, pointer: &str, wanted: impl Into<Value>) -> Result<(), Failure> {
        let wanted = wanted.into();
        if self.body.pointer(pointer) == Some(&wanted) {
            return Ok(());
        }
        Err(self.wrong(&format!("expected {wanted} at {pointer}")))
    }

    /// A failure that shows this answer.
    pub(crate) fn wrong(&self, why: &str) -> Failure {
        let body: String = self.body.to_string().chars().take(600).collect();
        Failure(format!("{}: {why}; got {} {body}", self.call, self.status))
    }
}
