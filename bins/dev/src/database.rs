//! The private cluster, its roles and the schema.

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
            cluster,
        })
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

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}
