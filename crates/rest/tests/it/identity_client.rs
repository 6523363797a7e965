//! The client that the tests of identity use.

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::harness::TestApp;

/// What every registered person of the tests logs in with.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The API, for a test of identity: answers come whole, headers included.
pub(crate) struct Server(TestApp);

/// Somebody who has registered.
pub(crate) struct Person {
    pub(crate) user_id: String,
    pub(crate) email: String,
    pub(crate) tenant_id: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The first field that breaks a rule.
    pub(crate) fn field(&self) -> &str {
        self.body["errors"][0]["field"].as_str().unwrap_or_default()
    }

    /// The problem without what differs between any two requests.
    pub(crate) fn shape(&self) -> Value {
        let mut body = self.body.clone();
        body["request_id"] = json!("…");
        json!([self.status, body])
    }

    /// The body of an answer that must be a success.
    pub(crate) fn ok(self) -> Value {
        assert!(self.status < 300, "{} {}", self.status, self.body);
        self.body
    }
}

impl Server {
    /// Starts with the built-in log-in alone.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with more variables of configuration.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Self {
        Self(TestApp::start_with(variables).await)
    }

    /// A request to be changed and sent with [`Server::send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.0.request(method, path)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body = if status == StatusCode::NO_CONTENT || bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        Answer {
            status: status.as_u16(),
            headers,
            body,
        }
    }

    /// GET with a bearer token or key.
    pub(crate) async fn get(&self, path: &str, bearer: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(bearer))
            .await
    }

    /// POST with a bearer token or key.
    pub(crate) async fn post(&self, path: &str, bearer: &str, body: &Value) -> Answer {
        self.send(
            self.request(Method::POST, path)
                .bearer_auth(bearer)
                .json(body),
        )
        .await
    }

    /// POST as nobody.
    pub(crate) async fn post_anonymous(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Registers somebody.
    pub(crate) async fn register(&self, name: &str) -> Person {
        let email = format!("{name}@example.com");
        let body = json!({ "email": email, "password": PASSWORD, "name": name });
        let body = self.post_anonymous("/v1/auth/register", &body).await.ok();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Person {
            user_id: text(&body["user"]["id"]),
            email,
            tenant_id: text(&body["tenant"]["id"]),
            token: text(&body["access_token"]),
            refresh_token: text(&body["refresh_token"]),
        }
    }

    /// Makes a key with these scopes, and gives the whole answer.
    pub(crate) async fn key(&self, by: &Person, name: &str, scopes: &[&str]) -> Value {
        let body = json!({ "name": name, "scopes": scopes });
        self.post("/v1/api-keys", &by.token, &body).await.ok()
    }

    /// Runs a statement as the owner of the schema: what no client can do.
    pub(crate) async fn sql(&self, statement: &str) {
        execute(self.0.db.owner_url(), statement.to_owned()).await;
    }

    /// Runs a statement as the superuser, who may also switch triggers off.
    pub(crate) async fn sql_as_superuser(&self, statement: &str) {
        execute(self.0.db.superuser_url(), statement.to_owned()).await;
    }
}

async fn execute(url: String, statement: String) {
    let run = move || {
        PgConnection::establish(&url)
            .unwrap()
            .batch_execute(&statement)
            .unwrap();
    };
    actix_web::rt::task::spawn_blocking(run).await.unwrap();
}
