//! An API on a port and a database of its own, and people who use it.

use std::{
    net::TcpListener,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use actix_web::dev::ServerHandle;
use config::Config;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect::Policy};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use testkit::TestDb;

/// Operators show this.
pub(crate) const PLATFORM_KEY: &str = "plp_test_0123456789abcdef0123456789abcdef";

/// A running API.
pub(crate) struct TestApp {
    pub(crate) url: String,
    pub(crate) db: TestDb,
    client: Client,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// The API as its binary runs it, in a runtime of its own.
async fn serve(config: Config, listener: TcpListener, ready: &mpsc::Sender<ServerHandle>) {
    let pg = api::database(&config).unwrap();
    let services = api::services(&config, &pg).unwrap();
    let serving = rest::Serving {
        workers: 1,
        keep_alive: Duration::from_secs(5),
        shutdown: Duration::from_secs(1),
    };
    let server = rest::serve(services, listener, &serving).unwrap();
    ready.send(server.handle()).unwrap();
    server.await.unwrap();
}

impl TestApp {
    /// Starts the API with development settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts the API with these settings over the usual ones.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let db = TestDb::create().await;
        let mut variables = vec![
            ("DATABASE_URL".to_owned(), db.app_url()),
            ("PLINTH__ENVIRONMENT".to_owned(), "dev".to_owned()),
            (
                "PLINTH__DATABASE__MAX_CONNECTIONS".to_owned(),
                "4".to_owned(),
            ),
            (
                "PLINTH__RATE_LIMIT__REQUESTS_PER_SECOND".to_owned(),
                "0".to_owned(),
            ),
            (
                "PLINTH__RATE_LIMIT__SIGN_IN_PER_MINUTE".to_owned(),
                "0".to_owned(),
            ),
            ("PLINTH__PLATFORM__KEY".to_owned(), PLATFORM_KEY.to_owned()),
            (
                "PLINTH__IDENTITY__API_KEY_PEPPER".to_owned(),
                "p".repeat(32),
            ),
            (
                "PLINTH__IDENTITY__LOCAL__SIGNING_KEY".to_owned(),
                idp::generate_signing_key().expose_secret().to_owned(),
            ),
        ];
        variables.extend(
            settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        let config = Config::from_variables(variables).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (ready, started) = mpsc::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(serve(config, listener, &ready));
        });
        let server = started.recv().unwrap();
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            url,
            db,
            client,
            server,
            thread: Some(thread),
        }
    }

    /// A request that shows no credential.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Registers somebody.
    pub(crate) async fn register(&self, email: &str) -> Person<'_> {
        let body = json!({ "email": email, "password": "correct horse battery", "name": "Ann" });
        let response = self
            .request(Method::POST, "/v1/auth/register")
            .json(&body)
            .send()
            .await;
        let (status, body) = read(response.unwrap()).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        Person {
            app: self,
            email: email.to_owned(),
            user_id: text(&body["user"]["id"]),
            tenant_id: text(&body["tenant"]["id"]),
            token: text(&body["access_token"]),
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // Stopping is told at once; the future only waits for it, and so does the thread.
        drop(self.server.stop(false));
        if let Some(thread) = self.thread.take() {
            let _panicked_already = thread.join();
        }
    }
}

/// Somebody who is signed in.
pub(crate) struct Person<'a> {
    pub(crate) app: &'a TestApp,
    pub(crate) email: String,
    pub(crate) user_id: String,
    pub(crate) tenant_id: String,
    pub(crate) token: String,
}

impl Person<'_> {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.request(method, path).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        read(
            self.request(Method::POST, path)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (StatusCode, Value) {
        read(
            self.request(Method::PATCH, path)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> (StatusCode, Value) {
        read(
            self.request(Method::PUT, path)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        read(self.request(Method::DELETE, path).send().await.unwrap()).await
    }

    /// Moves the tenant to another plan, so that the free plan's limits do not stand in a test's way.
    pub(crate) async fn upgrade(&self, plan: &str) {
        let order = json!({ "plan": plan, "when": "now" });
        let (status, body) = self.post("/v1/subscription/change", order).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    /// Actions of the tenant's audit trail, newest first.
    pub(crate) async fn trail(&self) -> Vec<String> {
        let (status, body) = self.get("/v1/audit-events?limit=100").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| text(&event["action"]))
            .collect()
    }
}

/// Status and body; a body that is no JSON is null.
pub(crate) async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = response.bytes().await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

/// A JSON text.
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}
