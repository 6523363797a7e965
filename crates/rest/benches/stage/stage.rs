//! The API as its binary runs it, on a durable PostgreSQL of its own, and a customer.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    rt::System,
    web::{self, Bytes},
};
use config::Config;
use diesel::{Connection, PgConnection, connection::SimpleConnection};
use local_pg::{Binaries, Cluster, Durability, Options, cluster::stop_left_over};
use pg::migrate::{Migrator, set_password};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Where the cluster is: always here, so that a run finds what a killed one left behind.
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-postgres");
const PASSWORD: &str = "benchmark";
/// Under which keys are kept.
pub(crate) const PEPPER: &str = "a benchmark needs no secret pepper";
/// Projects of the customer, besides the default one.
const PROJECTS: usize = 10;

/// Threads that serve requests, as in production when nothing is configured.
pub(crate) fn workers() -> usize {
    thread::available_parallelism().unwrap().get()
}

/// Memory of this process, where the system tells.
pub(crate) fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// A migrated database in a durable cluster. Dropping it stops and removes the cluster.
pub(crate) struct Database {
    cluster: Option<Cluster>,
    pub(crate) binaries: Binaries,
    port: u16,
    pub(crate) superuser_url: String,
    data: PathBuf,
}

impl Database {
    pub(crate) fn start() -> Self {
        let say = |line: &str| println!("{line}");
        assert!(stop_left_over(Path::new(FOLDER)), "{FOLDER} is in use");
        let _there_was_none = fs::remove_dir_all(FOLDER);
        let binaries = Binaries::find_or_install(&say).unwrap();
        let options = Options {
            folder: FOLDER.into(),
            port: 0,
            durability: Durability::Durable,
        };
        let cluster = Cluster::start(&binaries, &options, &say).unwrap();
        let mut first = PgConnection::establish(&cluster.superuser_url("postgres")).unwrap();
        first.batch_execute("create database plinth").unwrap();
        let superuser_url = cluster.superuser_url("plinth");
        Migrator::connect(&superuser_url).unwrap().up().unwrap();
        set_password(&superuser_url, "plinth_app", PASSWORD).unwrap();
        Self {
            port: cluster.port(),
            data: cluster.folder().to_owned(),
            cluster: Some(cluster),
            binaries,
            superuser_url,
        }
    }

    /// For the role of the API.
    pub(crate) fn app_url(&self) -> String {
        format!(
            "postgres://plinth_app:{PASSWORD}@127.0.0.1:{}/plinth",
            self.port
        )
    }

    /// Runs statements as the superuser, each by itself.
    pub(crate) fn administer(&self, statements: &[&str]) {
        let mut conn = PgConnection::establish(&self.superuser_url).unwrap();
        for statement in statements {
            conn.batch_execute(statement).unwrap();
        }
    }

    /// Everything that the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.data.join("postgres.log")).unwrap()
    }

    /// A file beside the data.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop();
        }
        let _next_run_does_it = fs::remove_dir_all(&self.data);
    }
}

/// A server in a thread of its own.
struct Running {
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// Starts the server that `make` makes; gives its address.
fn start(make: impl FnOnce(TcpListener) -> Server + Send + 'static) -> (SocketAddr, Running) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (ready, started) = mpsc::channel();
    let serve = async move {
        let server = make(listener);
        ready.send(server.handle()).unwrap();
        server.await.unwrap();
    };
    let thread = thread::spawn(move || System::new().block_on(serve));
    let server = started.recv().unwrap();
    let running = Running {
        server,
        thread: Some(thread),
    };
    (address, running)
}

impl Drop for Running {
    fn drop(&mut self) {
        // Stopping is told at once; the future only waits for it, and so does the thread.
        drop(self.server.stop(false));
        if let Some(thread) = self.thread.take() {
            let _panicked_already = thread.join();
        }
    }
}

/// A route that answers with a constant: what HTTP itself costs.
pub(crate) struct BareRoute {
    pub(crate) address: SocketAddr,
    _running: Running,
}

impl BareRoute {
    pub(crate) fn start(body: &[u8]) -> Self {
        let body = Bytes::copy_from_slice(body);
        let (address, running) = start(move |listener| {
            let app = move || {
                let body = body.clone();
                let answer = move || {
                    let response = HttpResponse::Ok()
                        .content_type("application/json")
                        .body(body.clone());
                    std::future::ready(response)
                };
                App::new().route("/", web::get().to(answer))
            };
            let server = HttpServer::new(app).workers(workers()).disable_signals();
            server.listen(listener).unwrap().run()
        });
        Self {
            address,
            _running: running,
        }
    }
}

/// The API with its default settings, but without rate limits, and with a log that keeps quiet about each request.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    /// Connections that it has to PostgreSQL, at most.
    pub(crate) connections: usize,
    _running: Running,
}

impl Api {
    /// With this many connections to PostgreSQL instead of the default.
    pub(crate) fn start(database: &Database, connections: Option<usize>) -> Self {
        let signing_key = idp::generate_signing_key();
        let variables = [
            ("DATABASE_URL", &*database.app_url()),
            // Who listens is cut off when the cluster stops, and need not say so.
            ("PLINTH__LOG__FILTER", "warn,plinth_pg::listen=error"),
            ("PLINTH__RATE_LIMIT__REQUESTS_PER_SECOND", "0"),
            ("PLINTH__RATE_LIMIT__SIGN_IN_PER_MINUTE", "0"),
            ("PLINTH__IDENTITY__API_KEY_PEPPER", PEPPER),
            (
                "PLINTH__IDENTITY__LOCAL__SIGNING_KEY",
                signing_key.expose_secret(),
            ),
        ];
        let connections = connections.map(|number| number.to_string());
        let connections = connections
            .as_deref()
            .map(|number| ("PLINTH__DATABASE__MAX_CONNECTIONS", number));
        let variables = variables.into_iter().chain(connections);
        let variables = variables.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = Config::from_variables(variables).unwrap();
        config.log.install().unwrap();
        let connections = config.database.max_connections;
        let (address, running) = start(move |listener| {
            let pg = api::database(&config).unwrap();
            let services = api::services(&config, &pg).unwrap();
            let serving = rest::Serving {
                workers: workers(),
                keep_alive: Duration::from_secs(config.http.keep_alive_seconds),
                shutdown: Duration::from_secs(1),
            };
            rest::serve(services, listener, &serving).unwrap()
        });
        Self {
            address,
            connections,
            _running: running,
        }
    }

    /// Signs somebody up, with a plan that has room for the projects. Gives a key of theirs.
    pub(crate) fn customer(&self, scopes: &[&str]) -> String {
        System::new().block_on(async {
            let register = json!({
                "email": "ada@example.com", "password": "correct horse battery", "name": "Ada"
            });
            let session = self.post("", "/v1/auth/register", register).await;
            let token = text(&session, "access_token");
            let order = json!({ "plan": "pro", "when": "now" });
            self.post(&token, "/v1/subscription/change", order).await;
            for number in 1..=PROJECTS {
                let project = json!({ "name": format!("Project {number}") });
                self.post(&token, "/v1/projects", project).await;
            }
            let key = json!({ "name": "benchmark", "scopes": scopes });
            text(&self.post(&token, "/v1/api-keys", key).await, "key")
        })
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> Value {
        let client = reqwest::Client::builder().build().unwrap();
        let mut request = client.post(format!("http://{}{path}", self.address));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let response = request.json(&body).send().await.unwrap();
        let status = response.status();
        let answer = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

fn text(body: &Value, field: &str) -> String {
    let text = body.get(field).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("there is no {field}: {body}"))
        .to_owned()
}
