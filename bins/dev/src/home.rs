//! The folder that survives: data, secrets, logs, and `dev.env`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use local_pg::process;

use crate::{
    env_file::{self, Values},
    failure::{Failure, While},
};

/// A folder that one `cargo dev` at a time has for itself.
pub(crate) struct Home {
    folder: PathBuf,
    lock: File,
}

impl Home {
    /// Makes the folder when it is not there, and takes it. Ends what a killed run left in it.
    pub(crate) fn take(folder: &Path) -> Result<Self, Failure> {
        let doing = format!("making {}", folder.display());
        fs::create_dir_all(folder).while_(&doing)?;
        let folder = folder.canonicalize().while_(&doing)?;
        let lock = File::create(folder.join("lock")).while_(&doing)?;
        if lock.try_lock().is_err() {
            return Err(Failure(format!(
                "another `cargo dev` runs on {}: stop it, or set PLINTH_HOME and PLINTH_PORT for a second one",
                folder.display()
            )));
        }
        let home = Self { folder, lock };
        for program in ["plinth-api", "plinth-worker"] {
            // Where several of one program run, they are numbered.
            for number in ["", "-1", "-2"] {
                home.end_left_over(program, number)?;
            }
        }
        Ok(home)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The file that tells clients where everything is.
    pub(crate) fn dev_env(&self) -> PathBuf {
        dev_env(&self.folder)
    }

    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.path(&format!("{program}.log"))
    }

    fn pid_file(&self, program: &str) -> PathBuf {
        self.path(&format!("{program}.pid"))
    }

    /// Notes a child, for the next run to find should this one be killed.
    pub(crate) fn note(&self, program: &str, pid: u32) -> Result<(), Failure> {
        fs::write(self.pid_file(program), pid.to_string()).while_(format!("noting {program}"))
    }

    pub(crate) fn forget(&self, program: &str) {
        let _was_there = fs::remove_file(self.pid_file(program));
    }

    /// Ends the process that a killed run noted, if the process of that id still is that program.
    fn end_left_over(&self, program: &str, number: &str) -> Result<(), Failure> {
        let name = format!("{program}{number}");
        let noted = fs::read_to_string(self.pid_file(&name)).ok();
        let pid = noted.and_then(|text| text.trim().parse().ok());
        let ours = |pid: &u32| process::command_line(*pid).is_some_and(|it| it.contains(program));
        if let Some(pid) = pid.filter(ours)
            && !process::end(pid, Duration::from_secs(3))
        {
            return Err(Failure(format!(
                "{program} of an earlier run (process {pid}) does not end"
            )));
        }
        self.forget(&name);
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Closing the file would not do: a child that is being started at this moment holds a copy of it until it runs its program.
        let _closing_does_it_soon = self.lock.unlock();
    }
}

/// What a running or earlier `cargo dev` wrote into its folder.
pub(crate) fn read_dev_env(folder: &Path) -> Result<Values, Failure> {
    let path = dev_env(folder);
    env_file::read(&path).while_(format!("reading {}", path.display()))
}

fn dev_env(folder: &Path) -> PathBuf {
    folder.join("dev.env")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn one_run_at_a_time_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Home::take(folder.path()).unwrap();
        assert!(
            Home::take(folder.path())
                .err()
                .unwrap()
                .0
                .contains("another `cargo dev`")
        );
        drop(first);
        Home::take(folder.path()).unwrap();
    }

    #[test]
    fn a_noted_process_is_ended_only_when_it_is_still_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let bystander = Command::new("sleep").arg("63.5").spawn().unwrap();
        let ours = Command::new("sh")
            .args(["-c", "while :; do sleep 0.1; done", "plinth-worker"])
            .spawn()
            .unwrap();
        let home = Home::take(folder.path()).unwrap();
        home.note("plinth-api", bystander.id()).unwrap();
        home.note("plinth-worker", ours.id()).unwrap();
        drop(home);
        while !process::command_line(ours.id()).is_some_and(|it| it.contains("plinth-worker")) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Home::take(folder.path()).unwrap();
        assert!(process::runs(bystander.id()));
        assert!(!process::runs(ours.id()));
        for mut child in [bystander, ours] {
            let _ended_already = child.kill();
            child.wait().unwrap();
        }
    }
}
