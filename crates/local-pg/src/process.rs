//! Processes that this run did not start: whether they live, what they are, and how to end them.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How often a waiting loop looks.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// The command line of a running process; none for one that is gone, or that only waits to be reaped.
#[must_use]
pub fn command_line(pid: u32) -> Option<String> {
    let line = if has_proc() {
        fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .ok()?
            .replace('\0', " ")
    } else {
        ps(pid, "command=")?
    };
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// Whether a process with this id runs, whatever it is. One that only waits to be reaped does not.
#[must_use]
pub fn runs(pid: u32) -> bool {
    let state = if has_proc() {
        // The state follows the name, which is in brackets and may hold anything.
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| Some(stat.rsplit_once(") ")?.1.to_owned()))
    } else {
        ps(pid, "state=")
    };
    state.is_some_and(|state| !state.trim().is_empty() && !state.trim().starts_with(['Z', 'X']))
}

/// The processes that a process started and that still run.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let pairs: Vec<(u32, u32)> = if has_proc() {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // State and parent follow the name.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
            Some((pid, parent.parse().ok()?))
        })
        .collect()
    } else {
        let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output();
        let text = listed.map(|ps| ps.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| {
                let (pid, parent) = line.trim().split_once(char::is_whitespace)?;
                Some((pid.parse().ok()?, parent.trim().parse().ok()?))
            })
            .collect()
    };
    let of_parent = pairs.iter().filter(|(_, of)| *of == parent);
    of_parent.map(|(pid, _)| *pid).collect()
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

fn ps(pid: u32, column: &str) -> Option<String> {
    let ps = Command::new("ps")
        .args(["-o", column, "-p", &pid.to_string()])
        .output()
        .ok()?;
    String::from_utf8(ps.stdout).ok()
}

/// Sends SIGTERM, and SIGKILL when `patience` has passed. True when the process is gone afterwards.
///
/// The caller has made sure that the process is its own: ids are used again by the operating system.
pub fn end(pid: u32, patience: Duration) -> bool {
    end_with(
        pid,
        &[
            (Signal::SIGTERM, patience),
            (Signal::SIGKILL, Duration::from_secs(1)),
        ],
    )
}

/// Sends each signal in turn until the process is gone, waiting after each as long as it says.
pub(crate) fn end_with(pid: u32, signals: &[(Signal, Duration)]) -> bool {
    for (signal, patience) in signals {
        send(pid, *signal);
        if gone_within(pid, *patience) {
            return true;
        }
    }
    false
}

/// Sends a signal; a process that is gone already is no failure.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _already_gone = kill(Pid::from_raw(pid), signal);
    }
}

/// Waits until no process with this id runs, at most `patience`.
pub(crate) fn gone_within(pid: u32, patience: Duration) -> bool {
    let start = Instant::now();
    while runs(pid) {
        if start.elapsed() > patience {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_children() {
        let mut child = Command::new("sleep").arg("62.5").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(std::process::id()).contains(&child.id()));
    }

    #[test]
    fn a_process_is_known_by_its_command_line_until_it_ends() {
        let mut child = Command::new("sleep").arg("61.5").spawn().unwrap();
        // Between fork and exec it has no command line of its own yet.
        while !command_line(child.id()).is_some_and(|line| line.contains("61.5")) {
            thread::sleep(POLL);
        }
        assert!(runs(child.id()));
        assert!(
            end(child.id(), Duration::from_secs(5)),
            "a process nobody reaped yet is gone too"
        );
        child.wait().unwrap();
        assert!(!runs(child.id()));
    }
}
