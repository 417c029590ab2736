//! Throwaway clusters of real etcd processes on this machine: for a user who wants to try something, for runbooks that are
//! rehearsed, and for tests.
//!
//! A sandbox is a folder. Everything that is known about it lies there, so that any later command finds its members, and so
//! that the processes may outlive whoever started them. In reading order: [`Sandbox`] and [`Member`] are what a caller holds;
//! `session` is the right to change one, and what can be done with it; `start` and `breakage` are the two long stories; `host`
//! is how a change stops and starts members;
//! `state`, `process`, `etcd`, `ports`, `ca`, `log` and `files` are what they are made of.

mod breakage;
mod ca;
mod error;
mod etcd;
mod files;
mod fleeting;
mod guard;
mod host;
mod join;
mod log;
mod member;
mod options;
mod ports;
pub(crate) mod process;
mod profile;
mod ready;
mod session;
mod start;
mod state;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

pub use breakage::Breakage;
pub use error::SandboxError;
pub(crate) use fleeting::Fleeting;
pub use guard::SandboxGuard;
pub(crate) use log::end as end_of_log;
pub use member::{Member, MemberRow, ProcessState};
pub use options::{MemberOptions, Options, Seat, Seed, SeedFn};
pub use words::{SandboxMember, SandboxName};

use crate::args::BadArgument;
use crate::error::{Interrupted, Result, suggest};
use crate::event::Event;
use crate::places::Places;
use crate::wait::{Look, until_cancelled};
use session::Session;
use state::State;

/// The name of a sandbox that was given none.
pub const DEFAULT_NAME: &str = "sandbox";

/// A throwaway cluster. This is a handle: dropping it leaves the cluster as it is.
#[derive(Debug, Clone)]
pub struct Sandbox {
    name: String,
    folder: PathBuf,
    places: Places,
    cancel: CancellationToken,
    /// Who is told what is awaited; nobody, where there is no call.
    events: Option<UnboundedSender<Event>>,
}

impl Sandbox {
    /// Returns the handle of a sandbox, which need not exist.
    ///
    /// # Errors
    /// The name is not one plain word.
    pub fn named(places: &Places, name: &str) -> Result<Self> {
        if !is_name(name) {
            let problem = format!("is {name:?}, which cannot be the name of a folder");
            return Err(BadArgument::invalid("name", problem, "use letters, digits, '-', '_' and '.'").into());
        }
        let folder = places.sandboxes().join(name);
        Ok(Sandbox {
            name: name.to_owned(),
            folder,
            places: places.clone(),
            cancel: CancellationToken::new(),
            events: None,
        })
    }

