//! Processes that outlive the command that started them. One is known by its number and by when it started, so that a number
//! that the system gave to somebody else meanwhile is never signalled.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, waitid, waitpid};
use serde::{Deserialize, Serialize};

use super::error::{SandboxError, cannot};

/// A process, alive or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(super) pid: i32,
    started: String,
}

/// How a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Running,
    Paused,
    /// It ended, with this exit code where that is known: only the process that started it is told.
    Ended(Option<i64>),
}

impl Process {
    /// Starts a program with an empty environment and its output in a file. A detached one gets a session of its own: neither
    /// Ctrl-C, nor a terminal that closes, nor the end of its parent while it is stopped may reach it.
    pub(super) fn spawn(program: &Path, args: &[String], log: &File, detached: bool) -> Result<Self, SandboxError> {
        let what = || format!("start {}", program.display());
        let start = |mut command: Command| {
            let output = (log.try_clone()?, log.try_clone()?);
            command.env_clear().stdin(Stdio::null()).stdout(output.0).stderr(output.1).spawn()
        };
        let mut direct = Command::new(program);
        direct.args(args);
        let child = if detached {
            let mut in_session = Command::new("setsid");
            in_session.arg(program).args(args);
            // setsid(1) replaces itself by the program. Where there is none, a process group of its own is the next best.
            start(in_session).or_else(|_| {
                std::os::unix::process::CommandExt::process_group(&mut direct, 0);
                start(direct)
            })
        } else {
            start(direct)
        };
        let pid = Pid::from_child(&child.map_err(cannot(what()))?);
        // A child that has ended stays visible until it is waited for, so this finds it in any case.
        let started = inspect(pid).map(|seen| seen.started).unwrap_or_default();
        Ok(Process { pid: pid.as_raw_nonzero().get(), started })
    }

    /// Returns the process that this code runs in.
    pub(crate) fn this() -> Self {
        let pid = rustix::process::getpid();
        let started = inspect(pid).map(|seen| seen.started).unwrap_or_default();
        Process { pid: pid.as_raw_nonzero().get(), started }
    }

    /// Returns how it stands.
    pub(crate) fn condition(&self) -> Condition {
        let Some(pid) = Pid::from_raw(self.pid) else { return Condition::Ended(None) };
        let seen = inspect(pid).filter(|seen| seen.started == self.started);
        match seen.map(|seen| seen.state) {
            Some('T' | 't') => Condition::Paused,
            Some('Z' | 'X' | 'x') | None => Condition::Ended(self.exit_code(pid)),
            Some(_) => Condition::Running,
        }
    }

    /// Looks at the exit code without taking it away from whoever waits for the process.
    fn exit_code(&self, pid: Pid) -> Option<i64> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(pid), options).ok().flatten()?;
        // As a shell has it: a signal counts from 128 on.
        let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
        code.map(i64::from)
    }

    /// Sends it a signal, unless it has ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), SandboxError> {
        let pid = Pid::from_raw(self.pid).filter(|_| !matches!(self.condition(), Condition::Ended(_)));
        match pid.map(|pid| kill_process(pid, signal)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(error)) => Err(cannot(format!("signal the process {}", self.pid))(error.into())),
        }
    }

    /// Lets the system forget a process that has ended, if it is a child of ours.
    pub(super) fn reap(&self) {
        if let (Some(pid), Condition::Ended(_)) = (Pid::from_raw(self.pid), self.condition()) {
            // Whoever else's child it is, is the one to do this.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    /// Kills it without waiting for anything but a child's end, for the moment in which nothing else can be done.
    pub(super) fn kill_now(&self) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        if !matches!(self.condition(), Condition::Ended(_)) && kill_process(pid, Signal::KILL).is_ok() {
            // A process that is not our child cannot be waited for; it is killed all the same.
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

struct Seen {
    state: char,
    started: String,
}

/// Reads the state and the start of a process from the system's table.
#[cfg(target_os = "linux")]
fn inspect(pid: Pid) -> Option<Seen> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The second field is the program's name in parentheses and may hold anything; state,
    // threads and start are the third, the 20th and the 22nd.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let threads = fields.nth(16)?;
    let ticks = fields.nth(1)?;
    // The first thread of a program may have ended before the others, which still hold its files and ports.
    let state = if state == 'Z' && threads.parse().unwrap_or(1) > 1 { 'R' } else { state };
    // Ticks count from the start of the machine.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(Seen { state, started: format!("{}/{ticks}", boot.trim()) })
}

/// Reads the state and the start of a process from the system's table.
#[cfg(not(target_os = "linux"))]
fn inspect(pid: Pid) -> Option<Seen> {
    let number = pid.as_raw_nonzero().to_string();
    let output = Command::new("ps").args(["-o", "state=", "-o", "lstart=", "-p", &number]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, started) = text.trim().split_once(char::is_whitespace)?;
    Some(Seen { state: state.chars().next()?, started: started.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Process {
        let log = tempfile::tempfile().unwrap();
        Process::spawn(Path::new("/bin/sleep"), &["100".to_owned()], &log, true).unwrap()
    }

    #[test]
    fn a_process_is_seen_running_paused_and_ended() {
        let process = sleeper();
        assert_eq!(process.condition(), Condition::Running);
        process.signal(Signal::STOP).unwrap();
        while process.condition() == Condition::Running {
            std::thread::yield_now();
        }
        assert_eq!(process.condition(), Condition::Paused);
        process.signal(Signal::KILL).unwrap();
        while !matches!(process.condition(), Condition::Ended(_)) {
            std::thread::yield_now();
        }
        assert_eq!(process.condition(), Condition::Ended(Some(137)));
        process.reap();
        assert_eq!(process.condition(), Condition::Ended(None));
    }

    #[test]
    fn a_number_that_belongs_to_another_process_is_not_signalled() {
        let process = sleeper();
        let stranger = Process { started: "another time".to_owned(), ..process.clone() };
        assert_eq!(stranger.condition(), Condition::Ended(None));
        stranger.signal(Signal::KILL).unwrap();
        stranger.kill_now();
        assert_eq!(process.condition(), Condition::Running);
        process.kill_now();
        assert_eq!(process.condition(), Condition::Ended(None));
    }
}
