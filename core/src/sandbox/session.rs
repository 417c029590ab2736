//! The right to change a sandbox, and what can be done with it. Every change of a process is written down at once, so that a
//! command that is interrupted leaves nothing behind that the next one cannot find.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::Sandbox;
use super::error::{SandboxError, cannot, cut, were};
use super::files::{open_log, rename};
use super::process::{Condition, Process};
use super::state::{Lock, State, StoredMember, data_dir, log_path};
use crate::error::Result;
use crate::wait::{Look, TimedOut};

/// How long another command is waited for.
const LOCK_BOUND: Duration = Duration::from_secs(15);
/// How long a member may take to stop on its own.
const GRACE: Duration = Duration::from_secs(10);
/// How long the system may take to end, stop or continue a process.
const SYSTEM: Duration = Duration::from_secs(20);

pub(super) struct Session<'a> {
    pub(super) sandbox: &'a Sandbox,
    pub(super) state: State,
    _lock: Lock,
}

impl Sandbox {
    /// Waits for the right to change the sandbox.
    pub(super) async fn lock(&self) -> Result<Lock> {
        let take = async || {
            Ok(match Lock::try_take(&self.folder)? {
                Some(lock) => Look::Ready(lock),
                None => Look::NotYet("another command has it".to_owned()),
            })
        };
        let taken = self.until("the sandbox is free", LOCK_BOUND, take).await;
        taken.map_err(|error| match error.code() {
            TimedOut::CODE => SandboxError::Busy { name: self.name.clone() }.into(),
            _ => error,
        })
    }

    /// Takes the right to change a sandbox that exists.
    pub(super) async fn session(&self) -> Result<Session<'_>> {
        // The lock lies in the folder of all sandboxes, which need not exist.
        self.state()?;
        Session::new(self, self.lock().await?)
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(sandbox: &'a Sandbox, lock: Lock) -> Result<Self> {
        Ok(Session { sandbox, state: sandbox.state()?, _lock: lock })
    }

    pub(super) fn save(&self) -> Result<(), SandboxError> {
        self.state.save(&self.sandbox.folder)
    }

    pub(super) fn member_names(&self) -> Vec<String> {
        self.state.members.iter().map(|member| member.name.clone()).collect()
    }