    /// Finds a sandbox that exists.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn open(places: &Places, name: &str) -> Result<Self> {
        let sandbox = Sandbox::named(places, name)?;
        sandbox.state()?;
        Ok(sandbox)
    }

    /// Starts a cluster and waits until each of its members serves.
    ///
    /// # Errors
    /// There is one of that name; no etcd was found; a member ended, with the end of its log. Nothing is left running then.
    pub async fn start(places: &Places, name: &str, options: Options) -> Result<Self> {
        let sandbox = Sandbox::named(places, name)?;
        sandbox.launch(&options).await?;
        Ok(sandbox)
    }

    /// Makes waiting end when a token is cancelled.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &CancellationToken) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Tells what is awaited.
    #[must_use]
    pub fn telling(mut self, events: UnboundedSender<Event>) -> Self {
        self.events = Some(events);
        self
    }

    /// Returns the names of all sandboxes that exist, sorted.
    pub fn names(places: &Places) -> Vec<String> {
        let entries = std::fs::read_dir(places.sandboxes()).into_iter().flatten().flatten();
        let with_state = entries.filter(|entry| entry.path().join(state::FILE).is_file());
        let mut names: Vec<_> = with_state.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Returns the version of the etcd that a sandbox of these options would run.
    ///
    /// # Errors
    /// There is no such etcd.
    pub(crate) fn version_of(places: &Places, etcd: Option<&str>) -> Result<String> {
        Ok(etcd::find(etcd, places)?.version)
    }

    /// Returns its name, which is the name of its profile too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the folder that holds all of it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns where a member's data dir lies, whether there is one or not.
    pub fn data_dir_of(&self, member: &str) -> PathBuf {
        state::data_dir(&self.folder, member)
    }

    /// Returns its members, as they are known now.
    ///
    /// # Errors
    /// There is no such sandbox.
    pub fn members(&self) -> Result<Vec<Member>> {
        let state = self.state()?;
        Ok(state.members.iter().map(|member| Member::new(self, &state, member)).collect())
    }

    /// Returns a member.
    ///
    /// # Errors
    /// There is no such sandbox, or no such member.
    pub fn member(&self, name: &str) -> Result<Member> {
        let state = self.state()?;
        Ok(Member::new(self, &state, self.find(&state, name)?))
    }

    /// Returns how its members stand.
    ///
    /// # Errors
    /// There is no such sandbox.
    pub fn rows(&self) -> Result<Vec<MemberRow>> {
        self.members()?.iter().map(Member::row).collect()
    }

    /// Stops all members and removes the folder, unless it is to be kept. Without a sandbox there is nothing to do.
    ///
    /// # Errors
    /// A process could not be ended, or a file not be removed.
    pub async fn stop(&self, keep: bool) -> Result<Vec<MemberRow>> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let lock = self.lock().await?;
        if State::load(&self.folder)?.is_none() {
            files::remove(&self.folder)?;
            return Ok(Vec::new());
        }
        let mut session = Session::new(self, lock)?;
        let names = session.member_names();
        if !keep {
            // Stopping politely takes seconds when the last ones have no quorum, and is of use only to the data.
            session.kill(&names).await?;
        }
        session.stop(&names).await?;
        let rows = self.rows()?;
        if !keep {
            files::remove(&self.folder)?;
        }
        Ok(rows)
    }

    /// Stops what runs of these members, or of all, and starts them with the flags that they were started with. Waits until
    /// they serve, unless the bound is zero.
    ///
    /// # Errors
    /// A member ended, or did not serve in time; it stays as it is then.
    pub async fn restart(&self, member: Option<&str>, wait: Duration) -> Result<Vec<MemberRow>> {
        let names = {
            let mut session = self.session().await?;
            let names = match member {
                Some(name) => vec![session.member(name)?.name.clone()],
                None => session.member_names(),
            };
            session.stop(&names).await?;
            for name in &names {
                session.spawn(name)?;
            }
            names
        };
        self.wait_started(&names, wait).await?;
        names.iter().map(|name| self.member(name)?.row()).collect()
    }

    /// Hands the cluster to a guard that kills its processes when it is dropped.
    pub fn guard(self) -> SandboxGuard {
        SandboxGuard::new(self)
    }

    fn state(&self) -> Result<State, SandboxError> {
        State::load(&self.folder)?.ok_or_else(|| SandboxError::Unknown {
            name: self.name.clone(),
            known: Sandbox::names(&self.places).join(", "),
        })
    }

    fn find<'s>(&self, state: &'s State, name: &str) -> Result<&'s state::StoredMember, SandboxError> {
        let names: Vec<&str> = state.members.iter().map(|member| member.name.as_str()).collect();
        state.members.iter().find(|member| member.name == name).ok_or_else(|| SandboxError::NoMember {
            sandbox: self.name.clone(),
            member: name.to_owned(),
            suggestion: suggest(name, &names),
            known: names.join(", "),
        })
    }

    /// Waits for something about the sandbox.
    async fn until<T>(&self, what: &str, bound: Duration, look: impl AsyncFnMut() -> Result<Look<T>>) -> Result<T> {
        until_cancelled(&self.cancel, &|event| self.tell(event.clone()), what, bound, look).await
    }

    fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            // Who does not listen any more does not wait either.
            let _ = events.send(event);
        }
    }

    /// Does what may be given up at any time, and gives it up on Ctrl-C.
    async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Interrupted.into()),
            done = work => done,
        }
    }
}

/// Says whether a text can be the name of a sandbox: one plain word, because it becomes part of a path.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests;
