//! One fresh, migrated database per test.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use diesel::connection::SimpleConnection;
use pg::{Pg, Settings};

use crate::{must, server::Server};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database of its own for one test: a copy of the migrated template, removed when the value is dropped.
///
/// Nothing needs to be set up: the first one starts a throw-away PostgreSQL, which stops by itself two minutes after the last test.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    server: &'static Server,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl TestDb {
    /// A database with the schema and what the migrations put into it.
    ///
    /// # Panics
    /// When there is no PostgreSQL, or the migrations do not run.
    pub async fn create() -> Self {
        let made = tokio::task::spawn_blocking(|| Self::make(true)).await;
        must("making a test database", made)
    }

    /// A database without a schema, for tests of the migrations themselves.
    ///
    /// # Panics
    /// When there is no PostgreSQL.
    pub async fn empty() -> Self {
        let made = tokio::task::spawn_blocking(|| Self::make(false)).await;
        must("making an empty test database", made)
    }

    fn make(migrated: bool) -> Self {
        let server = Server::shared();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t_{}_{number}", std::process::id());
        server.create(&name, migrated);
        Self { name, server }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For the role of the API: bound by row-level security, no schema changes.
    #[must_use]
    pub fn app_url(&self) -> String {
        self.server.url("plinth_app", &self.name)
    }

    /// For the role of the worker: sees across tenants what its jobs need.
    #[must_use]
    pub fn worker_url(&self) -> String {
        self.server.url("plinth_worker", &self.name)
    }

    /// For the role that owns the schema.
    #[must_use]
    pub fn owner_url(&self) -> String {
        self.server.url("plinth_owner", &self.name)
    }

    /// Cuts every connection to this database, as a restart of PostgreSQL would.
    pub fn cut_connections(&self) {
        let statement = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'",
            self.name
        );
        must(
            "cutting connections",
            self.server.connect().batch_execute(&statement),
        );
    }

    /// Lets nobody but the superuser in, as a database that is away; or lets them in again.
    pub fn refuse_connections(&self, refuse: bool) {
        let limit = if refuse { 0 } else { -1 };
        let statement = format!("alter database {} connection limit {limit}", self.name);
        must(
            "limiting connections",
            self.server.connect().batch_execute(&statement),
        );
        if refuse {
            self.cut_connections();
        }
    }

    /// For the superuser, who may look at everything.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.server.url("postgres", &self.name)
    }

    /// A pool of two connections as the role of the API.
    ///
    /// # Panics
    /// When the pool cannot be made.
    #[must_use]
    pub fn pg(&self) -> Pg {
        pool(self.app_url())
    }

    /// A pool of two connections as the role of the worker.
    ///
    /// # Panics
    /// When the pool cannot be made.
    #[must_use]
    pub fn worker_pg(&self) -> Pg {
        pool(self.worker_url())
    }
}

fn pool(url: String) -> Pg {
    let settings = Settings {
        url,
        max_connections: 2,
        statement_timeout: Duration::from_secs(10),
        prepared_statements: true,
    };
    must("making a pool", Pg::connect(&settings))
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        // What is left is removed by the next process; a failing test should show its own failure.
        if let Ok(mut conn) = self.server.try_connect() {
            let _swept_later = conn.batch_execute(&statement);
        }
    }
}
