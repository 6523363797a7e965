//! Everything that runs, started in order and stopped in the opposite one.

use std::{
    io,
    net::TcpListener,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use local_pg::Durability;
use tokio::time::sleep;

use crate::{
    api::Api,
    children::{Children, last_words},
    database::Database,
    demo_tenant::{self, DemoTenant},
    env_file,
    failure::{Failure, While},
    home::Home,
    programs,
    secrets::Secrets,
    terminal::Progress,
};

/// How long the API may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// PostgreSQL, the API, the worker, and a tenant to play with.
pub(crate) struct Stack {
    home: Arc<Home>,
    database: Database,
    children: Children,
    pub(crate) url: String,
    pub(crate) tenant: DemoTenant,
}

impl Stack {
    /// Builds and starts everything, and writes `dev.env` when it answers.
    pub(crate) async fn start(
        folder: &Path,
        port: u16,
        durability: Durability,
    ) -> Result<Self, Failure> {
        let home = Arc::new(Home::take(folder)?);
        check_port(port)?;
        let programs = programs::build().await?;
        let secrets = Arc::new(Secrets::of(&home)?);
        let database = {
            let (home, secrets) = (Arc::clone(&home), Arc::clone(&secrets));
            // Signals are still heard while PostgreSQL starts.
            tokio::task::spawn_blocking(move || Database::start(&home, &secrets, durability))
                .await
                .while_("starting the database")??
        };
        let programs = programs::programs(&programs, &home, port, &database, &secrets);
        let children = Children::start(&home, programs)?;
        let url = format!("http://127.0.0.1:{port}");
        let api = Api::at(&url)?;
        let tenant = match ready(&home, &api, &children).await {
            Ok(()) => demo_tenant::ensure(&api, &home, &secrets.demo_password).await,
            Err(failure) => Err(failure),
        };
        let tenant = match tenant {
            Ok(tenant) => tenant,
            Err(failure) => {
                children.stop().await;
                database.stop();
                return Err(failure);
            }
        };
        let stack = Self {
            home,
            database,
            children,
            url,
            tenant,
        };
        stack.write_dev_env(&secrets)?;
        Ok(stack)
    }

    fn write_dev_env(&self, secrets: &Secrets) -> Result<(), Failure> {
        let path = self.home.dev_env();
        let values = [
            ("PLINTH_URL", &*self.url),
            ("PLINTH_TENANT_ID", &*self.tenant.id),
            ("PLINTH_API_KEY", &*self.tenant.api_key),
            ("PLINTH_EMAIL", demo_tenant::EMAIL),
            ("PLINTH_PASSWORD", &*secrets.demo_password),
            ("PLINTH_PLATFORM_KEY", &*secrets.platform_key),
            ("DATABASE_URL", &*self.database.app_url),
            ("WORKER_DATABASE_URL", &*self.database.worker_url),
            ("OWNER_DATABASE_URL", &*self.database.owner_url),
        ];
        env_file::write(&path, values).while_(format!("writing {}", path.display()))
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Stops the programs first and PostgreSQL last.
    pub(crate) async fn stop(self) {
        self.children.stop().await;
        self.database.stop();
    }
}

fn check_port(port: u16) -> Result<(), Failure> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_free) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Failure(format!(
            "port {port} is taken by another program: stop that, or choose another port with PLINTH_PORT"
        ))),
        Err(error) => Err(Failure(format!("port {port} cannot be used: {error}"))),
    }
}

/// Waits for the API. A program that ends before it was ever ready will not do better the second time: its last words are the failure.
async fn ready(home: &Home, api: &Api, children: &Children) -> Result<(), Failure> {
    let mut progress = Progress::until("waiting for the API");
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if !children.healthy() {
            return Err(Failure::new(
                "a program ended before it was ready: see above",
            ));
        }
        if api.is_ready().await {
            return Ok(());
        }
        progress.step(start.elapsed().as_secs(), "");
        sleep(Duration::from_millis(50)).await;
    }
    let words = last_words(home, "plinth-api");
    Err(Failure(format!(
        "the API is not ready after {} s:\n{words}",
        PATIENCE.as_secs()
    )))
}
