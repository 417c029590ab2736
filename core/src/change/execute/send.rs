//! Asking a server for a change: the only code that sends a changing RPC to a cluster of others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::run::{Deed, Run, SETTLING};
use crate::change::failed::NobodyToAsk;
use crate::change::plan::{Action, label};
use crate::change::view::{ClusterView, MemberView};
use crate::error::{Error, Result, Sent};
use crate::id::MemberId;
use crate::rpc::Node;
use crate::units::Bytes;
use crate::value::{Record, Value};
use crate::wait::{Look, answered, pause, until};

/// The key that is written and deleted to prove that a cluster takes writes.
const PROBE: &str = "etcdsh/probe";

impl Run<'_, '_> {
    /// Sends the RPC of an action. A transfer goes to the leader, which alone takes it, and a defragmentation to the member;
    /// everything else goes to the leader too if it can, because it sees best who is connected, but never to the member that it
    /// is about.
    pub(super) async fn send(&mut self, action: &Action, view: &ClusterView) -> Result<Deed> {
        let start = Instant::now();
        loop {
            match self.send_once(action, view).await {
                // The server has answered, so nothing was done, and asking again is safe.
                Err(error) if passes(action, error.code()) && start.elapsed() < self.bound.min(SETTLING) => {
                    pause(self.ctx, Duration::from_millis(500)).await?;
                }
                other => return other,
            }
        }
    }

    async fn send_once(&mut self, action: &Action, view: &ClusterView) -> Result<Deed> {
        let mut last = None;
        for node in self.nodes(action, view)? {
            self.asked = Some(node.endpoint().clone());
            match self.send_to(&node, action, view).await {
                // Only what never left this machine may be tried elsewhere.
                Err(error) if error.sent() == Some(Sent::Never) => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| NobodyToAsk.into()))
    }

    fn nodes(&self, action: &Action, view: &ClusterView) -> Result<Vec<Arc<Node>>> {
        let leader = view.leader().map(|m| m.member.id);
        let is_leader = |m: &&MemberView| Some(m.member.id) == leader;
        let fit = |m: &&MemberView| match action {
            Action::MoveLeader { .. } => is_leader(m),
            Action::Defragment { id } => m.member.id == *id,
            Action::DisarmAlarm { .. } => m.serves(),
            _ => m.serves() && Some(m.member.id) != action.target(),
        };
        let mut members: Vec<&MemberView> = view.voters().filter(fit).collect();
        // The last voter can only be asked to change itself.
        if members.is_empty() && !matches!(action, Action::Defragment { .. }) {
            members = view.voters().filter(|m| m.serves()).collect();
        }
        members.sort_by_key(|m| Some(m.member.id) != leader);
        members.iter().filter_map(|m| m.endpoint.as_ref()).map(|endpoint| self.cluster.node(endpoint)).collect()
    }

    async fn send_to(&mut self, node: &Node, action: &Action, view: &ClusterView) -> Result<Deed> {
        let deadline = self.cluster.deadline();
        let writer = node.writer();
        match action {
            Action::AddMember { peer_urls, learner, .. } => {
                let (member, _) = writer.member_add(peer_urls, *learner, deadline).await?;
                self.added = Some(member.id);
            }
            Action::RemoveMember { id } => drop(writer.member_remove(*id, deadline).await?),
            Action::PromoteMember { who } => {
                let id = who.find(view).map(|m| m.member.id).ok_or(NobodyToAsk)?;
                writer.member_promote(id, deadline).await?;
            }
            Action::UpdatePeerUrls { id, peer_urls } => drop(writer.member_update(*id, peer_urls, deadline).await?),
            Action::MoveLeader { to, .. } => writer.move_leader(*to, deadline).await?,
            Action::Defragment { id } => {
                let start = Instant::now();
                let (what, status) = copying(*id, view);
                // It takes as long as the disk takes; only silence ends it.
                answered(self.ctx, &what, &status, writer.defragment(start + self.patience())).await?;
                return Ok(self.freed(*id, view, start.elapsed()).await);
            }
            Action::Compact { revision, physical } => {
                let what = format!("what came before revision {revision} is forgotten");
                let compacted = writer.compact(*revision, *physical, Instant::now() + self.patience());
                let deed = match answered(self.ctx, &what, "the members free its space", compacted).await {
                    Err(error) if error.code() == "compacted" => {
                        let detail = "what came before it was forgotten already".to_owned();
                        Deed { detail, already: true, result: None }
                    }
                    done => done.map(|()| Deed::default())?,
                };
                return Ok(self.freed_by_all(action, view, deed).await);
            }
            Action::DisarmAlarm { id, kind } => writer.disarm(*id, *kind, deadline).await?,
            Action::ProveWrite => {
                let revision = writer.probe_write(PROBE, deadline).await?;
                return Ok(Deed { detail: format!("a write became revision {revision}"), ..Deed::default() });
            }
            Action::EnableDowngrade { version } => writer.downgrade_enable(version, deadline).await?,
            Action::CancelDowngrade => writer.downgrade_cancel(deadline).await?,
            other => return Err(Error::internal(format!("no server is asked for {}", other.word()))),
        }
        Ok(Deed::default())
    }

