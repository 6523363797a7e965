//! What is broken: PostgreSQL, two APIs and two workers, as processes in a temporary folder.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use local_pg::{Cluster, Durability};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Child,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{
    api::Api,
    children,
    database::Database,
    failure::{Failure, While},
    home::Home,
    private,
    programs::{self, Program},
    secrets::Secrets,
};

const PREFIX: &str = "plinth-chaos-";
/// How long anything may take to start, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client waits for an answer: shorter than what freezes last.
const CLIENT_PATIENCE: Duration = Duration::from_secs(3);
/// How long what a worker holds stays with it when it is not heard from: shorter than what freezes last, so that they fence.
pub(super) const LEASE: Duration = Duration::from_secs(5);

/// One process of the four.
struct Process {
    program: Program,
    child: Child,
}

/// Everything that runs.
pub(super) struct Site {
    home: Home,
    /// Absent only while PostgreSQL is down.
    database: Option<Database>,
    apis: [Process; 2],
    workers: [Process; 2],
    /// The APIs, as clients reach them.
    pub(super) urls: [Api; 2],
    /// For whoever looks at everything.
    pub(super) superuser_url: String,
}

/// Two programs of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Api(usize),
    Worker(usize),
}

impl Site {
    /// Builds and starts everything, and waits until both APIs answer.
    pub(super) async fn start() -> Result<Self, Failure> {
        private::sweep(PREFIX);
        let home = Home::take(&private::folder(PREFIX))?;
        let binaries = programs::build().await?;
        let secrets = Arc::new(Secrets::of(&home)?);
        let (home, database) = {
            let secrets = Arc::clone(&secrets);
            let started = spawn_blocking(move || {
                let database = Database::start(&home, &secrets, Durability::Durable)?;
                Ok::<_, Failure>((home, database))
            });
            started.await.while_("starting the database")??
        };
        let ports = [private::free_port()?, private::free_port()?];
        let [first, second] =
            ports.map(|port| programs::programs(&binaries, &home, port, &database, &secrets));
        let [first_api, first_worker] = first;
        let [second_api, second_worker] = second;
        let issuer = format!("http://127.0.0.1:{}", ports[0]);
        let start = |name, program| Process::start(&home, named(name, program, &issuer));
        let site = Self {
            apis: [
                start("plinth-api-1", first_api)?,
                start("plinth-api-2", second_api)?,
            ],
            workers: [
                start("plinth-worker-1", first_worker)?,
                start("plinth-worker-2", second_worker)?,
            ],
            urls: [url(ports[0])?, url(ports[1])?],
            superuser_url: database.superuser_url(),
            database: Some(database),
            home,
        };
        site.wait_until_ready().await?;
        Ok(site)
    }

    /// Waits until both APIs answer, and their database too.
    pub(super) async fn wait_until_ready(&self) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let [first, second] = &self.urls;
            if first.is_ready().await && second.is_ready().await {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        let words = children::last_words(&self.home, "plinth-api-1");
        Err(Failure(format!(
            "the APIs are not ready after {} s:\n{words}",
            PATIENCE.as_secs()
        )))
    }

    /// Kills a program outright, and starts it again after a while.
    pub(super) async fn kill(&mut self, which: Which, pause: Duration) -> Result<(), Failure> {
        let home = &self.home;
        let process = match which {
            Which::Api(index) => self.apis.get_mut(index),
            Which::Worker(index) => self.workers.get_mut(index),
        };
        let Some(process) = process else {
            return Ok(());
        };
        process.child.kill().await.while_("killing a program")?;
        sleep(pause).await;
        process.child = children::spawn(home, &process.program)?;
        Ok(())
    }

    /// Holds a program for a while. It notices nothing but that time has passed.
    pub(super) async fn freeze(&self, which: Which, pause: Duration) -> Result<(), Failure> {
        let process = match which {
            Which::Api(index) => self.apis.get(index),
            Which::Worker(index) => self.workers.get(index),
        };
        let pid = process.and_then(|process| process.child.id());
        let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) else {
            return Err(Failure::new("a program ended by itself"));
        };
        kill(Pid::from_raw(pid), Signal::SIGSTOP).while_("freezing a program")?;
        sleep(pause).await;
        kill(Pid::from_raw(pid), Signal::SIGCONT).while_("thawing a program")
    }

    /// Ends PostgreSQL as `how` does, and starts it again after a while.
    pub(super) async fn restart_database(
        &mut self,
        how: fn(Cluster),
        pause: Duration,
    ) -> Result<(), Failure> {
        let Some(database) = self.database.take() else {
            return Err(Failure::new("PostgreSQL is down already"));
        };
        let restarted = spawn_blocking(move || database.restart(how, pause));
        self.database = Some(restarted.await.while_("restarting PostgreSQL")??);
        Ok(())
    }

    /// Programs that ended without being killed.
    pub(super) fn ended_by_themselves(&mut self) -> Vec<String> {
        let processes = self.apis.iter_mut().chain(&mut self.workers);
        processes
            .filter_map(|process| match process.child.try_wait() {
                Ok(Some(status)) => Some(format!("{} ended: {status}", process.program.name)),
                _ => None,
            })
            .collect()
    }

    /// What the APIs logged of what failed inside, so that it is read where the failure is.
    pub(super) fn logged_failures(&self) -> Vec<String> {
        let failures = |api: &Process| children::failures(&self.home, api.program.name);
        self.apis.iter().flat_map(failures).collect()
    }

    /// Where the programs' logs are.
    pub(super) fn folder(&self) -> PathBuf {
        self.home.folder().to_owned()
    }

    /// Stops everything by force: what was committed has been counted. Keeps the folder when somebody wants to read the logs.
    pub(super) async fn leave(mut self, keep: bool) {
        for process in self.apis.iter_mut().chain(&mut self.workers) {
            let _already_gone = process.child.kill().await;
            self.home.forget(process.program.name);
        }
        if let Some(database) = self.database.take() {
            let _stopped = spawn_blocking(move || database.stop()).await;
        }
        if !keep {
            let _later_runs_sweep = fs::remove_dir_all(self.home.folder());
        }
    }
}

impl Process {
    fn start(home: &Home, program: Program) -> Result<Self, Failure> {
        let child = children::spawn(home, &program)?;
        Ok(Self { program, child })
    }
}

/// The program under a name of its own, believing the same issuer as its twin.
fn named(name: &'static str, program: Program, issuer: &str) -> Program {
    let mut program = Program { name, ..program };
    for (variable, value) in &mut program.variables {
        if *variable == "PLINTH__IDENTITY__LOCAL__ISSUER" {
            issuer.clone_into(value);
        }
    }
    let lease = LEASE.as_secs().to_string();
    program
        .variables
        .push(("PLINTH__WORKER__LEASE_SECONDS", lease));
    program
}

fn url(port: u16) -> Result<Api, Failure> {
    Api::with_patience(&format!("http://127.0.0.1:{port}"), CLIENT_PATIENCE)
}
