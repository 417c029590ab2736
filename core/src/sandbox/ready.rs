//! Waiting until members serve.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::error::{SandboxError, cut, were};
use super::member::ProcessState;
use super::process::Condition;
use super::state::{self, State};
use super::{Sandbox, log};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::event::Event;
use crate::rpc::{Cluster, Consistency};
use crate::wait::{Look, TimedOut};

/// How long one look at a member may take.
const LOOK: Duration = Duration::from_secs(2);
/// How many lines of a log an error shows.
const LINES: usize = 8;

/// Too few members are up for a quorum.
#[derive(Debug)]
pub struct Shortage {
    up: usize,
    all: usize,
    /// Those that are not, each with how it stands.
    down: Vec<String>,
    paused: bool,
}

impl Shortage {
    /// Counts; members that are there but paused serve nobody.
    fn of(state: &State) -> Option<Self> {
        let stand = |member: &state::StoredMember| (member.name.clone(), ProcessState::from(member.condition()));
        let (up, down): (Vec<_>, Vec<_>) =
            state.members.iter().map(stand).partition(|(_, stands)| *stands == ProcessState::Running);
        let short = up.len() < quorum(state.members.len());
        short.then(|| Shortage {
            up: up.len(),
            all: state.members.len(),
            paused: down.iter().any(|(_, stands)| *stands == ProcessState::Paused),
            down: down.into_iter().map(|(name, stands)| format!("{name} ({stands})")).collect(),
        })
    }

    fn numbers(&self) -> String {
        format!("{} of {} members up, a quorum needs {}", self.up, self.all, quorum(self.all))
    }

    /// Says what to do.
    pub(super) fn remedy(&self) -> String {
        let resume = if self.paused { "; `sandbox resume` lets a paused one go on" } else { "" };
        format!("`sandbox restart` without a member starts all of them at once{resume}")
    }
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; not up: {}", self.numbers(), self.down.join(", "))
    }
}

fn quorum(members: usize) -> usize {
    members / 2 + 1
}

impl Sandbox {
    /// Waits until members serve reads that a quorum confirms; a learner, which serves none, until it answers. A bound of zero
    /// does not wait.
    ///
    /// # Errors
    /// A process ended, with the end of its log; or the bound passed.
    pub async fn wait_ready(&self, names: &[String], bound: Duration) -> Result<()> {
        if bound.is_zero() {
            return Ok(());
        }
        let cluster = Cluster::new(self.profile()?)?;
        let (members, mut shortage) = (names.join(", "), Shortage::of(&self.state()?));
        if let Some(shortage) = &shortage {
            self.tell(Event::Warning { message: format!("{shortage}; {}", shortage.remedy()) });
        }
        let look = async || {
            let state = self.state()?;
            let asked = join_all(names.iter().map(|name| self.look(&cluster, &state, name)));
            let asked = self.unless_cancelled(async { asked.await.into_iter().collect::<Result<Vec<_>>>() }).await?;
            let missing: Vec<String> = asked.into_iter().flatten().collect();
            shortage = Shortage::of(&state);
            let short = shortage.as_ref().map(Shortage::numbers);
            let status = || short.into_iter().chain(missing.iter().cloned()).collect::<Vec<_>>().join("; ");
            Ok(if missing.is_empty() { Look::Ready(()) } else { Look::NotYet(status()) })
        };
        let waited = self.until(&format!("{members} served"), bound, look).await;
        waited.map_err(|error| match shortage {
            Some(shortage) if error.code() == TimedOut::CODE => {
                SandboxError::NotServing { members, shortage, source: error }.into()
            }
            _ => error,
        })
    }

    /// Waits until members that were started serve. It is called without the right to change the sandbox, so that other
    /// commands may help meanwhile.
    pub(super) async fn wait_started(&self, names: &[String], bound: Duration) -> Result<()> {
        let waited = self.wait_ready(names, bound).await;
        if waited.is_err()
            && let Ok(mut session) = self.session().await
        {
            // Only the process that started them learns how they ended, and it may not live as long as the sandbox. The first
            // error is the one that matters.
            let _ = session.note_ends(names);
        }
        waited.map_err(cut(|| format!("{} started, and not waited for", were(names))))
    }

    /// Returns what keeps a member from serving, if anything does.
    async fn look(&self, cluster: &Cluster, state: &State, name: &str) -> Result<Option<String>> {
        let member = self.find(state, name)?;
        match member.condition() {
            Some(Condition::Running | Condition::Paused) => {}
            _ => return Err(self.ended(member).into()),
        }
        let node = cluster.node(&Endpoint::parse(&state.client_url(member), state.tls)?)?;
        let deadline = Instant::now() + LOOK;
        let answer = match node.status(deadline).await {
            Ok(status) if status.is_learner => Ok(()),
            Ok(_) => node.probe(Consistency::Linearizable, deadline).await,
            Err(error) => Err(error),
        };
        Ok(answer.err().map(|error| format!("{name}: {}", error.in_one_line())))
    }

    /// Says how a member's process ended.
    pub(super) fn ended(&self, member: &state::StoredMember) -> SandboxError {
        let path = state::log_path(&self.folder, &member.name);
        let exit_code = match member.condition() {
            Some(Condition::Ended(code)) => code,
            _ => None,
        };
        let lines = log::end(&log::lines(&path, member.log_from), LINES);
        SandboxError::Ended { member: member.name.clone(), exit_code, lines, log: path }
    }
}