    /// A physical compaction is answered when the member that was asked has freed the pages, and the others still do. Each is asked
    /// for the same one: it says that it was compacted before once it has carried out everything that it was asked for until then
    /// (etcd `server/storage/mvcc/kvstore.go`, `updateCompactRev`). Who is defragmented earlier gives back less.
    pub(super) async fn freed_by_all(&self, action: &Action, view: &ClusterView, deed: Deed) -> Deed {
        let &Action::Compact { revision, physical: true } = action else { return deed };
        let deadline = Instant::now() + self.patience();
        let asked = view.voters().map(async |m| {
            let label = || Some(m.member.label());
            let Some(Ok(node)) = m.endpoint.as_ref().filter(|_| m.serves()).map(|at| self.cluster.node(at)) else {
                return label();
            };
            let answer = node.writer().compact(revision, true, deadline).await;
            answer.err().filter(|error| error.code() != "compacted").and_then(|_| label())
        });
        let answers = answered(self.ctx, "every member has freed the space", "the members free it", join_all(asked));
        let late = match self.ctx.unless_cancelled(async { Ok(answers.await) }).await {
            Ok(answers) => answers.into_iter().flatten().collect::<Vec<_>>().join(", "),
            Err(_) => "every member".to_owned(),
        };
        let seen = if late.is_empty() {
            "every member has freed its space".to_owned()
        } else {
            format!("its space may still be taken on: {late}")
        };
        let detail = if deed.detail.is_empty() { seen } else { format!("{}; {seen}", deed.detail) };
        Deed { detail, ..deed }
    }

    /// Reads how much a defragmentation gave back.
    async fn freed(&self, id: MemberId, before: &ClusterView, took: Duration) -> Deed {
        let size = |view: &ClusterView| view.get(id).and_then(MemberView::known).map(|status| status.db_size);
        let after = self.observe(&Action::Defragment { id }).await.ok();
        let (Some(before), Some(after)) = (size(before), after.as_ref().and_then(size)) else { return Deed::default() };
        let mut result = Record::new();
        result.insert("db_size_before", Value::Size(before));
        result.insert("db_size_after", Value::Size(after));
        result.insert("freed", Value::Size(before - after));
        result.insert("stalled", Value::Elapsed(crate::units::Elapsed::from(took).0));
        let detail = format!("{} freed, {} left", Bytes(before - after), Bytes(after));
        Deed { detail, result: Some(Value::Record(result)), already: false }
    }

    /// The answer of a defragmentation was lost. The member goes on with it all the same, and serves nothing meanwhile; so it
    /// counts as running until the member serves again.
    pub(super) async fn until_defragmented(&mut self, id: MemberId, lost: Error, before: &ClusterView) -> Result<Deed> {
        let (this, start) = (&*self, Instant::now());
        let serves =
            until(self.ctx, "the member serves again after its defragmentation", self.patience(), async || {
                let view = this.observe(&Action::Defragment { id }).await;
                Ok(match view.as_ref().map(|view| view.get(id).is_some_and(MemberView::serves)) {
                    Ok(true) => Look::Ready(()),
                    _ => Look::NotYet("its answer was lost, and it does not serve yet".to_owned()),
                })
            });
        if serves.await.is_err() {
            let step = Action::Defragment { id }.word();
            return Err(crate::change::failed::OutcomeUnknown { step, source: lost }.into());
        }
        let deed = self.freed(id, before, start.elapsed()).await;
        Ok(Deed { detail: format!("its answer was lost, and it serves again; {}", deed.detail), ..deed })
    }
}

/// Says what a defragmentation waits for, and how much it copies.
fn copying(id: MemberId, view: &ClusterView) -> (String, String) {
    let what = format!("{} has copied its database", label(view, id));
    let size = view.get(id).and_then(MemberView::known).map(|status| (status.db_size, status.db_in_use));
    let size = size.map(|(size, used)| format!("{} of {} are in use; ", Bytes(used), Bytes(size)));
    (what, format!("{}it serves nothing meanwhile", size.unwrap_or_default()))
}

/// Says whether a server gives an answer only for a while. For some seconds after a change it refuses the next one, until it
/// has seen every connection settle. And it makes a new member's id of its peer URLs and the second, so the id of a member that
/// was removed within the same second comes out again, and is not taken.
fn passes(action: &Action, code: &str) -> bool {
    match code {
        "unhealthy_cluster" | "not_enough_started_members" | "learner_not_ready" => true,
        "member_not_found" => matches!(action, Action::AddMember { .. }),
        _ => false,
    }
}
