//! The two programs as processes: watched, restarted, stopped.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    failure::{Failure, While},
    home::Home,
    programs::Program,
    terminal::say,
};

/// How long a program may take to finish what it does.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a crashed program rests before it is started again.
const REST: Duration = Duration::from_secs(1);

/// Variables that would stand beside ours in another form; the programs refuse to guess which one is meant.
const FOREIGN: [&str; 5] = [
    "DATABASE_URL_FILE",
    "WORKER_DATABASE_URL_FILE",
    "OWNER_DATABASE_URL",
    "OWNER_DATABASE_URL_FILE",
    "PLINTH__IDENTITY__LOCAL__SIGNING_KEY",
];

/// Programs that run until they are stopped.
pub(crate) struct Children {
    stop: watch::Sender<bool>,
    watchers: Vec<JoinHandle<()>>,
    /// Turns false when one of them ended.
    healthy: watch::Receiver<bool>,
}

impl Children {
    /// Starts the programs. One that ends later is started again.
    pub(crate) fn start(home: &Arc<Home>, programs: [Program; 2]) -> Result<Self, Failure> {
        let (stop, stopped) = watch::channel(false);
        let (well, healthy) = watch::channel(true);
        let mut watchers = Vec::new();
        for program in programs {
            let _log_of_an_earlier_run = fs::remove_file(home.log(program.name));
            let child = spawn(home, &program)?;
            let (home, stopped, well) = (Arc::clone(home), stopped.clone(), well.clone());
            watchers.push(tokio::spawn(keep_running(
                home, program, child, stopped, well,
            )));
        }
        Ok(Self {
            stop,
            watchers,
            healthy,
        })
    }

    /// Whether none of them ended so far.
    pub(crate) fn healthy(&self) -> bool {
        *self.healthy.borrow()
    }

    /// Stops the programs, both at once: politely at first, by force after that.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        for watcher in self.watchers {
            let _it_only_waits = watcher.await;
        }
    }
}

/// Starts a program, with its output in its log and its process noted.
pub(crate) fn spawn(home: &Home, program: &Program) -> Result<Child, Failure> {
    let doing = format!("starting {}", program.path.display());
    let path = home.log(program.name);
    let log = File::options()
        .create(true)
        .append(true)
        .open(path)
        .while_(&doing)?;
    let output = log.try_clone().while_(&doing)?;
    let mut command = Command::new(&program.path);
    for name in FOREIGN {
        command.env_remove(name);
    }
    let child = command
        .envs(program.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(log))
        // Ctrl-C reaches the whole group of the terminal; the order in which things stop is ours to choose.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .while_(&doing)?;
    home.note(program.name, child.id().unwrap_or_default())?;
    Ok(child)
}

async fn keep_running(
    home: Arc<Home>,
    program: Program,
    mut child: Child,
    mut stopped: watch::Receiver<bool>,
    well: watch::Sender<bool>,
) {
    loop {
        tokio::select! {
            ended = child.wait() => {
                well.send_replace(false);
                let how = ended.map_or_else(|error| error.to_string(), how);
                let (name, rest) = (program.name, REST.as_secs());
                say(&format!("{name} {how}; starting it again in {rest} s. Its last words:"));
                say(&last_words(&home, name));
            }
            () = told_to_stop(&mut stopped) => {
                end(&mut child).await;
                break;
            }
        }
        tokio::select! {
            () = sleep(REST) => {}
            () = told_to_stop(&mut stopped) => break,
        }
        match spawn(&home, &program) {
            Ok(next) => child = next,
            Err(failure) => say(&failure.to_string()),
        }
    }
    home.forget(program.name);
}

/// Whoever could tell being gone counts as having told.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _told_or_gone = stopped.wait_for(|stopped| *stopped).await;
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// The end of a program's log.
pub(crate) fn last_words(home: &Home, program: &str) -> String {
    let log = fs::read_to_string(home.log(program)).unwrap_or_default();
    let skip = log.lines().count().saturating_sub(10);
    log.lines()
        .skip(skip)
        .map(|line| format!("    {line}\n"))
        .collect()
}

/// What a program logged as an error, and where it panicked.
pub(crate) fn failures(home: &Home, program: &str) -> Vec<String> {
    let log = fs::read_to_string(home.log(program)).unwrap_or_default();
    let is_failure = |line: &&str| line.contains("ERROR") || line.contains("panicked at");
    let lines = log.lines().filter(is_failure);
    lines.map(|line| format!("{program}: {line}")).collect()
}

async fn end(child: &mut Child) {
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else {
        return;
    };
    let _already_gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
    if timeout(PATIENCE, child.wait()).await.is_err() {
        let _already_gone = child.kill().await;
    }
}
