//! Waiting until members serve.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::error::SandboxError;
use super::process::Condition;
use super::state::{self, State};
use super::{Sandbox, log};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::rpc::{Cluster, Consistency};
use crate::wait::Look;

/// How long one look at a member may take.
const LOOK: Duration = Duration::from_secs(2);
/// How many lines of a log an error shows.
const LINES: usize = 8;

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
        let look = async || {
            let state = self.state()?;
            let asked = join_all(names.iter().map(|name| self.look(&cluster, &state, name))).await;
            let missing: Vec<String> = asked.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            Ok(if missing.is_empty() { Look::Ready(()) } else { Look::NotYet(missing.join("; ")) })
        };
        self.until(&format!("{} served", names.join(", ")), bound, look).await
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
