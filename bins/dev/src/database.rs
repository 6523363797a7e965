//! The private cluster, its roles and the schema.

use std::{thread, time::Duration};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::Bool,
};
use local_pg::{Binaries, Cluster, Durability, Options};
use pg::migrate::{Migrator, set_password};

use crate::{
    failure::{Failure, While},
    home::Home,
    secrets::Secrets,
    terminal::say,
};

/// A running cluster with an up-to-date schema.
pub(crate) struct Database {
    cluster: Cluster,
    binaries: Binaries,
    options: Options,
    /// For the API: role `plinth_app`.
    pub(crate) app_url: String,
    /// For the worker: role `plinth_worker`.
    pub(crate) worker_url: String,
    /// For migrations: role `plinth_owner`.
    pub(crate) owner_url: String,
}

impl Database {
    /// Finds or installs PostgreSQL, starts the cluster of a folder, and brings roles and schema up to date.
    pub(crate) fn start(
        home: &Home,
        secrets: &Secrets,
        durability: Durability,
    ) -> Result<Self, Failure> {
        let binaries = Binaries::find_or_install(&|line| say(line))
            .map_err(|error| Failure(error.to_string()))?;
        let options = Options {
            folder: home.path("postgres"),
            port: 0,
            durability,
        };
        let cluster = Cluster::start(&binaries, &options, &|line| say(line))
            .while_("starting the private PostgreSQL")?;
        let version = binaries.major();
        say(&format!(
            "PostgreSQL {version} runs on 127.0.0.1:{}",
            cluster.port()
        ));
        make_database(&cluster)?;
        migrate(&cluster, secrets)?;
        let url = |role, password| {
            format!(
                "postgres://{role}:{password}@127.0.0.1:{}/plinth",
                cluster.port()
            )
        };
        Ok(Self {
            app_url: url("plinth_app", &secrets.app_password),
            worker_url: url("plinth_worker", &secrets.worker_password),
            owner_url: url("plinth_owner", &secrets.owner_password),
            options: Options {
                port: cluster.port(),
                ..options
            },
            binaries,
            cluster,
        })
    }

    /// For whoever looks at everything: the role `postgres`.
    pub(crate) fn superuser_url(&self) -> String {
        self.cluster.superuser_url("plinth")
    }

    /// Ends the server as `how` does, leaves it down for `pause`, and starts it on the same port.
    pub(crate) fn restart(
        mut self,
        how: impl FnOnce(Cluster),
        pause: Duration,
    ) -> Result<Self, Failure> {
        how(self.cluster);
        thread::sleep(pause);
        self.cluster = Cluster::start(&self.binaries, &self.options, &|line| say(line))
            .while_("starting PostgreSQL again")?;
        Ok(self)
    }

    pub(crate) fn stop(self) {
        self.cluster.stop();
    }
}

fn make_database(cluster: &Cluster) -> Result<(), Failure> {
    let doing = "making the database";
    let mut conn = PgConnection::establish(&cluster.superuser_url("postgres")).while_(doing)?;
    let there: Answer =
        sql_query("select exists (select from pg_database where datname = 'plinth') as answer")
            .get_result(&mut conn)
            .while_(doing)?;
    if there.answer {
        return Ok(());
    }
    conn.batch_execute("create database plinth template template0")
        .while_(doing)
}

fn migrate(cluster: &Cluster, secrets: &Secrets) -> Result<(), Failure> {
    let url = cluster.superuser_url("plinth");
    let ran = Migrator::connect(&url)
        .and_then(|mut migrator| migrator.up())
        .while_("migrating")?;
    if !ran.is_empty() {
        say(&format!("ran {} migrations", ran.len()));
    }
    for (role, password) in [
        ("plinth_app", &secrets.app_password),
        ("plinth_worker", &secrets.worker_password),
        ("plinth_owner", &secrets.owner_password),
    ] {
        set_password(&url, role, password).while_(format!("giving {role} its password"))?;
    }
    Ok(())
}

/// Asks the database something, on a connection of its own.
pub(crate) async fn ask<T: Send + 'static>(
    url: &str,
    question: impl FnOnce(&mut PgConnection) -> Result<T, diesel::result::Error> + Send + 'static,
) -> Result<T, Failure> {
    let url = url.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let mut conn = PgConnection::establish(&url).while_("connecting to the database")?;
        question(&mut conn).while_("asking the database")
    });
    asked.await.while_("asking the database")?
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}