    pub(super) fn member(&self, name: &str) -> Result<&StoredMember, SandboxError> {
        self.sandbox.find(&self.state, name)
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut StoredMember)) -> Result<(), SandboxError> {
        self.member(name)?;
        if let Some(member) = self.state.members.iter_mut().find(|member| member.name == name) {
            change(member);
        }
        self.save()
    }

    /// Starts the process of a member that has none.
    pub(super) fn spawn(&mut self, name: &str) -> Result<(), SandboxError> {
        let folder = &self.sandbox.folder;
        let member = self.member(name)?;
        let log = open_log(&log_path(folder, name))?;
        let log_from = log.metadata().map_err(cannot("look at the log"))?.len();
        let flags = self.state.flags(folder, member);
        let process = Process::spawn(&member.etcd.path, &flags, &log, self.state.detached)?;
        let started = process.clone();
        let kept = self.change(name, |member| {
            (member.process, member.exit_code, member.log_from) = (Some(started), None, log_from);
        });
        // A process that nobody knows of could never be stopped.
        kept.inspect_err(|_| process.kill_now())
    }

    /// Stops members: politely, and then not.
    pub(super) async fn stop(&mut self, names: &[String]) -> Result<()> {
        self.stop_within(names, GRACE).await
    }

    /// The same, for as long politely as is said.
    pub(super) async fn stop_within(&mut self, names: &[String], grace: Duration) -> Result<()> {
        self.signal(names, Signal::TERM)?;
        // A paused process takes note of the signal only when it goes on.
        self.signal(names, Signal::CONT)?;
        let told = || format!("{} told to stop; `sandbox list` shows how far that has come", were(names));
        match self.wait_ended(names, grace).await {
            Err(error) if error.code() == TimedOut::CODE => self.kill(names).await?,
            other => other.map_err(cut(told))?,
        }
        for name in names {
            self.change(name, |member| member.process = None)?;
        }
        Ok(())
    }

    /// Kills members.
    pub(super) async fn kill(&mut self, names: &[String]) -> Result<()> {
        self.signal(names, Signal::KILL)?;
        self.wait_ended(names, SYSTEM).await
    }

    /// Pauses a member that runs.
    pub(super) async fn pause(&mut self, name: &str) -> Result<()> {
        self.expect(name, Condition::Running, "only a running member can be paused; see `sandbox list`")?;
        self.signal(&[name.to_owned()], Signal::STOP)?;
        self.wait_condition(name, "it is paused", Condition::Paused).await
    }

    /// Lets a paused member go on.
    pub(super) async fn resume(&mut self, name: &str) -> Result<()> {
        self.expect(name, Condition::Paused, "only a paused member can be resumed")?;
        self.signal(&[name.to_owned()], Signal::CONT)?;
        self.wait_condition(name, "it goes on", Condition::Running).await
    }

    /// Refuses to touch the files of a member whose process is there.
    pub(super) fn expect_down(&self, name: &str) -> Result<(), SandboxError> {
        let member = self.member(name)?;
        if member.is_up() {
            let help = "stop it first, with `sandbox stop` or `sandbox kill`";
            return Err(SandboxError::State { member: name.to_owned(), state: word(member.condition()), help });
        }
        Ok(())
    }

    /// Moves the data dir of a member aside, and returns where it lies now; none when there was none.
    pub(super) fn set_aside(&self, name: &str) -> Result<Option<PathBuf>, SandboxError> {
        self.expect_down(name)?;
        let dir = data_dir(&self.sandbox.folder, name);
        if !dir.exists() {
            return Ok(None);
        }
        let stamp = chrono::Utc::now().format("%Y%m%dT%H%M%S%.6f");
        let aside = dir.with_file_name(format!("{name}.data.aside-{stamp}"));
        rename(&dir, &aside)?;
        Ok(Some(aside))
    }

    fn expect(&self, name: &str, wanted: Condition, help: &'static str) -> Result<(), SandboxError> {
        let condition = self.member(name)?.condition();
        if condition == Some(wanted) {
            return Ok(());
        }
        Err(SandboxError::State { member: name.to_owned(), state: word(condition), help })
    }

    fn signal(&self, names: &[String], signal: Signal) -> Result<(), SandboxError> {
        for name in names {
            if let Some(process) = &self.member(name)?.process {
                process.signal(signal)?;
            }
        }
        Ok(())
    }

    /// Waits until the processes of members have ended, and takes note of how.
    pub(super) async fn wait_ended(&mut self, names: &[String], bound: Duration) -> Result<()> {
        let look = async || {
            let up = self.state.members.iter().filter(|member| names.contains(&member.name) && member.is_up());
            let up: Vec<_> = up.map(|member| member.name.clone()).collect();
            Ok(if up.is_empty() { Look::Ready(()) } else { Look::NotYet(format!("{} still there", up.join(", "))) })
        };
        self.sandbox.until(&format!("{} ended", names.join(", ")), bound, look).await?;
        Ok(self.note_ends(names)?)
    }

    /// Takes note of how those members ended that have ended.
    pub(super) fn note_ends(&mut self, names: &[String]) -> Result<(), SandboxError> {
        names.iter().try_for_each(|name| self.change(name, StoredMember::note_end))
    }

    async fn wait_condition(&self, name: &str, what: &str, wanted: Condition) -> Result<()> {
        let look = async || {
            let condition = self.member(name)?.condition();
            Ok(if condition == Some(wanted) {
                Look::Ready(())
            } else {
                Look::NotYet(format!("it is {}", word(condition)))
            })
        };
        self.sandbox.until(what, SYSTEM, look).await
    }
}

fn word(condition: Option<Condition>) -> &'static str {
    super::member::ProcessState::from(condition).word()
}
