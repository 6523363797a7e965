//! The throw-away cluster that all test processes of a run share, and the template that each database is copied from.

use std::{path::PathBuf, sync::OnceLock};

use diesel::{
    Connection, ConnectionResult, PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection, sql_query, sql_types::Text,
};
use local_pg::{Binaries, SharedCluster};

use crate::must;

/// Processes that start together make the template one after the other.
const LOCK: &str = "select pg_advisory_lock(7262817390113)";

/// A running server with a migrated template.
pub(crate) struct Server {
    cluster: SharedCluster,
    template: String,
}

impl Server {
    /// The server of this process, started or joined on the first call.
    pub(crate) fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Self::join)
    }

    #[expect(
        clippy::print_stderr,
        reason = "whoever waits for a package to be installed should know"
    )]
    fn join() -> Self {
        let say = |line: &str| eprintln!("{line}");
        let binaries = must("looking for PostgreSQL", Binaries::find_or_install(&say));
        let joined = SharedCluster::join(&binaries, &folder(), &say);
        let cluster = must("starting PostgreSQL", joined);
        let template = format!("template_{}", pg::migrate::fingerprint());
        let server = Self { cluster, template };
        server.prepare();
        server
    }

    /// A URL to connect to a database as a role.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        self.cluster.url(role, database)
    }

    /// A connection of the superuser to the database `postgres`.
    pub(crate) fn connect(&self) -> PgConnection {
        must("connecting to PostgreSQL", self.try_connect())
    }

    /// As [`Server::connect`], for those who can go on without.
    pub(crate) fn try_connect(&self) -> ConnectionResult<PgConnection> {
        PgConnection::establish(&self.url("postgres", "postgres"))
    }

    /// Makes a database, as a copy of the template or empty.
    pub(crate) fn create(&self, database: &str, migrated: bool) {
        let template = if migrated {
            &self.template
        } else {
            "template0"
        };
        let made = self
            .connect()
            .batch_execute(&format!("create database {database} template {template}"));
        must("making a test database", made);
        // Rights on a database are not copied with it; connecting grants them.
        let url = self.url("postgres", database);
        must(
            "granting rights",
            pg::migrate::Migrator::connect(&url).map(drop),
        );
    }

    /// Removes what killed processes left, and makes the template unless it is there.
    fn prepare(&self) {
        let mut conn = self.connect();
        must("waiting for other processes", conn.batch_execute(LOCK));
        let found = sql_query("select datname::text as name from pg_database").load(&mut conn);
        let databases: Vec<Database> = must("listing databases", found);
        for Database { name } in &databases {
            if owner(name).is_some_and(|pid| !local_pg::process::runs(pid)) {
                let dropped = conn.batch_execute(&format!("drop database {name} with (force)"));
                must("removing an old test database", dropped);
            }
        }
        if !databases
            .iter()
            .any(|database| database.name == self.template)
        {
            self.make_template(&mut conn);
        }
    }

    /// Migrates under another name first, so that a process that is killed half-way leaves no template that only looks finished.
    fn make_template(&self, conn: &mut PgConnection) {
        let fresh = format!("t_{}_template", std::process::id());
        let made = conn.batch_execute(&format!("create database {fresh} template template0"));
        must("making the template", made);
        let url = self.url("postgres", &fresh);
        let migrated =
            pg::migrate::Migrator::connect(&url).and_then(|mut migrator| migrator.up().map(drop));
        must("migrating the template", migrated);
        let template = &self.template;
        let named = conn.batch_execute(&format!(
            "alter database {fresh} rename to {template}; alter database {template} allow_connections false"
        ));
        must("naming the template", named);
    }
}

/// The process that a database `t_<pid>_…` belongs to.
fn owner(database: &str) -> Option<u32> {
    let (pid, _) = database.strip_prefix("t_")?.split_once('_')?;
    pid.parse().ok()
}

/// A folder in cargo's target folder, wherever that is: the one that test binaries run from.
fn folder() -> PathBuf {
    let binary = std::env::current_exe().unwrap_or_default();
    let target = binary
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join("test-postgres")
}

#[derive(QueryableByName)]
struct Database {
    #[diesel(sql_type = Text)]
    name: String,
}
