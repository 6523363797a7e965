//! A running program, on a port of its own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;
use testkit::TestDb;

/// Operators show this.
pub(crate) const PLATFORM_KEY: &str = "plp_test_0123456789abcdef0123456789abcdef";

/// What all servers of one deployment share: the database and the secrets.
pub(crate) struct Deployment {
    pub(crate) db: TestDb,
    signing_key: String,
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        Self {
            db: TestDb::create().await,
            signing_key: idp::generate_signing_key().expose_secret().to_owned(),
        }
    }

    fn program(&self, port: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plinth-api"));
        command
            .env_clear()
            .env("DATABASE_URL", self.db.app_url())
            .env("PLINTH__ENVIRONMENT", "dev")
            .env("PLINTH__DATABASE__MAX_CONNECTIONS", "8")
            .env("PLINTH__HTTP__BIND", "127.0.0.1")
            .env("PLINTH__HTTP__PORT", port.to_string())
            .env("PLINTH__HTTP__WORKERS", "1")
            .env("PLINTH__RATE_LIMIT__REQUESTS_PER_SECOND", "0")
            .env("PLINTH__RATE_LIMIT__SIGN_IN_PER_MINUTE", "0")
            .env("PLINTH__PLATFORM__KEY", PLATFORM_KEY)
            .env("PLINTH__IDENTITY__API_KEY_PEPPER", "p".repeat(32))
            .env("PLINTH__IDENTITY__LOCAL__SIGNING_KEY", &self.signing_key)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Starts a server, and waits until it serves. Another program may take the port that was found free: then another one is.
    pub(crate) async fn server(&self) -> Server {
        for _ in 0..5 {
            let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let child = self.program(port).spawn().unwrap();
            let server = Server {
                child,
                url: format!("http://127.0.0.1:{port}"),
                client: Client::builder()
                    .timeout(Duration::from_secs(30))
                    .build()
                    .unwrap(),
            };
            if let Some(server) = server.serving().await {
                return server;
            }
        }
        panic!("no server serves");
    }
}

pub(crate) struct Server {
    child: Child,
    url: String,
    client: Client,
}

impl Server {
    async fn serving(mut self) -> Option<Self> {
        let patience = Instant::now() + Duration::from_secs(30);
        while Instant::now() < patience {
            if self.child.try_wait().unwrap().is_some() {
                return None;
            }
            let ready = self.client.get(format!("{}/readyz", self.url)).send().await;
            if ready.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return Some(self);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    pub(crate) async fn ask(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(token);
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Registers somebody: the token that they show from then on.
    pub(crate) async fn register(&self, email: &str) -> String {
        let body = serde_json::json!({ "email": email, "password": "correct horse battery" });
        let path = "/v1/auth/register";
        let (status, body) = self.ask("", Method::POST, path, body).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _nothing_to_wait_for = self.child.wait();
    }
}
