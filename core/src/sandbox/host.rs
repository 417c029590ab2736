//! What the host driver of a sandbox needs: a member's process is started and stopped without waiting for what it serves.

use std::time::{Duration, Instant};

use super::process::Condition;
use super::session::Session;
use super::state::StoredMember;
use super::{Sandbox, ca};
use crate::error::Result;
use crate::host::StartConfiguration;
use crate::wait::Look;

/// For how long a process that was started is watched: what is wrong with its flags or its files ends it within this.
const STEADY: Duration = Duration::from_secs(1);

impl Sandbox {
    /// Stops a member: politely for as long as the bound says, and then not.
    pub(crate) async fn stop_member(&self, name: &str, grace: Duration) -> Result<()> {
        let mut session = self.session().await?;
        session.stop_within(&[name.to_owned()], grace).await
    }

    /// Starts a member, and returns when its process is seen to stay.
    pub(crate) async fn start_member(
        &self,
        name: &str,
        with: Option<&StartConfiguration>,
        bound: Duration,
    ) -> Result<()> {
        {
            let mut session = self.session().await?;
            match with {
                Some(with) => session.configure(name, with)?,
                None if session.member(name)?.is_up() => return Ok(()),
                None => {}
            }
            session.spawn(name)?;
            self.write_profile(&session.state)?;
        }
        self.stays(name, bound).await
    }

    async fn stays(&self, name: &str, bound: Duration) -> Result<()> {
        let since = Instant::now();
        let look = async || {
            let state = self.state()?;
            let member = self.find(&state, name)?;
            match member.condition() {
                Some(Condition::Running | Condition::Paused) if since.elapsed() >= STEADY => Ok(Look::Ready(())),
                Some(Condition::Running | Condition::Paused) => Ok(Look::NotYet("it runs".to_owned())),
                _ => Err(self.ended(member).into()),
            }
        };
        let stayed = self.until(&format!("{name} has run for a moment"), bound.max(STEADY), look).await;
        if stayed.is_err()
            && let Ok(mut session) = self.session().await
        {
            // The first error is the one that matters.
            let _ = session.note_ends(&[name.to_owned()]);
        }
        stayed
    }
}

impl Session<'_> {
    /// Takes a start configuration over for a member that is down, or that is not known yet.
    fn configure(&mut self, name: &str, with: &StartConfiguration) -> Result<()> {
        if self.state.members.iter().any(|member| member.name == name) {
            self.expect_down(name)?;
        }
        let url = with.peer_urls.first().map(String::as_str).unwrap_or_default();
        let member = self.configured(name, &with.initial_cluster, url, "peer_urls")?;
        self.take_in(member)
    }

    /// Keeps what a member is started with from now on, and gives it its certificate.
    pub(super) fn take_in(&mut self, member: StoredMember) -> Result<()> {
        if self.state.tls {
            ca::issue_server(&self.sandbox.folder, &member.name)?;
        }
        self.state.members.retain(|known| known.name != member.name);
        self.state.members.push(member);
        self.state.members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(self.save()?)
    }
}
