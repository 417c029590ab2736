//! A member of a sandbox, as a caller holds it.

use std::path::PathBuf;
use std::time::Duration;

use super::process::Condition;
use super::session::Session;
use super::state::{self, State, data_dir, log_path};
use super::{Sandbox, log};
use crate::error::Result;
use crate::wait::Look;

crate::choice! {
    /// How the process of a member stands.
    pub enum ProcessState {
        /// It runs.
        Running = "running",
        /// It was paused, and does nothing.
        Paused = "paused",
        /// It ended, or was killed.
        Exited = "exited",
        /// It was stopped on purpose.
        Stopped = "stopped",
    }
}

impl From<Option<Condition>> for ProcessState {
    fn from(condition: Option<Condition>) -> Self {
        match condition {
            Some(Condition::Running) => ProcessState::Running,
            Some(Condition::Paused) => ProcessState::Paused,
            Some(Condition::Ended(_)) => ProcessState::Exited,
            None => ProcessState::Stopped,
        }
    }
}

crate::record! {
    /// One member of a sandbox.
    pub struct MemberRow {
        /// The sandbox that it belongs to.
        sandbox: String,
        /// The member's name.
        name: String,
        /// How its process stands.
        state: ProcessState,
        /// The number of its process; null when it has none.
        pid: Option<i64>,
        /// What its last process exited with, where that is known; 128 and the signal's number when a signal ended it.
        exit_code: Option<i64>,
        /// Where it listens for clients.
        client_url: String,
        /// Where the other members are told to reach it.
        peer_url: String,
        /// The version of its etcd.
        version: String,
        /// Its data dir.
        data_dir: PathBuf,
        /// The file with its log.
        log: PathBuf,
        /// The line of the log that tells why it ended, or else the last one; null while it runs.
        last_log: Option<String>,
    }
}

/// A member of a sandbox. Its addresses and paths are as they were when it was asked for; they stay the same for as long as
/// the member exists.
#[derive(Debug, Clone)]
pub struct Member {
    sandbox: Sandbox,
    name: String,
    client_url: String,
    peer_url: String,
}

impl Member {
    pub(super) fn new(sandbox: &Sandbox, state: &State, member: &state::StoredMember) -> Self {
        Member {
            sandbox: sandbox.clone(),
            name: member.name.clone(),
            client_url: state.client_url(member),
            peer_url: state.peer_url(member),
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns where it listens for clients.
    pub fn client_url(&self) -> &str {
        &self.client_url
    }

    /// Returns where the other members are told to reach it.
    pub fn peer_url(&self) -> &str {
        &self.peer_url
    }

    /// Returns its data dir.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(&self.sandbox.folder, &self.name)
    }

    /// Returns the file with its log.
    pub fn log(&self) -> PathBuf {
        log_path(&self.sandbox.folder, &self.name)
    }

    /// Returns the last lines of its log.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let lines = log::lines(&self.log(), 0);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    /// Returns the last lines of its last process's log, up to the one that says why it ended.
    pub(crate) fn end_of_log(&self, count: usize) -> Result<Vec<String>> {
        let state = self.sandbox.state()?;
        let from = self.sandbox.find(&state, &self.name)?.log_from;
        Ok(log::end(&log::lines(&self.log(), from), count))
    }

    /// Returns how it stands now.
    ///
    /// # Errors
    /// The sandbox or the member is gone.
    pub fn row(&self) -> Result<MemberRow> {
        let state = self.sandbox.state()?;
        let member = self.sandbox.find(&state, &self.name)?;
        let condition = member.condition();
        let up = member.is_up();
        let last = || log::end(&log::lines(&self.log(), member.log_from), 1).pop();
        Ok(MemberRow {
            sandbox: self.sandbox.name.clone(),
            name: self.name.clone(),
            state: condition.into(),
            pid: member.process.as_ref().filter(|_| up).map(|process| process.pid.into()),
            exit_code: match condition {
                Some(Condition::Ended(code)) => code,
                _ => member.exit_code,
            },
            client_url: self.client_url.clone(),
            peer_url: self.peer_url.clone(),
            version: member.etcd.version.clone(),
            data_dir: self.data_dir(),
            log: self.log(),
            last_log: if up { None } else { last() },
        })
    }

    /// Kills it, as a power cut would.
    ///
    /// # Errors
    /// The process could not be ended.
    pub async fn kill(&self) -> Result<MemberRow> {
        let name = [self.name.clone()];
        self.change(async |session| session.kill(&name).await).await
    }

    /// Pauses it: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// It does not run.
    pub async fn pause(&self) -> Result<MemberRow> {
        self.change(async |session| session.pause(&self.name).await).await
    }

    /// Lets it go on after a pause.
    ///
    /// # Errors
    /// It is not paused.
    pub async fn resume(&self) -> Result<MemberRow> {
        self.change(async |session| session.resume(&self.name).await).await
    }

    /// Stops it, politely first. Its data stay.
    ///
    /// # Errors
    /// The process could not be ended.
    pub async fn stop(&self) -> Result<MemberRow> {
        let name = [self.name.clone()];
        self.change(async |session| session.stop(&name).await).await
    }

    /// Stops it if it runs, starts it with the flags that it was started with, and waits until it serves, unless the bound is
    /// zero.
    ///
    /// # Errors
    /// It ended, with the end of its log; or it did not serve in time.
    pub async fn restart(&self, wait: Duration) -> Result<MemberRow> {
        self.sandbox.restart(Some(&self.name), wait).await?;
        self.row()
    }

    /// Moves its data dir aside, so that it starts empty, and returns where it lies now. Nothing is deleted; a member that has
    /// no data has nothing to move.
    ///
    /// # Errors
    /// It is not down.
    pub async fn wipe(&self) -> Result<Option<PathBuf>> {
        let session = self.sandbox.session().await?;
        Ok(session.set_aside(&self.name)?)
    }

    /// Waits until its process ends, and returns the exit code where that is known.
    ///
    /// # Errors
    /// It is still there when the bound passes.
    pub async fn wait_exit(&self, bound: Duration) -> Result<Option<i64>> {
        // The sandbox stays free meanwhile, so that something else can be what ends the process.
        let look = async || {
            let state = self.sandbox.state()?;
            let up = self.sandbox.find(&state, &self.name)?.is_up();
            Ok(if up { Look::NotYet("it is still there".to_owned()) } else { Look::Ready(()) })
        };
        self.sandbox.until(&format!("{} has ended", self.name), bound, look).await?;
        let name = [self.name.clone()];
        Ok(self.change(async |session| session.wait_ended(&name, Duration::ZERO).await).await?.exit_code)
    }

    async fn change(&self, change: impl AsyncFnOnce(&mut Session<'_>) -> Result<()>) -> Result<MemberRow> {
        let mut session = self.sandbox.session().await?;
        change(&mut session).await?;
        self.row()
    }
}
